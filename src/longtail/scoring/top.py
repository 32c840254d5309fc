"""The best items of a row of scores, in a total order."""

import numpy as np
from numpy.typing import NDArray

_BLOCK = 128  # scores; the k-th greatest maximum of the blocks bounds the k-th greatest score from below


def top_items(scores: NDArray[np.floating], k: int, excluded: NDArray[np.integer]) -> NDArray[np.intp]:
    """Codes of the best ``k`` items, best first; ties go to the smaller code. Fewer where too many are excluded.

    scores [items]; excluded: item codes that may not be chosen.

    Raises:
        ValueError: a score is NaN, which compares with nothing.
    """
    allowed = np.array(scores)
    allowed[excluded] = -np.inf
    if np.isnan(allowed.max(initial=-np.inf)):
        raise ValueError(f"item {int(np.isnan(allowed).argmax())} has the score nan; scores must be numbers")
    candidates = np.flatnonzero(allowed >= _lower_bound(allowed, k))  # ascending, so that a stable sort settles ties
    best = candidates[np.argsort(-allowed[candidates], kind="stable")][:k]
    return best[allowed[best] > -np.inf]


def _lower_bound(scores: NDArray[np.floating], k: int) -> float:
    """A number that at least ``k`` scores reach; by blocks, where there are enough, much faster than a partition of tied scores."""
    blocks = len(scores) // _BLOCK
    if blocks < k:
        return float(np.partition(scores, len(scores) - k)[len(scores) - k]) if k < len(scores) else -np.inf
    greatest = scores[: blocks * _BLOCK].reshape(blocks, _BLOCK).max(axis=1)
    return float(np.partition(greatest, blocks - k)[blocks - k])
