"""What accuracy does not say: how varied the lists are, and how much of the catalogue and of its long tail they show.

Lists are [users, k] item codes, -1 where a list is shorter than k.
"""

import numpy as np
from numpy.typing import NDArray

HEAD_SHARE = 0.8  # the most popular items that together make this share of the training events are not long-tail
_CHUNK = 1024  # users at once: 31 MB of doubles at k = 10 and 384 dimensions


def intra_list_diversity(lists: NDArray[np.integer], vectors: NDArray[np.floating]) -> NDArray[np.float64]:
    """1 - mean cosine over the pairs of a list; nan for a list of fewer than two items. ``[users]``

    vectors [items, dim]: unit rows; a zero row (an item without text) is unlike every other.
    """
    diversity = np.full(len(lists), np.nan)
    for start in range(0, len(lists), _CHUNK):
        codes = lists[start : start + _CHUNK]
        shown = codes >= 0  # [chunk, k]
        found = vectors[np.where(shown, codes, 0)].astype(np.float64) * shown[:, :, None]  # [chunk, k, dim]
        # |sum of v|^2 = sum of |v|^2 + twice the sum over the pairs
        twice = np.square(found.sum(axis=1)).sum(axis=1) - np.square(found).sum(axis=(1, 2))
        count = shown.sum(axis=1)
        enough = count >= 2
        diversity[start : start + _CHUNK][enough] = 1 - (twice / np.maximum(count * (count - 1), 1))[enough]
    return diversity


def coverage(lists: NDArray[np.integer], n_items: int) -> float:
    """Share of the catalogue that is in at least one list."""
    return len(np.unique(lists[lists >= 0])) / n_items


def long_tail_items(train_counts: NDArray[np.integer]) -> NDArray[np.bool_]:
    """Items outside the most popular ones that together make ``HEAD_SHARE`` of the training events. ``[items]``

    train_counts [items]. Equally popular items are taken in the order of their codes.
    """
    order = np.argsort(-train_counts.astype(np.int64), kind="stable")
    events = train_counts[order].cumsum()
    total = int(events[-1]) if len(events) else 0
    before = events - train_counts[order]  # events of more popular items
    tail = np.empty(len(train_counts), dtype=bool)
    tail[order] = before >= HEAD_SHARE * total
    return tail


def long_tail_share(lists: NDArray[np.integer], is_long_tail: NDArray[np.bool_]) -> NDArray[np.float64]:
    """Share of a list's items that are long-tail; nan for an empty list. ``[users]``"""
    shown = lists >= 0
    count = shown.sum(axis=1)
    found = (is_long_tail[np.where(shown, lists, 0)] & shown).sum(axis=1)
    return np.where(count > 0, found / np.maximum(count, 1), np.nan)
