"""What the terminal shows of a run: one line a stage, live on a terminal and plain elsewhere."""

import shutil
import sys
import threading
import time
from typing import TextIO

CLEAR = "\r\x1b[K"


class Progress:
    """Lines like ``finetune     done     61.3 s``. On a terminal the running stage's line shows its latest log line."""

    def __init__(self, stream: TextIO | None = None) -> None:
        self._stream = stream or sys.stdout
        self._live = self._stream.isatty()
        self._stage, self._note, self._begin = "", "", 0.0
        self._lock = threading.Lock()
        self._stop = threading.Event()

    def __enter__(self) -> "Progress":
        if self._live:
            threading.Thread(target=self._tick, daemon=True).start()
        return self

    def __exit__(self, *_: object) -> None:
        self._stop.set()
        with self._lock:
            if self._live and self._stage:
                self._write(CLEAR)
            self._stage = ""

    def started(self, stage: str) -> None:
        with self._lock:
            self._stage, self._note, self._begin = stage, "", time.monotonic()
            if self._live:
                self._draw()
            else:
                self._write(f"{stage:<12} running\n")

    def note(self, text: str) -> None:
        """The running stage's latest word."""
        with self._lock:
            self._note = text
            if self._live and self._stage:
                self._draw()

    def ended(self, stage: str, state: str) -> None:
        with self._lock:
            self._line(f"{stage:<12} {state:<8} {time.monotonic() - self._begin:7.1f} s")
            self._stage = ""

    def passed_over(self, stage: str, state: str) -> None:
        """A stage that did not run: its result was cached, or it was not needed."""
        with self._lock:
            self._line(f"{stage:<12} {state}")

    def _line(self, text: str) -> None:
        self._write(f"{CLEAR if self._live else ''}{text}\n")

    def _draw(self) -> None:
        text = f"{self._stage:<12} running  {time.monotonic() - self._begin:7.1f} s  {self._note}"
        self._write(CLEAR + text[: shutil.get_terminal_size().columns - 1])

    def _tick(self) -> None:
        while not self._stop.wait(1.0):
            with self._lock:
                if self._stage:
                    self._draw()

    def _write(self, text: str) -> None:
        self._stream.write(text)
        self._stream.flush()
