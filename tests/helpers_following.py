"""What tests of followed files and bundles share."""

import time
from collections.abc import Callable
from pathlib import Path
from typing import Any


def put(path: Path, text: str) -> None:
    """As an operator should: whole, by a rename."""
    path.with_suffix(".new").write_text(text)
    path.with_suffix(".new").rename(path)


def until(found: Callable[[], Any], expected: Any, seconds: float = 60) -> None:
    """Waits until ``found()`` is what is expected."""
    end = time.monotonic() + seconds
    while (last := found()) != expected:
        assert time.monotonic() < end, last
        time.sleep(0.05)
