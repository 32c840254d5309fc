"""User segments: the one place that says who is cold, tail, torso or head."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

SEGMENTS = ("cold", "tail", "torso", "head")
ALL = "all"


@dataclass(frozen=True)
class SegmentRule:
    """Upper bounds (inclusive) of the history length of tail and torso; cold is always an empty history."""

    tail_max: int = 4
    torso_max: int = 9

    def assign(self, history_lengths: NDArray[np.integer]) -> NDArray[np.str_]:
        """Segment of each user by the length of the history at prediction time. ``[users] -> [users]``"""
        lengths = np.asarray(history_lengths)
        edges = np.array([0, self.tail_max, self.torso_max])
        return np.array(SEGMENTS)[np.searchsorted(edges, lengths, side="left")]

    @classmethod
    def from_quantiles(
        cls, history_lengths: NDArray[np.integer], tail: float = 0.5, torso: float = 0.8
    ) -> "SegmentRule":
        """Bounds at the given quantiles of the non-empty histories."""
        lengths = np.asarray(history_lengths)
        lengths = lengths[lengths > 0]
        if len(lengths) == 0:
            return cls()
        low, high = (int(np.quantile(lengths, q, method="lower")) for q in (tail, torso))
        return cls(tail_max=low, torso_max=max(high, low))
