"""The validation users, by whom shares and weights of the sparse term are chosen."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from longtail.contracts.prepared import PreparedDataset, Split
from longtail.neighbours.traits import traits_of_users
from longtail.scoring.bundle import length_bucket

CUT_BELOW = 5  # buckets of one length each
ENOUGH = 1000  # users of a length, from where they say enough of it


@dataclass(frozen=True)
class ValidationCases:
    """Histories, oldest first, and what each user went on to choose; of several targets the first counts.

    exclude_history: whether items of the history are not recommended again; traits: codes of each user's attributes and context
    in ``traits.vocabulary``.
    """

    histories: Sequence[NDArray[np.int32]]
    targets: Sequence[NDArray[np.int32]]
    exclude_history: bool
    traits: Sequence[NDArray[np.int64]] = ()

    @classmethod
    def of(cls, prepared: PreparedDataset) -> "ValidationCases":
        targets = prepared.targets(Split.VALIDATION)
        return cls(targets.histories, targets.items, prepared.exclude_history, traits_of_users(prepared, targets))

    def rows_of(self, bucket: int) -> NDArray[np.intp]:
        """Users whose history is of this bucket, and where they are few, those whose history can be cut to it."""
        lengths = np.array([len(history) for history in self.histories], dtype=np.int64)
        rows = np.flatnonzero(length_bucket(lengths) == bucket)
        return np.flatnonzero(lengths >= bucket) if bucket < CUT_BELOW and len(rows) < ENOUGH else rows

    def traits_of(self, rows: NDArray[np.integer]) -> list[NDArray[np.int64]]:
        return [self.traits[row] if len(self.traits) else np.zeros(0, np.int64) for row in rows.tolist()]
