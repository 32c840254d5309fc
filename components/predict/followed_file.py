"""Follows a file of the operations staff, availability or rules: what it says acts from the next answer on.

The file may be one of a ConfigMap, which Kubernetes replaces as a whole, be put in place by a rename, or be an object of a bucket.
"""

import logging
import os
import threading
import time
from collections.abc import Callable

from longtail.components.predict.file_sources import Unwritable, open_source

log = logging.getLogger(__name__)

UNREACHED = object()


class FollowedFile:
    """Reads the file once, then looks again and again, in a thread of its own.

    Args:
        name: what it is, in messages.
        path: where it lies; s3:// and gs:// too.
        take: takes the file's text and where it lies; raises UserError where it cannot.

    ``text``: what acts. ``fault``: why the file as it is now cannot be taken, so that the last good one acts; None where it can.

    Raises:
        UserError: the file cannot be taken at the start, when there is no last good one.
    """

    def __init__(self, name: str, path: str | os.PathLike[str], take: Callable[[str, str], None]) -> None:
        self.name, self.source, self._take = name, open_source(path), take
        self.fault: str | None = None
        self.text = ""
        self._lock = threading.Lock()  # of taking and replacing
        self._seen: object = self.source.state()
        self._read()
        threading.Thread(target=self._follow, name=name, daemon=True).start()

    def is_good(self) -> bool:
        """Whether the file acts as it is now."""
        return self.fault is None

    def replace(self, text: str) -> None:
        """Take a text, and write it to where the file lies, whole.

        Raises:
            Unwritable: it cannot be written there; what acted goes on.
            UserError: it cannot be taken, so it is not written.
        """
        with self._lock:
            taken = False
            try:
                with self.source.replacing(text):
                    self._take(text, "the body")
                    taken = True
            except Unwritable:
                if taken:
                    self._take(self.text, str(self.source))
                raise
            self.text, self.fault = text, None

    def _follow(self) -> None:
        while True:
            time.sleep(self.source.every)
            with self._lock:
                self._look()

    def _look(self) -> None:
        try:
            state = self.source.state()
            if state == self._seen:
                return
            self._seen = state  # of before reading: what is written meanwhile is seen at the next look
            self._read()
            self.fault = None
        except Exception as error:  # noqa: BLE001  (a thread that ends would follow nothing, and say nothing)
            if self.source.is_remote:
                self._seen = UNREACHED  # so that it is read again once it can be reached
            if str(error) != self.fault:
                log.error("the last good %s go on: %s", self.name, error)
            self.fault = str(error)

    def _read(self) -> None:
        text = self.source.read()
        self._take(text, str(self.source))
        self.text = text
        log.info("%s: taken from %s", self.name, self.source)
