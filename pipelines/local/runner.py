"""Runs a pipeline on this machine: starts the worker, keeps its noise in a log, shows progress, explains failures."""

import json
import os
import signal
import subprocess
import sys
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from longtail.contracts.errors import UserError
from longtail.pipelines.local.progress import Progress
from longtail.pipelines.parameters import NEVER_CACHED
from longtail.system import channel

KILLED = (-signal.SIGKILL, 128 + signal.SIGKILL)
LESS_MEMORY = {
    "preprocess": "lower preprocess.memory_limit_gb",
    "finetune": "lower finetune.adaptation.batch and finetune.training.batch_positions",
    "distill": "lower distill.training.batch_positions",
    "refresh": "take refresh.mode refresh, or none",
}


class StageFailed(RuntimeError):  # noqa: N818  (it says what happened)
    """A stage failed by a fault that is not the user's; its traceback is in the log."""

    def __init__(self, stage: str, log: Path, reason: str | None = None) -> None:
        super().__init__(reason or f"{stage} failed; its traceback is in {log}")
        self.stage, self.log = stage, log


@dataclass(frozen=True)
class Execution:
    """A pipeline and what it is run with.

    pipeline: "module:function" that builds it for an image. image: a name that kfp's cache keys hold; containers run what
    ``containers`` says, a request of containers.py, without which tasks are processes. root: of the tasks' folders. events:
    an opened channel. held: an open file that lives as long as the worker.
    """

    pipeline: str
    arguments: Mapping[str, str | int]
    stages: Sequence[str]
    image: str
    root: Path
    cache: Path
    log: Path
    events: Path
    containers: Mapping[str, Any] | None = None
    held: int | None = None

    def request(self) -> str:
        """What the worker reads."""
        asked = {
            "pipeline": self.pipeline,
            "arguments": self.arguments,
            "image": self.image,
            "root": str(self.root),
            "cache": str(self.cache),
            "containers": self.containers,
        }
        return json.dumps(asked)


@dataclass
class _Outcome:
    outputs: dict[str, Any] | None = None
    failed: tuple[str, int] | None = None  # stage and exit code
    error: str | None = None  # of the user


def run_pipeline(execution: Execution) -> dict[str, Any]:
    """Run a pipeline to its end; returns its outputs, artifacts as paths.

    Raises:
        UserError: what a task reported.
        StageFailed: anything else, killed stages included.
    """
    environment = os.environ | {
        channel.VARIABLE: str(execution.events),
        "PYTHONUNBUFFERED": "1",
        "PYTHONSAFEPATH": "1",  # modules in the user's folder must not stand in for ours or a library's
    }
    with (
        execution.log.open("w") as log,
        Progress() as progress,
        subprocess.Popen(
            [sys.executable, "-m", "longtail.pipelines.local.worker", execution.request()],
            stdin=subprocess.PIPE,  # its end tells the worker that the command is gone
            stdout=log,
            stderr=subprocess.STDOUT,
            env=environment,
            pass_fds=() if execution.held is None else (execution.held,),
            start_new_session=True,
        ) as worker,
    ):
        try:
            events = channel.follow(execution.events, lambda: worker.poll() is None)
            outcome = _show(events, execution.stages, progress)
        except BaseException:
            _stop(worker)
            raise
    if outcome.outputs is not None and worker.returncode == 0:
        return outcome.outputs
    if outcome.error is not None:
        raise UserError(outcome.error)
    raise _failure(*(outcome.failed or ("the pipeline", worker.returncode)), execution.log)


def _show(events: Iterable[Mapping[str, Any]], stages: Sequence[str], progress: Progress) -> _Outcome:
    """Show the events as they come."""
    outcome, waiting = _Outcome(), list(stages)
    for event in events:
        match event:
            case {"event": "started", "stage": stage}:
                while waiting and waiting[0] != stage:  # what is before it and did not run came from the cache
                    _passed_over(waiting.pop(0), progress)
                progress.started(stage)
            case {"event": "note", "text": text}:
                progress.note(text)
            case {"event": "error", "message": message}:
                outcome.error = message
            case {"event": "ended", "stage": stage, "code": code}:
                outcome.failed = (stage, code) if code else None
                progress.ended(stage, "failed" if code else "done")
                if not code and stage in waiting:
                    waiting.remove(stage)
            case {"event": "finished", "outputs": outputs}:
                outcome.outputs = outputs
                for stage in waiting:
                    _passed_over(stage, progress)
    return outcome


def _passed_over(stage: str, progress: Progress) -> None:
    progress.passed_over(stage, "skipped" if stage in NEVER_CACHED else "cached")


def _failure(stage: str, code: int, log: Path) -> StageFailed:
    if code not in KILLED:
        return StageFailed(stage, log)
    remedy = f"free some, or {LESS_MEMORY[stage]}" if stage in LESS_MEMORY else "free some"
    return StageFailed(stage, log, f"{stage} was killed, most likely because memory ran out; {remedy} (log: {log})")


def _stop(worker: "subprocess.Popen[bytes]") -> None:
    """End the worker and its tasks, which share its session."""
    for sign in (signal.SIGTERM, signal.SIGKILL):
        try:
            os.killpg(worker.pid, sign)
            worker.wait(timeout=30)  # it may have a container to remove
        except (ProcessLookupError, subprocess.TimeoutExpired):
            continue
    worker.wait()
