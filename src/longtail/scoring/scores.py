"""Scores of one question's items: of the whole catalogue, or of those that an index found."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from longtail.scoring.top import top_items

NOBODY: NDArray[np.int32] = np.zeros(0, np.int32)


@dataclass(frozen=True)
class Scores:
    """values [n] of the items ``codes`` [n], ascending; of all items where that is None.

    complete: whether every item that may be given is among them; else those with the best scores are, but for what an index misses.
    """

    values: NDArray[np.float32]
    codes: NDArray[np.integer] | None = None
    complete: bool = True

    def __getitem__(self, items: NDArray[np.integer]) -> NDArray[np.float32]:
        """Of items that are among them. ``[items]``"""
        return self.values[items if self.codes is None else np.searchsorted(self.codes, items)]

    def best(self, k: int, left_out: NDArray[np.integer], allowed: NDArray[np.bool_] | None = None) -> NDArray[np.intp]:
        """As ``top_items``, of those that are allowed; without a mask [catalogue] all are that are not left out."""
        if not k:
            return np.zeros(0, dtype=np.intp)
        if self.codes is None:
            if allowed is None:
                return top_items(self.values, k, left_out)
            codes = np.flatnonzero(allowed)
            return codes[top_items(self.values[codes], k, NOBODY)]
        kept = ~np.isin(self.codes, left_out) if allowed is None else allowed[self.codes]
        best = top_items(self.values[kept], k, NOBODY)
        return np.asarray(self.codes[kept][best], dtype=np.intp)


def distinct(codes: Sequence[NDArray[np.integer]]) -> NDArray[np.integer]:
    """All of them, ascending, each once; for thousands ten times as fast as ``np.unique``."""
    found = np.sort(np.concatenate(codes))
    return found[np.diff(found, prepend=-1) > 0]
