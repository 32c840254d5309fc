"""Artifacts: directories with a ``manifest.json`` that names their format and the checksums of their files."""

import hashlib
import json
import math
import os
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from longtail import __version__
from longtail.contracts.errors import UserError
from longtail.contracts.folders import check_new_folder, new_folder, place_of, put_back

MANIFEST = "manifest.json"
RESULTS = "results"  # in a run's folder: its artifacts (pipelines/local/run_folder.py)


@dataclass(frozen=True)
class Format:
    """What kind of artifact a directory is. A reader accepts exactly its own name and version."""

    name: str
    version: int


OURS = "longtail/"
PREPARED = Format("longtail/prepared", 5)
TEACHER = Format("longtail/teacher", 7)
BUNDLE = Format("longtail/bundle", 4)
EVALUATION = Format("longtail/evaluation", 2)
DEPLOYMENT = Format("longtail/deployment", 1)
LISTS = Format("longtail/lists", 1)
CAMPAIGN = Format("longtail/campaign", 1)
MEASUREMENT = Format("longtail/measurement", 1)


@dataclass(frozen=True)
class Artifact:
    """A directory that passed its checks. ``facts`` is what its writer recorded (counts, settings, digests)."""

    path: Path
    facts: Mapping[str, Any] = field(default_factory=dict)

    def file(self, name: str) -> Path:
        return self.path / name


def results_of(run: str | os.PathLike[str]) -> Path:
    """The folder of a run's artifacts, below the run's folder; that itself where an earlier version put them there."""
    inside = place_of(run) / RESULTS
    put_back(inside)
    return inside if inside.is_dir() else Path(run)


def sha256(path: Path) -> str:
    digest = hashlib.sha256()
    with path.open("rb") as stream:
        while chunk := stream.read(1 << 20):
            digest.update(chunk)
    return digest.hexdigest()


def manifest_digest(artifact: str | os.PathLike[str]) -> str:
    """SHA-256 of an artifact's manifest, which stands for all of its files."""
    return sha256(Path(artifact) / MANIFEST)


def file_inside(root: Path, name: str, manifest: str | Path) -> Path:
    """The place of a file that a manifest names; a UserError where that is outside ``root``."""
    file = (root / name).resolve()
    if root.resolve() not in file.parents:
        raise UserError(f"{manifest}: names {name!r}, a file outside the artifact; do not use it")
    return file


def check_place(path: str | os.PathLike[str], kind: Format | None = None) -> None:
    """Refuse, before any work, a place to which the artifact cannot be written, or that holds what it may not replace.

    It may replace nothing, an empty folder, and an artifact of its own kind (of any kind where none is given).

    Raises:
        UserError: naming the place and the remedy.
    """
    check_new_folder(path)
    check_outside(path)
    place = place_of(path)
    found = format_of(place)
    if place.is_dir() and any(place.iterdir()) and not found:
        raise UserError(f"{path}: holds files that no stage of longtail wrote; name another folder")
    if kind and found and found.name != kind.name:
        raise UserError(f"{path}: is a {found.name} artifact, which a {kind.name} would replace; name another folder")


def check_outside(path: str | os.PathLike[str]) -> None:
    """Refuse a place inside an artifact, which would be lost when that is replaced.

    Raises:
        UserError: naming the artifact.
    """
    for above in place_of(path).parents:
        if inside := format_of(above):
            raise UserError(f"{path}: lies inside {above}, a {inside.name} artifact; name a folder outside")


def format_of(folder: Path) -> Format | None:
    """What kind of artifact a folder says that it is; None for others, and where the manifest cannot be read."""
    try:
        manifest = json.loads((folder / MANIFEST).read_text())
        found = Format(str(manifest["format"]), int(manifest["version"]))
    except (OSError, ValueError, KeyError, TypeError):
        return None
    return found if found.name.startswith(OURS) else None


@contextmanager
def write_artifact(path: str | os.PathLike[str], kind: Format, facts: dict[str, Any]) -> Iterator[Path]:
    """Yield an empty folder to fill; on success it is put at ``path`` in one step, on failure nothing stays.

    ``facts`` may be filled while the block runs; it is written to the manifest at its end.

    Raises:
        UserError: what ``check_place`` refuses.
    """
    check_place(path, kind)
    with new_folder(path) as partial:
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


def read_artifact(path: str | os.PathLike[str], kind: Format) -> Artifact:
    """Check format, version and every file's checksum.

    Raises:
        UserError: naming the file that is missing, truncated or changed, or the format that was found instead.
    """
    root = Path(os.path.expanduser(path))  # noqa: PTH111  (as place_of does)
    put_back(root)
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


def finite(document: Any) -> Any:
    """A JSON document with null for what is no number."""
    if isinstance(document, dict):
        return {name: finite(value) for name, value in document.items()}
    if isinstance(document, list | tuple):
        return [finite(value) for value in document]
    return None if isinstance(document, float) and not math.isfinite(document) else document
