"""Work in numbered parts, kept beside the output: killed and started again it goes on with the parts that are missing.

A part's files are each written under another name and renamed, and its counts come last: a part with counts is whole. The folder
belongs to one digest of inputs and settings; one of another digest is removed.
"""

import fcntl
import json
import os
import shutil
from collections import Counter
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from longtail.contracts.errors import UserError
from longtail.contracts.folders import place_of


@dataclass(frozen=True)
class Work:
    """The folder of work, as it lies on a disk that all who do it can reach."""

    folder: Path

    @property
    def plan(self) -> dict[str, Any]:
        """What ``working`` was given, in the state of the first of its runs."""
        return _plan_of(self.folder)

    def question(self, number: int) -> Path:
        return self.folder / "questions" / f"part-{number:05d}.parquet"

    def missing(self, count: int) -> list[int]:
        """Numbers of the parts that are not done."""
        return [number for number in range(count) if not self._counts(number).is_file()]

    def finish(self, number: int, tables: Mapping[str, pa.Table], counts: Counter[str]) -> None:
        """Write what a part gave."""
        for name, table in tables.items():
            write_whole(table, self.folder / "tables" / name / f"part-{number:05d}.parquet")
        _renamed(self._counts(number), lambda path: path.write_text(json.dumps(counts)))

    def counts(self, count: int) -> Counter[str]:
        """The sums over all parts."""
        return sum((Counter(json.loads(self._counts(number).read_text())) for number in range(count)), Counter[str]())

    def put_into(self, folder: Path) -> int:
        """All tables, below a folder on the same disk, without a copy where the file system can; returns the ``rows`` of the counts."""
        for file in sorted((self.folder / "tables").rglob("*.parquet")):
            target = folder / file.relative_to(self.folder / "tables")
            target.parent.mkdir(exist_ok=True)
            try:
                os.link(file, target)
            except OSError:
                shutil.copyfile(file, target)
        return sum(json.loads(file.read_text()).get("rows", 0) for file in (self.folder / "done").glob("*.json"))

    def _counts(self, number: int) -> Path:
        return self.folder / "done" / f"part-{number:05d}.json"


@contextmanager
def working(output: str | os.PathLike[str], digest: str, plan: Mapping[str, Any]) -> Iterator[Work]:
    """The work with this digest beside ``output``, where it was begun as far as that came; removed at the end unless it fails.

    plan: what the work's parts read; of work that was begun its own ``moment`` stays.

    Raises:
        UserError: another process works there.
    """
    place = place_of(output)
    place.parent.mkdir(parents=True, exist_ok=True)
    folder = place.with_name(f".{place.name}.work")
    with place.with_name(f".{place.name}.work-lock").open("w") as lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            raise UserError(
                f"{output}: another process writes this output; wait for it, or name another folder"
            ) from None
        begun = _plan_of(folder)
        if begun.get("digest") == digest:
            plan = {**plan, "moment": begun["moment"]}
        elif folder.exists():
            shutil.rmtree(folder)
        for name in ("questions", "tables", "done"):
            (folder / name).mkdir(parents=True, exist_ok=True)
        text = json.dumps({**plan, "digest": digest}, indent=1)
        _renamed(folder / "plan.json", lambda path: path.write_text(text))
        yield Work(folder)
        shutil.rmtree(folder)
        Path(lock.name).unlink(missing_ok=True)


def write_whole(table: pa.Table, path: Path) -> None:
    """A Parquet file that is there whole or not at all."""
    path.parent.mkdir(exist_ok=True)
    _renamed(path, lambda partial: pq.write_table(table, partial, compression="zstd"))


def _renamed(path: Path, write: Any) -> None:
    partial = path.with_name(f".{path.name}.{os.getpid()}")
    write(partial)
    partial.replace(path)


def _plan_of(folder: Path) -> dict[str, Any]:
    try:
        found = json.loads((folder / "plan.json").read_text())
        return found if isinstance(found, dict) and "moment" in found else {}
    except (OSError, ValueError):
        return {}
