"""Places that commands write: what they may replace there."""

from pathlib import Path

from longtail.contracts.artifacts import MANIFEST
from longtail.contracts.errors import UserError
from longtail.system.preflight import check_machine


def check_output(output: Path) -> None:
    """Refuse, before any work, a place that cannot be written, or that holds what is not ours to replace.

    Raises:
        UserError: naming the place and the remedy.
    """
    if output.resolve() in (Path.cwd(), *Path.cwd().parents):
        raise UserError(f"--output {output}: is the working folder or one above it; name a folder of its own")
    if output.exists() and not output.is_dir():
        raise UserError(f"--output {output}: is a file; name a folder")
    check_replaceable(output, "--output")
    check_machine(output, disk_gb=0.5, memory_gb=0.5)


def check_replaceable(folder: Path, option: str) -> None:
    """A folder may be replaced where it is absent, empty, or an artifact.

    Raises:
        UserError: where it holds something else.
    """
    if folder.is_dir() and any(folder.iterdir()) and not (folder / MANIFEST).is_file():
        raise UserError(f"{option} {folder}: holds files that no stage of longtail wrote; name another folder")
