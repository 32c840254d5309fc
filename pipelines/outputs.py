"""Places that commands write: what they may replace there."""

from pathlib import Path

from longtail.contracts.artifacts import check_place
from longtail.contracts.errors import about
from longtail.contracts.folders import place_of
from longtail.system.preflight import check_machine


def check_output(output: Path) -> None:
    """Refuse, before any work, a place that cannot be written, or that holds what is not ours to replace.

    Raises:
        UserError: naming the place and the remedy.
    """
    with about("--output"):
        check_place(output)
    check_machine(place_of(output).parent, disk_gb=0.5, memory_gb=0.5)
