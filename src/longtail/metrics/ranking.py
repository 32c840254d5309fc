"""Accuracy of rankings, from the ranks of the targets alone."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

METRICS = ("recall", "precision", "f1", "hitrate", "ndcg", "mrr")


@dataclass(frozen=True)
class TargetRanks:
    """Ranks of all users' targets, one after the other.

    ranks [targets]: 1 is best; users [targets]: row of the target's user, 0..n_users-1. Every user has a target.
    """

    ranks: NDArray[np.int64]
    users: NDArray[np.int64]
    n_users: int

    def best(self) -> NDArray[np.int64]:
        """Rank of each user's best target. ``[users]``"""
        best = np.full(self.n_users, np.iinfo(np.int64).max)
        np.minimum.at(best, self.users, self.ranks)
        return best


def rank_targets(scores: NDArray[np.floating], targets: NDArray[np.integer]) -> NDArray[np.int64]:
    """Ranks of ``targets`` in one user's ``scores``: 1 + the other items that score as much or more.

    scores [items], -inf for what may not be recommended; a target at -inf ranks behind the whole catalogue.
    """
    wanted = scores[targets]
    if len(targets) <= 8:
        ranks = np.array([np.count_nonzero(scores >= value) for value in wanted], dtype=np.int64)
    else:
        ranks = len(scores) - np.searchsorted(np.sort(scores), wanted, side="left").astype(np.int64)
    ranks[np.isneginf(wanted)] = len(scores) + 1
    return ranks


def ranking_metrics(found: TargetRanks, cutoffs: Sequence[int]) -> dict[str, NDArray[np.float64]]:
    """Every metric at every cutoff for each user, as ``{"ndcg@10": [users], ...}``.

    With t targets of which h rank within k: recall h / t, precision h / k, f1 their harmonic mean, hitrate h > 0,
    mrr 1 / the best rank within k, ndcg the sum of 1 / log2(1 + rank) over that of t targets in front
    (Jarvelin and Kekalainen 2002, binary gains).
    """
    count = np.bincount(found.users, minlength=found.n_users)
    best = found.best().astype(np.float64)
    metrics: dict[str, NDArray[np.float64]] = {}
    for k in cutoffs:
        inside = found.ranks <= k
        hits = np.bincount(found.users[inside], minlength=found.n_users).astype(np.float64)
        gains = np.bincount(
            found.users[inside], weights=1 / np.log2(1.0 + found.ranks[inside]), minlength=found.n_users
        )
        ideal = np.concatenate([[0.0], np.cumsum(1 / np.log2(2.0 + np.arange(k)))])
        recall, precision = hits / count, hits / k
        metrics |= {
            f"recall@{k}": recall,
            f"precision@{k}": precision,
            f"f1@{k}": 2 * hits / (count + k),  # = 2 p r / (p + r), and 0 without a hit
            f"hitrate@{k}": (hits > 0).astype(np.float64),
            f"ndcg@{k}": gains / ideal[np.minimum(count, k)],
            f"mrr@{k}": np.where(best <= k, 1 / best, 0.0),
        }
    return metrics


def mean_ndcg(ranks: Sequence[NDArray[np.int64]], k: int = 10) -> float:
    """Mean NDCG@k of users, from the ranks of each one's targets."""
    owners = np.repeat(np.arange(len(ranks)), [len(own) for own in ranks])
    return float(ranking_metrics(TargetRanks(np.concatenate(ranks), owners, len(ranks)), (k,))[f"ndcg@{k}"].mean())
