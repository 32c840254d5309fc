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

    exclude_history: whether items of the history are not recommended again; by_clock: whether all were asked after the training
    events, so that histories are as short as they really are at such a moment; traits: codes of each user's attributes and context
    in ``traits.vocabulary``.
    """

    histories: Sequence[NDArray[np.int32]]
    targets: Sequence[NDArray[np.int32]]
    exclude_history: bool
    traits: Sequence[NDArray[np.int64]] = ()
    by_clock: bool = False

    @classmethod
    def of(cls, prepared: PreparedDataset) -> "ValidationCases":
        targets = prepared.targets(Split.VALIDATION)
        return cls(
            targets.histories,
            targets.items,
            prepared.exclude_history,
            traits_of_users(prepared, targets),
            prepared.by_clock,
        )

    def rows_of(self, bucket: int) -> NDArray[np.intp]:
        """Users whose history can be cut to this bucket; where there is a clock, those who really have such a one, if not too few."""
        lengths = np.array([len(history) for history in self.histories], dtype=np.int64)
        real = np.flatnonzero(length_bucket(lengths) == bucket)
        if bucket >= CUT_BELOW or (self.by_clock and len(real) >= ENOUGH):
            return real
        return np.flatnonzero(lengths >= bucket)

    def traits_of(self, rows: NDArray[np.integer]) -> list[NDArray[np.int64]]:
        return [self.traits[row] if len(self.traits) else np.zeros(0, np.int64) for row in rows.tolist()]
