"""How the processes of a run tell the command how it gets on: a file that they append to, one JSON line an event.

`longtail run` starts a worker, which loads kfp and starts a process or a container for each task. The command names the file
in ``LONGTAIL_CHANNEL`` and follows it while the worker lives. The file lies in the run's folder of tasks, which containers
mount at the same path, so that it is one way for all of them. What they print goes to run.log, where no program reads it.

    started   stage
    note      text      the latest log line of the stage
    error     message   the fault of a user
    ended     stage, code of its process
    finished  outputs   of the pipeline, artifacts as paths

On a cluster there is no such file: a pod shares no folder with the command, and Kubeflow's API hands out the state of a failed
task, but no text of the task's own. There the message is the line of the pod's log that begins with ``ERROR_MARK``, and
`longtail follow` looks for it there.
"""

import json
import logging
import os
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from longtail.contracts.errors import EXIT_CODE, UserError

VARIABLE = "LONGTAIL_CHANNEL"
ERROR_MARK = "error: "
POLL_SECONDS = 0.1


def opened(folder: Path) -> Path:
    """A new, empty channel in a folder that is made."""
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / "channel.jsonl"
    path.write_bytes(b"")
    return path


def tell(event: str, **facts: Any) -> None:
    """Append an event; without a channel, nothing. It is one write, so that events of several processes do not mix."""
    path = os.environ.get(VARIABLE)
    if path is None:
        return
    file = os.open(path, os.O_WRONLY | os.O_APPEND)
    try:
        os.write(file, f"{json.dumps({'event': event, **facts})}\n".encode())
    finally:
        os.close(file)


def follow(path: Path, lives: Callable[[], bool]) -> Iterator[dict[str, Any]]:
    """The events as they come, until nobody lives who could tell more, and all are read."""
    rest = b""
    with path.open("rb") as stream:
        while True:
            ended = not lives()  # asked before reading: what was told last is read then
            *lines, rest = (rest + stream.read()).split(b"\n")
            yield from map(json.loads, lines)
            if ended:
                return
            if not lines:
                time.sleep(POLL_SECONDS)


@contextmanager
def reported() -> Iterator[None]:
    """The body of a pipeline task: what the stage logs are notes; a ``UserError`` is told, printed, and ends it with 2."""
    log, notes = logging.getLogger("longtail"), _Notes()
    log.addHandler(notes)
    try:
        yield
    except UserError as error:
        tell("error", message=str(error))
        print(f"{ERROR_MARK}{error}", file=sys.stderr)
        raise SystemExit(EXIT_CODE) from None
    finally:
        log.removeHandler(notes)


class _Notes(logging.Handler):
    def emit(self, record: logging.LogRecord) -> None:
        try:
            tell("note", text=record.getMessage().partition("\n")[0])
        except OSError:
            self.handleError(record)
