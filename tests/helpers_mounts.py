"""A child with mounts of its own: read-only and full disks, mount points, layers of an image. Linux, and not everywhere allowed."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

SKIPPED = "this machine lets nobody mount in a name space of their own"


def in_own_mounts(folder: Path, mounts: str, python: str) -> str:
    """Run shell lines and then Python in ``folder``; what Python printed. Skips where mounting is not allowed."""
    allowed = subprocess.run(["unshare", "-rm", "sh", "-c", f"mount -t tmpfs none '{folder}'"], capture_output=True)
    if sys.platform != "linux" or allowed.returncode:
        pytest.skip(SKIPPED)
    script = f"set -e; cd '{folder}'; {mounts}\nexec '{sys.executable}' -c \"$0\""
    done = subprocess.run(
        ["unshare", "-rm", "sh", "-c", script, python], capture_output=True, text=True, env=os.environ, cwd=folder
    )
    assert done.returncode == 0, done.stderr
    return done.stdout
