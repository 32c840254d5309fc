"""Follows the operations staff's availability file: what it closes is closed at the next answer.

The file may be one of a ConfigMap, which Kubernetes replaces as a whole, or be put in place by a rename.
"""

import logging
import os
import threading
from collections.abc import Callable
from pathlib import Path

from longtail.contracts.errors import UserError
from longtail.scoring.availability import Availability

log = logging.getLogger(__name__)

EVERY = 1.0  # seconds between looks at the file
MAX_BYTES = 50_000_000  # of the file: a million ids
SHOWN = 3


class AvailabilityFile:
    """Reads the file once, then looks every ``EVERY`` seconds, in a thread of its own.

    Args:
        path: YAML or JSON, as ``scoring.availability.Availability`` says.
        close: takes what the file says; returns the ids that the catalogue does not hold.

    ``fault``: why the file as it is now cannot be read, so that the last good one acts; None where it can.

    Raises:
        UserError: the file cannot be read at the start, when there is no last good one.
    """

    def __init__(self, path: str | os.PathLike[str], close: Callable[[Availability], list[str]]) -> None:
        self._path, self._close = Path(path), close
        self.fault: str | None = None
        self._seen = self._state()
        self._take()
        self._stopped = threading.Event()
        threading.Thread(target=self._follow, name="availability", daemon=True).start()

    def stop(self) -> None:
        self._stopped.set()

    def _follow(self) -> None:
        while not self._stopped.wait(EVERY):
            state = self._state()
            if state == self._seen:
                continue
            self._seen = state  # of before reading: what is written meanwhile is seen at the next look
            try:
                self._take()
                self.fault = None
            except UserError as error:
                self.fault = str(error)
                log.error("the last good availability goes on: %s", error)

    def _take(self) -> None:
        try:
            if self._path.stat().st_size > MAX_BYTES:
                raise UserError(f"{self._path}: is larger than {MAX_BYTES:,} bytes; name fewer items")
            text = self._path.read_text()
        except (OSError, UnicodeDecodeError) as error:
            raise UserError(f"{self._path}: cannot be read ({error}); give a YAML file that can") from None
        availability = Availability.parse(text, str(self._path))
        unknown = self._close(availability)
        log.info("availability: %d items named, %d of them unknown", len(availability.item_ids), len(unknown))
        if unknown:
            names = ", ".join(unknown[:SHOWN])
            log.warning("%s: %d ids are not in the catalogue: %s …", self._path, len(unknown), names)

    def _state(self) -> tuple[int, int, int] | None:
        try:
            found = self._path.stat()
        except OSError:
            return None
        return found.st_ino, found.st_mtime_ns, found.st_size
