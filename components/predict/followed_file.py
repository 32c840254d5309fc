"""Follows a file of the operations staff, availability or rules: what it says acts from the next answer on.

The file may be one of a ConfigMap, which Kubernetes replaces as a whole, or be put in place by a rename.
"""

import logging
import os
import threading
import time
from collections.abc import Callable
from pathlib import Path

from longtail.contracts.errors import UserError

log = logging.getLogger(__name__)

EVERY = 1.0  # seconds between looks at the file
MAX_BYTES = 50_000_000  # of the file: a million ids


class FollowedFile:
    """Reads the file once, then looks every ``EVERY`` seconds, in a thread of its own.

    Args:
        name: what it is, in messages.
        path: where it lies.
        take: takes the file's text and where it lies; raises UserError where it cannot.

    ``fault``: why the file as it is now cannot be taken, so that the last good one acts; None where it can.

    Raises:
        UserError: the file cannot be taken at the start, when there is no last good one.
    """

    def __init__(self, name: str, path: str | os.PathLike[str], take: Callable[[str, str], None]) -> None:
        self.name, self._path, self._take = name, Path(path), take
        self.fault: str | None = None
        self._seen = self._state()
        self._read()
        threading.Thread(target=self._follow, name=name, daemon=True).start()

    def is_good(self) -> bool:
        """Whether the file acts as it is now."""
        return self.fault is None

    def _follow(self) -> None:
        while True:
            time.sleep(EVERY)
            state = self._state()
            if state == self._seen:
                continue
            self._seen = state  # of before reading: what is written meanwhile is seen at the next look
            try:
                self._read()
                self.fault = None
            except UserError as error:
                self.fault = str(error)
                log.error("the last good %s go on: %s", self.name, error)
            except Exception as error:
                self.fault = f"{type(error).__name__}: {error}"
                log.exception("the last good %s go on", self.name)

    def _read(self) -> None:
        try:
            if self._path.stat().st_size > MAX_BYTES:
                raise UserError(f"{self._path}: is larger than {MAX_BYTES:,} bytes; say less")
            text = self._path.read_text()
        except (OSError, UnicodeDecodeError) as error:
            raise UserError(f"{self._path}: cannot be read ({error}); give a YAML file that can") from None
        self._take(text, str(self._path))
        log.info("%s: taken from %s", self.name, self._path)

    def _state(self) -> tuple[int, int, int] | None:
        try:
            found = self._path.stat()
        except OSError:
            return None
        return found.st_ino, found.st_mtime_ns, found.st_size
