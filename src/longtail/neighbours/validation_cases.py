"""The validation users, by whom shares and weights of the sparse term are chosen."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from longtail.contracts.prepared import PreparedDataset, Split


@dataclass(frozen=True)
class ValidationCases:
    """Histories, oldest first, and what each user went on to choose; of several targets the first counts.

    exclude_history: whether items of the history are not recommended again.
    """

    histories: Sequence[NDArray[np.int32]]
    targets: Sequence[NDArray[np.int32]]
    exclude_history: bool

    @classmethod
    def of(cls, prepared: PreparedDataset) -> "ValidationCases":
        targets = prepared.targets(Split.VALIDATION)
        return cls(targets.histories, targets.items, prepared.exclude_history)
