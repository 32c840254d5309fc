"""Executes a pipeline under kfp.local, in a process of its own: whatever kfp prints and patches stays in here.

Standard output carries kfp's and the tasks' lines, and among them events, lines that begin with ``EVENT``.
"""

import importlib
import json
import logging
import signal
import subprocess
import sys
from pathlib import Path

from kfp import local
from kfp.local import status, subprocess_task_handler

from longtail.pipelines.local import containers
from longtail.pipelines.local.events import event


class TaskHandler(subprocess_task_handler.SubprocessTaskHandler):
    """kfp's own handler hides exit codes, and rewrites `python3` inside parameters such as paths; this one does not."""

    def run(self) -> status.Status:
        shell, flags, script, *rest = self.full_command
        stage = rest[rest.index("--function_to_execute") + 1]
        command = [shell, flags, script.replace("python3", f'"{sys.executable}"'), *rest]
        event("started", stage=stage)
        with subprocess.Popen(
            command,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            errors="replace",
        ) as process:
            assert process.stdout is not None
            for line in process.stdout:
                sys.stdout.write(line)
                sys.stdout.flush()
        event("ended", stage=stage, code=process.returncode)
        return status.Status.SUCCESS if process.returncode == 0 else status.Status.FAILURE


def main(request: str) -> None:
    """``request``: JSON with pipeline ("module:function" that builds it), arguments, root, cache and containers."""
    asked = json.loads(request)
    logging.basicConfig(level=logging.INFO, stream=sys.stdout)  # cache hits and misses, which kfp logs outside tasks
    if asked["containers"]:
        signal.signal(signal.SIGTERM, lambda *_: sys.exit(128 + signal.SIGTERM))  # so that its container is removed
        containers.use_containers(asked["containers"])
        runner = containers.docker_runner(asked["containers"])
    else:
        subprocess_task_handler.SubprocessTaskHandler = TaskHandler
        runner = local.SubprocessRunner(use_venv=False)
    module, _, factory = asked["pipeline"].partition(":")
    pipeline = getattr(importlib.import_module(module), factory)()
    local.init(
        runner,
        pipeline_root=asked["root"],
        workspace_root=str(Path(asked["root"]) / "workspace"),  # kfp deletes it after the run
        enable_caching=True,
        cache_root=asked["cache"],
    )
    outputs = pipeline(**asked["arguments"]).outputs
    event("finished", outputs={name: getattr(value, "path", value) for name, value in outputs.items()})


if __name__ == "__main__":
    main(sys.argv[1])
