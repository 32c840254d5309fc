"""Runs what the quality benchmark needs, each in a process of its own: measured, logged, and done only once."""

import fcntl
import hashlib
import json
import os
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from longtail.contracts.errors import UserError
from longtail.system.code_version import code_digest

LONGTAIL = "import sys; from longtail.pipelines.cli.main import main; main(sys.argv[1:])"
DONE = "done.json"


@dataclass(frozen=True)
class Done:
    """A finished stage. result: what it wrote; measured: wall and CPU seconds, peak memory, date, code version."""

    key: str
    result: Path
    measured: dict[str, Any]


class Stages:
    """A folder of finished stages. The key is what a stage was made from; the code's version is only recorded."""

    def __init__(self, work: Path, lock: int) -> None:
        self._work, self._lock = work, lock

    def run(self, kind: str, made_from: Mapping[str, Any], command: Callable[[Path, Path], list[str]]) -> Done:
        """The stage made from ``made_from``, from the folder or by ``command(settings file, result)``.

        A stage that was stopped is started again, and finetune and distill then go on from their checkpoints.
        """
        text = json.dumps(made_from, sort_keys=True, indent=1)
        key = hashlib.sha256(text.encode()).hexdigest()[:16]
        folder = self._work / kind / key
        done = folder / DONE
        if done.is_file():
            return Done(key, folder / "result", json.loads(done.read_text()))
        resumed = folder.exists()
        folder.mkdir(parents=True, exist_ok=True)
        (folder / "made_from.json").write_text(text)
        (folder / "settings.yaml").write_text(json.dumps(made_from.get("settings", {})))  # JSON is YAML
        print(f"{time.strftime('%H:%M:%S')} {kind} {key}{' (again)' if resumed else ''} …", flush=True)
        measured = self._measure(command(folder / "settings.yaml", folder / "result"), folder / "log", kind)
        partial = folder / f"{DONE}.partial"
        partial.write_text(json.dumps(measured | {"resumed": resumed, "code": code_digest()[:16]}, indent=1))
        partial.rename(done)
        print(f"         {measured['wall_s']:.0f} s, {measured['peak_gb']:.2f} GB", flush=True)
        return Done(key, folder / "result", json.loads(done.read_text()))

    def _measure(self, command: list[str], log: Path, kind: str) -> dict[str, Any]:
        begin = time.monotonic()
        with log.open("a") as stream:
            # the lock goes to the child, so that it holds where this process alone is killed
            child = subprocess.Popen(command, stdout=stream, stderr=stream, pass_fds=[self._lock])
            try:
                _, status, usage = os.wait4(child.pid, 0)  # the usage of this child alone
            except BaseException:
                child.kill()
                child.wait()
                raise
        child.returncode = os.waitstatus_to_exitcode(status)
        if child.returncode:
            tail = log.read_text(errors="replace").strip().splitlines()[-1:] or ["no word"]
            raise UserError(f"{kind} ended with code {child.returncode}: {tail[0]} (log: {log})")
        return {
            "wall_s": round(time.monotonic() - begin, 1),
            "cpu_s": round(usage.ru_utime + usage.ru_stime, 1),
            "peak_gb": round(usage.ru_maxrss / 2**20, 3),
            "date": time.strftime("%Y-%m-%dT%H:%M:%S%z"),
        }


@contextmanager
def open_stages(work: Path) -> Iterator[Stages]:
    """The stages of a work folder.

    Raises:
        UserError: where another benchmark, or a child that a killed one left, is at work in it.
    """
    work.mkdir(parents=True, exist_ok=True)
    with (work / "lock").open("w") as lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError:
            raise UserError(f"--work {work}: another benchmark is at work in it; wait for its end") from None
        yield Stages(work, lock.fileno())


def longtail(*arguments: object) -> list[str]:
    """The command line of a stage."""
    return [sys.executable, "-P", "-c", LONGTAIL, *map(str, arguments)]


def digest_of(path: Path) -> str:
    with path.open("rb") as stream:
        return hashlib.file_digest(stream, "sha256").hexdigest()
