"""Executes a pipeline under kfp.local, in a process of its own: whatever kfp prints and patches stays in here.

What it and the tasks print is the run's log; what the command shall know goes through the channel.
"""

import importlib
import json
import logging
import os
import signal
import subprocess
import sys
import tempfile
import threading
from pathlib import Path

from kfp import local
from kfp.local import status, subprocess_task_handler

from longtail.pipelines.local import containers
from longtail.system.channel import tell


class TaskHandler(subprocess_task_handler.SubprocessTaskHandler):
    """kfp's own handler hides exit codes, and rewrites `python3` inside parameters such as paths; this one does not.

    A task's temporary folder ends with the task: kfp's script leaves one behind each time.
    """

    def run(self) -> status.Status:
        shell, flags, script, *rest = self.full_command
        stage = rest[rest.index("--function_to_execute") + 1]
        command = [shell, flags, script.replace("python3", f'"{sys.executable}"'), *rest]
        tell("started", stage=stage)
        with tempfile.TemporaryDirectory(prefix=f"longtail-{stage}-") as scratch:
            environment = os.environ | {"TMPDIR": scratch}
            code = subprocess.run(
                command, stdin=subprocess.DEVNULL, stderr=subprocess.STDOUT, env=environment
            ).returncode
        tell("ended", stage=stage, code=code)
        return status.Status.SUCCESS if code == 0 else status.Status.FAILURE


def main(request: str) -> None:
    """``request``: an ``Execution``'s."""
    asked = json.loads(request)
    logging.basicConfig(level=logging.INFO, stream=sys.stdout)  # cache hits and misses, which kfp logs outside tasks
    if asked["containers"]:
        signal.signal(signal.SIGTERM, lambda *_: sys.exit(128 + signal.SIGTERM))  # so that its container is removed
        containers.use_containers(asked["containers"])
        runner = containers.docker_runner(asked["containers"])
    else:
        subprocess_task_handler.SubprocessTaskHandler = TaskHandler
        runner = local.SubprocessRunner(use_venv=False)
    threading.Thread(target=_end_with_the_command, daemon=True).start()
    module, _, factory = asked["pipeline"].partition(":")
    pipeline = getattr(importlib.import_module(module), factory)(asked["image"])
    local.init(
        runner,
        pipeline_root=asked["root"],
        workspace_root=str(Path(asked["root"]) / "workspace"),  # kfp deletes it after the run
        enable_caching=True,
        cache_root=asked["cache"],
    )
    outputs = pipeline(**asked["arguments"]).outputs
    tell("finished", outputs={name: getattr(value, "path", value) for name, value in outputs.items()})


def _end_with_the_command() -> None:
    """A command that is killed cannot end its worker: without it nobody would take the results, yet deploy would act."""
    signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGTERM})  # the main thread's to take, which may hold it back
    os.read(sys.stdin.fileno(), 1)  # nothing is written: it returns when the other end is closed
    os.killpg(0, signal.SIGTERM)


if __name__ == "__main__":
    main(sys.argv[1])
