"""Checks of the machine before work starts: one line and the remedy each. Standard library only: set-up runs it first."""

import argparse
import os
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

from longtail.contracts.errors import EXIT_CODE, UserError
from longtail.system.machine import available_cores, available_memory

GB = 1e9
TEMPORARY_GB = 0.2  # what a run needs there; set-up asks for more
THREAD_VARIABLES = ("OMP_NUM_THREADS", "MKL_NUM_THREADS", "OPENBLAS_NUM_THREADS", "RAYON_NUM_THREADS")


def check_machine(
    folder: str | os.PathLike[str], disk_gb: float, memory_gb: float, temporary_gb: float = TEMPORARY_GB
) -> None:
    """Refuse early what would fail late. ``folder`` is where results go; it need not exist yet.

    Raises:
        UserError: where the folder cannot be written, or disk, memory or the temporary folder do not suffice.
    """
    place = Path(folder).absolute()
    while not place.exists():
        place = place.parent
    _check_writable(place, f"{folder} cannot be written", "choose a folder that you own")
    _check_free(place, disk_gb, "free some, or choose a folder on another disk")
    memory = available_memory() / GB
    if memory < memory_gb:
        raise UserError(
            f"{memory:.1f} GB of memory are available, but {memory_gb:g} GB are needed; "
            "close other programs, or raise the container's memory limit"
        )
    _check_temporary(temporary_gb)


def check_home() -> None:
    """pip and the libraries keep caches below HOME.

    Raises:
        UserError: where HOME does not exist or cannot be written.
    """
    _check_writable(Path.home(), f"HOME ({Path.home()}) cannot be written", "set HOME to a folder that you own")


def set_threads() -> int:
    """Let numeric libraries use the cores that this process may really use, where the user has not said otherwise.

    Call it before they are imported; child processes inherit it. Returns the number of cores.
    """
    cores = available_cores()
    for name in THREAD_VARIABLES:
        os.environ.setdefault(name, str(cores))
    return cores


def _check_writable(folder: Path, message: str, remedy: str) -> None:
    try:
        with tempfile.TemporaryFile(dir=folder):
            pass
    except OSError as error:
        raise UserError(f"{message} ({error.strerror}); {remedy}") from None


def _check_free(folder: Path, needed_gb: float, remedy: str) -> None:
    free = shutil.disk_usage(folder).free / GB
    if free < needed_gb:
        raise UserError(f"{folder}: {free:.1f} GB are free, but {needed_gb:g} GB are needed; {remedy}")


def _check_temporary(needed_gb: float) -> None:
    folder = Path(os.environ.get("TMPDIR") or "/tmp")  # noqa: S108  (what pip and other tools use too)
    remedy = "set TMPDIR to a folder on a roomy disk that may run programs"
    _check_writable(folder, f"the temporary folder {folder} cannot be written", remedy)
    _check_free(folder, needed_gb, remedy)
    with tempfile.TemporaryDirectory(dir=folder) as inside:
        script = Path(inside) / "probe"
        script.write_text("#!/bin/sh\nexit 0\n")
        script.chmod(0o700)
        try:
            subprocess.run([str(script)], check=True)
        except (OSError, subprocess.CalledProcessError):
            raise UserError(f"the temporary folder {folder} does not let programs run (noexec); {remedy}") from None


def main() -> None:
    """What scripts/setup.sh asks before it installs anything."""
    parser = argparse.ArgumentParser(description=main.__doc__)
    parser.add_argument("--folder", required=True)
    parser.add_argument("--disk-gb", type=float, required=True)
    parser.add_argument("--memory-gb", type=float, required=True)
    parser.add_argument("--temporary-gb", type=float, required=True)
    given = parser.parse_args()
    try:
        check_home()
        check_machine(given.folder, given.disk_gb, given.memory_gb, given.temporary_gb)
    except UserError as error:
        print(f"error: {error}", file=sys.stderr)
        sys.exit(EXIT_CODE)


if __name__ == "__main__":
    main()
