"""Popularity by recency: an event counts half as much for every half-life that has passed since. Where there is a clock."""

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from longtail.contracts.columns import DAY
from longtail.contracts.prepared import PreparedDataset, Split
from longtail.metrics.ranking import ndcg, rank_targets
from longtail.neighbours.usual import FEWEST
from longtail.neighbours.validation_cases import ValidationCases

HALF_LIVES = (None, 730.0, 365.0, 180.0, 90.0, 45.0, 21.0, 10.0, 5.0, 2.0, 1.0)  # days; none counts all events alike


def recent_counts(prepared: PreparedDataset, half_life: float | None) -> NDArray[np.float64]:
    """Training events of every item, as of the last one of them. half_life: days; None: their number. ``[items]``"""
    rows = prepared.splits == Split.TRAIN
    weights = None
    if half_life is not None and rows.any():
        age = prepared.timestamps[rows].max() - prepared.timestamps[rows]
        weights = 0.5 ** (age / (half_life * DAY))
    counts = np.bincount(prepared.item_codes[rows], weights=weights, minlength=len(prepared.item_ids))
    return counts.astype(np.float64)


def likely_counts(prepared: PreparedDataset, half_life: float | None) -> NDArray[np.float64]:
    """``recent_counts``, as they would be had all items been shown alike, where it is known what was shown. ``[items]``"""
    counts, weights = recent_counts(prepared, half_life), prepared.exposure_weights()
    return counts if weights is None else counts * weights


def choose_half_life(prepared: PreparedDataset, cases: ValidationCases) -> float | None:
    """The half-life in days whose counts rank best what the validation users chose first; None where age says nothing, or
    they are too few to tell.

    Where each user's own last events are held back, these lie at all times, and the age of an event at the end of the data
    says nothing of what it was when they chose.
    """
    if not prepared.by_clock or len(cases.targets) < FEWEST:
        return None
    gains = [ndcg_of_counts(recent_counts(prepared, half_life), cases) for half_life in HALF_LIVES]
    return HALF_LIVES[int(np.argmax(gains))]


def ndcg_of_counts(counts: NDArray[np.float64], cases: ValidationCases, size: int = 1000) -> float:
    """Mean NDCG@10 of what validation users chose first, when everybody is shown the items with the greatest counts."""
    found: list[NDArray[np.float64]] = []
    for begin in range(0, len(cases.targets), size):
        users = slice(begin, begin + size)
        wanted: Sequence[NDArray[np.int32]] = [items[:1] for items in cases.targets[users]]
        scores = np.tile(counts, (len(wanted), 1))
        excluded = cases.histories[users] if cases.exclude_history else []
        found.append(ndcg(rank_targets(scores, wanted, excluded)))
    return float(np.concatenate(found).mean()) if found else 0.0
