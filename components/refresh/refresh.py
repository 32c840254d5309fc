"""Stage 5: lets the bundle that passed the gate learn from all events, those that validated and tested it too."""

import logging
import shutil
from pathlib import Path

from longtail.components.refresh.retrain import retrain
from longtail.components.refresh.settings import RefreshSettings
from longtail.contracts.artifacts import BUNDLE, check_place, read_artifact
from longtail.contracts.errors import UserError
from longtail.contracts.folders import new_folder
from longtail.contracts.prepared import PreparedDataset
from longtail.neighbours.recounting import write_recounted
from longtail.scoring.bundle import load_bundle

log = logging.getLogger(__name__)


def refresh(
    prepared: str | Path,
    teacher: str | Path,
    bundle: str | Path,
    output: str | Path,
    settings: RefreshSettings,
    passed: bool = True,
) -> None:
    """Write the bundle that is served to ``output``. Only ``retrain`` reads the teacher.

    passed: whether the gate let the bundle be served; one that it did not is passed on as it was measured, file by file.

    Raises:
        UserError: a bundle of another catalogue than the data, or of an earlier version; and as ``retrain``.
    """
    check_place(output, BUNDLE)
    if not passed or settings.mode == "none":
        log.info(
            "%s: stays as it was measured (%s)", bundle, "refresh.mode none" if passed else "the gate did not pass"
        )
        _copy(bundle, output)
        return
    data = PreparedDataset(prepared)
    if load_bundle(bundle).item_ids != data.item_ids:
        raise UserError(f"{bundle}: its catalogue is not that of {prepared}; train it again on this data")
    if settings.mode == "retrain":
        retrain(data, teacher, bundle, output)
    else:
        write_recounted(bundle, data, output)


def _copy(bundle: str | Path, output: str | Path) -> None:
    with new_folder(output) as folder:
        shutil.copytree(read_artifact(bundle, BUNDLE).path, folder, dirs_exist_ok=True)
