"""All interactions up to now, for a bundle between two trainings: read and filtered as in training."""

from collections.abc import Sequence
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq

from longtail.components.preprocess.layouts import OURS
from longtail.components.preprocess.prepare import prepare
from longtail.components.preprocess.settings import PreprocessSettings
from longtail.contracts.columns import Columns
from longtail.contracts.prepared import PreparedDataset


def read_events(uri: str, item_ids: Sequence[str], settings: PreprocessSettings, work: Path) -> PreparedDataset:
    """The events of the table in a Prepared data set below ``work`` whose catalogue is ``item_ids``, in some other order.

    Raises:
        UserError: as preprocess does; ``settings.max_rejected_share`` limits the share of events of other items, too.
    """
    items = work / "items.parquet"
    pq.write_table(pa.table({Columns.ITEM: item_ids, Columns.TITLE: item_ids}), items)
    known = [name for name in OURS["interactions"] if name != Columns.SPLIT]
    here = {
        "columns": {ours: theirs for ours, theirs in settings.columns.items() if ours in known},
        "split": "leave_last_out" if settings.split == "given" else settings.split,  # all of it is learnt from
        "trusted_context": settings.context,  # it was checked in training
        "max_tied_share": 1.0,  # there is no target that could be drawn
    }
    prepare(uri, str(items), None, work / "events", settings.model_copy(update=here))
    return PreparedDataset(work / "events")
