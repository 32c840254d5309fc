"""The one error a user can cause, and its way out of a pipeline task.

Everything that is not a ``UserError`` is a bug and keeps its traceback.
"""

import json
import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

EXIT_CODE = 2
ERROR_FILE = "user_error.json"


class UserError(ValueError):
    """A fault in data, settings or environment: one message that names the file, row or key, and the remedy."""


@contextmanager
def reported(output_path: str | os.PathLike[str]) -> Iterator[None]:
    """Inside a pipeline task: write a ``UserError`` beside the task's outputs, then end the task with exit code 2.

    A task is a process of its own, so the file is how the message reaches the command that started the pipeline.
    """
    try:
        yield
    except UserError as error:
        folder = Path(output_path).parent
        folder.mkdir(parents=True, exist_ok=True)
        (folder / ERROR_FILE).write_text(json.dumps({"message": str(error)}))
        print(f"error: {error}", file=sys.stderr)
        raise SystemExit(EXIT_CODE) from None


def find_reported(root: str | os.PathLike[str]) -> str | None:
    """The message that a task below ``root`` reported, or None."""
    for path in sorted(Path(root).rglob(ERROR_FILE)):
        return str(json.loads(path.read_text())["message"])
    return None
