"""Runs a pipeline on this machine: starts the worker, keeps its noise in a log, shows progress, explains failures."""

import json
import os
import re
import signal
import subprocess
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, TextIO

from longtail.contracts.errors import UserError, find_reported
from longtail.pipelines.local.events import EVENT
from longtail.pipelines.local.progress import Progress

KILLED = (-signal.SIGKILL, 128 + signal.SIGKILL)
LESS_MEMORY = {
    "preprocess": "lower preprocess.memory_limit_gb",
    "finetune": "lower finetune.adaptation.batch and finetune.training.batch_positions",
    "distill": "lower distill.training.batch_positions",
}
_TASK_LOG = re.compile(r"^\[KFP Executor [^\]]*\]: (?!Loading KFP|Looking for|Got executor|Wrote executor|--comp)(.*)")


class StageFailed(RuntimeError):  # noqa: N818  (it says what happened)
    """A stage failed by a fault that is not the user's; its traceback is in the log."""

    def __init__(self, stage: str, log: Path, reason: str | None = None) -> None:
        super().__init__(reason or f"{stage} failed; its traceback is in {log}")
        self.stage, self.log = stage, log


def run_pipeline(
    pipeline: str,
    arguments: Mapping[str, str | int],
    stages: Sequence[str],
    root: Path,
    cache: Path,
    log: Path,
    image: str,
    held: int | None = None,
    containers: Mapping[str, Any] | None = None,
) -> tuple[dict[str, Any], set[str]]:
    """Run ``pipeline`` ("module:function" that builds it) with task folders under ``root``.

    ``image`` is only a name here, but kfp's cache keys hold it; ``held`` is an open file that lives as long as the worker;
    ``containers`` is a request of containers.py, without which tasks are processes.
    Returns the pipeline's outputs (artifacts as paths), and the stages that were executed.

    Raises:
        UserError: what a task reported.
        StageFailed: anything else, killed stages included.
    """
    request = {
        "pipeline": pipeline,
        "arguments": arguments,
        "root": str(root),
        "cache": str(cache),
        "containers": containers,
    }
    root.mkdir(parents=True, exist_ok=True)
    environment = os.environ | {
        "LONGTAIL_TRAIN_IMAGE": image,
        "PYTHONUNBUFFERED": "1",
        "PYTHONSAFEPATH": "1",  # modules in the user's folder must not stand in for ours or a library's
    }
    with log.open("w") as stream, Progress() as progress:
        worker = subprocess.Popen(
            [sys.executable, "-m", "longtail.pipelines.local.worker", json.dumps(request)],
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            errors="replace",
            env=environment,
            pass_fds=() if held is None else (held,),
            start_new_session=True,
        )
        try:
            outputs, executed, failed = _follow(worker, stages, stream, progress)
        except BaseException:
            _stop(worker)
            raise
    if outputs is not None and worker.returncode == 0:
        return outputs, executed
    if message := find_reported(root):
        raise UserError(message)
    stage, code = failed or ("the pipeline", worker.returncode)
    if code in KILLED:
        remedy = f"free some, or {LESS_MEMORY[stage]}" if stage in LESS_MEMORY else "free some"
        raise StageFailed(stage, log, f"{stage} was killed, most likely because memory ran out; {remedy} (log: {log})")
    raise StageFailed(stage, log)


def _follow(
    worker: "subprocess.Popen[str]", stages: Sequence[str], log: TextIO, progress: Progress
) -> tuple[dict[str, Any] | None, set[str], tuple[str, int] | None]:
    """Read the worker's lines to their end: the outputs, the executed stages, and the failed one with its exit code."""
    outputs, failed = None, None
    executed: set[str] = set()
    waiting = list(stages)
    assert worker.stdout is not None
    for line in worker.stdout:
        log.write(line)
        log.flush()
        if not line.startswith(EVENT):
            if match := _TASK_LOG.match(line):
                progress.note(match[1])
            continue
        event = json.loads(line.removeprefix(EVENT))
        if event["event"] == "started":
            stage = event["stage"]
            while waiting and waiting[0] != stage:  # what is before it and did not run came from the cache
                progress.passed_over(waiting.pop(0), "cached")
            executed.add(stage)
            progress.started(stage)
        elif event["event"] == "ended":
            failed = (event["stage"], event["code"]) if event["code"] else None
            progress.ended(event["stage"], "failed" if failed else "done")
            if not failed and event["stage"] in waiting:
                waiting.remove(event["stage"])
        else:
            outputs = event["outputs"]
            for stage in waiting:  # deploy is never cached: without a task of its own it was not wanted
                progress.passed_over(stage, "skipped" if stage == "deploy" else "cached")
    worker.wait()
    return outputs, executed, failed


def _stop(worker: "subprocess.Popen[str]") -> None:
    """End the worker and its tasks, which share its session."""
    for sign in (signal.SIGTERM, signal.SIGKILL):
        try:
            os.killpg(worker.pid, sign)
            worker.wait(timeout=30)  # it may have a container to remove
        except (ProcessLookupError, subprocess.TimeoutExpired):
            continue
    worker.wait()
