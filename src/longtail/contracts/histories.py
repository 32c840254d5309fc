"""What is known of every user: the history and the attributes, whole, as an artifact or tables said it."""

from dataclasses import dataclass, field

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from longtail.contracts.artifacts import manifest_digest
from longtail.contracts.prepared import PreparedDataset


@dataclass(frozen=True)
class Ragged:
    """A list of codes for every row: row r has ``codes[starts[r] : starts[r + 1]]``. starts [rows + 1]; codes [all], int32."""

    starts: NDArray[np.int64]
    codes: NDArray[np.int32]

    @classmethod
    def by_row(cls, rows: NDArray[np.integer], codes: NDArray[np.integer], count: int) -> "Ragged":
        """From ascending ``rows`` of ``count`` and the code of each."""
        starts = np.searchsorted(rows, np.arange(count + 1))
        return cls(starts.astype(np.int64), codes.astype(np.int32))

    def texts(self, rows: slice, names: pa.Array) -> pa.ListArray:
        """Lists of the names of the codes, of some rows. names [codes]"""
        starts = self.starts[rows.start : rows.stop + 1]
        named = names.take(pa.array(self.codes[starts[0] : starts[-1]]))
        return pa.ListArray.from_arrays(pa.array((starts - starts[0]).astype(np.int32)), named)


@dataclass(frozen=True)
class Histories:
    """Users in the order of their ids, with whole histories: today's user knows all of it.

    user_ids: text [users]; items: of the history, oldest first, codes into ``item_ids`` [items], text; attributes: lists of
    ``name=value`` [users]; digest: of all that was read; source: what messages call it; left_out: reason -> rows of tables.
    """

    user_ids: pa.Array
    items: Ragged
    item_ids: pa.Array
    attributes: pa.Array
    digest: str
    source: str
    left_out: dict[str, int] = field(default_factory=dict)

    @classmethod
    def of(cls, prepared: PreparedDataset) -> "Histories":
        path = prepared.artifact.path
        return cls(
            user_ids=pa.array(prepared.user_ids, pa.string()),
            items=Ragged.by_row(prepared.user_codes, prepared.item_codes, len(prepared.user_ids)),
            item_ids=pa.array(prepared.item_ids, pa.string()),
            attributes=pa.array(prepared.user_attributes, pa.list_(pa.string())),
            digest=manifest_digest(path),
            source=str(path),
        )

    def __len__(self) -> int:
        return len(self.user_ids)

    def table(self, rows: slice) -> pa.Table:
        """``user_id``, ``history`` (item ids, oldest first) and ``attributes`` of some users."""
        columns = [self.user_ids[rows], self.items.texts(rows, self.item_ids), self.attributes[rows]]
        return pa.table(columns, names=["user_id", "history", "attributes"])
