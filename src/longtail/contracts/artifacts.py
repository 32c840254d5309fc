"""Artifacts: directories with a ``manifest.json`` that names their format and the checksums of their files."""

import hashlib
import json
import os
import shutil
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from longtail import __version__
from longtail.contracts.errors import UserError

MANIFEST = "manifest.json"


@dataclass(frozen=True)
class Format:
    """What kind of artifact a directory is. A reader accepts exactly its own name and version."""

    name: str
    version: int


PREPARED = Format("longtail/prepared", 1)
TEACHER = Format("longtail/teacher", 3)
BUNDLE = Format("longtail/bundle", 2)
EVALUATION = Format("longtail/evaluation", 1)
DEPLOYMENT = Format("longtail/deployment", 1)


@dataclass(frozen=True)
class Artifact:
    """A directory that passed its checks. ``facts`` is what its writer recorded (counts, settings, digests)."""

    path: Path
    facts: Mapping[str, Any] = field(default_factory=dict)

    def file(self, name: str) -> Path:
        return self.path / name


def sha256(path: Path) -> str:
    digest = hashlib.sha256()
    with path.open("rb") as stream:
        while chunk := stream.read(1 << 20):
            digest.update(chunk)
    return digest.hexdigest()


def file_inside(root: Path, name: str, manifest: str | Path) -> Path:
    """The place of a file that a manifest names; a UserError where that is outside ``root``."""
    file = (root / name).resolve()
    if root.resolve() not in file.parents:
        raise UserError(f"{manifest}: names {name!r}, a file outside the artifact; do not use it")
    return file


@contextmanager
def write_artifact(path: str | os.PathLike[str], kind: Format, facts: dict[str, Any]) -> Iterator[Path]:
    """Yield an empty folder to fill; on success it becomes ``path`` in one rename, on failure nothing stays.

    ``facts`` may be filled while the block runs; it is written to the manifest at its end.
    """
    target = Path(path)
    partial = target.with_name(f".{target.name}.partial-{os.getpid()}")
    shutil.rmtree(partial, ignore_errors=True)
    partial.mkdir(parents=True)
    try:
        yield partial
        files = sorted(file for file in partial.rglob("*") if file.is_file())
        readable = partial.stat().st_mode & 0o444
        for file in files:  # safetensors writes for its owner alone; whoever may read the folder may read the files
            file.chmod(file.stat().st_mode | readable)
        manifest = {
            "format": kind.name,
            "version": kind.version,
            "made_by": f"longtail {__version__}",
            "facts": facts,
            "files": {str(file.relative_to(partial)): sha256(file) for file in files},
        }
        (partial / MANIFEST).write_text(json.dumps(manifest, indent=1, sort_keys=True) + "\n")
        if target.exists():
            shutil.rmtree(target) if target.is_dir() else target.unlink()
        partial.rename(target)
    finally:
        shutil.rmtree(partial, ignore_errors=True)


def read_artifact(path: str | os.PathLike[str], kind: Format) -> Artifact:
    """Check format, version and every file's checksum.

    Raises:
        UserError: naming the file that is missing, truncated or changed, or the format that was found instead.
    """
    root = Path(path)
    manifest_path = root / MANIFEST
    if not root.is_dir():
        raise UserError(f"{root}: no such folder; a {kind.name} artifact was expected here")
    if not manifest_path.is_file():
        raise UserError(f"{root}: has no {MANIFEST}, so it is no {kind.name} artifact (or its writing was cut off)")
    try:
        manifest = json.loads(manifest_path.read_text())
        found = Format(manifest["format"], manifest["version"])
        files: dict[str, str] = dict(manifest["files"].items())
        facts: dict[str, Any] = dict(manifest["facts"].items())
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        raise UserError(f"{manifest_path}: is not a readable manifest ({error}); make the artifact anew") from None
    if found != kind:
        raise UserError(
            f"{root}: is {found.name} version {found.version}, but {kind.name} version {kind.version} is needed"
        )
    for name, checksum in files.items():
        file = file_inside(root, name, manifest_path)
        if not file.is_file():
            raise UserError(f"{root / name}: is missing; the artifact is incomplete, copy or make it again")
        try:
            found_checksum = sha256(file)
        except OSError as error:
            raise UserError(f"{root / name}: cannot be read ({error.strerror}); give this user the right to") from None
        if found_checksum != checksum:
            raise UserError(f"{root / name}: differs from its checksum; it was truncated or changed, make it again")
    return Artifact(root, facts)
