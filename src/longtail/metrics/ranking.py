"""Accuracy of rankings, from the ranks of the targets alone."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

METRICS = ("recall", "precision", "f1", "hitrate", "ndcg", "mrr", "expected_ndcg")


@dataclass(frozen=True)
class TargetRanks:
    """Ranks of all users' targets, one after the other.

    ranks [targets]: 1 is best; users [targets]: row of the target's user, 0..n_users-1. Every user has a target.
    tied [targets]: other items that score the same as the target; ``ranks`` puts all of them before it.
    """

    ranks: NDArray[np.int64]
    users: NDArray[np.int64]
    n_users: int
    tied: NDArray[np.int64]

    @classmethod
    def joined(cls, parts: "Sequence[TargetRanks]") -> "TargetRanks":
        """The users of several batches, one batch after the other."""
        begins = np.cumsum([0, *(part.n_users for part in parts)])
        users = [part.users + begin for part, begin in zip(parts, begins)]
        none = np.zeros(0, np.int64)
        return cls(
            np.concatenate([none, *(part.ranks for part in parts)]),
            np.concatenate([none, *users]),
            int(begins[-1]),
            np.concatenate([none, *(part.tied for part in parts)]),
        )

    def of_rows(self, rows: NDArray[np.integer]) -> "TargetRanks":
        """The same ranks, of users that were ranked in another order: user i is the one of row ``rows[i]``."""
        return TargetRanks(self.ranks, np.asarray(rows, dtype=np.int64)[self.users], self.n_users, self.tied)

    def best(self) -> NDArray[np.int64]:
        """Rank of each user's best target. ``[users]``"""
        best = np.full(self.n_users, np.iinfo(np.int64).max)
        np.minimum.at(best, self.users, self.ranks)
        return best

    def first(self) -> "TargetRanks":
        """Each user's first target alone."""
        rows = np.unique(self.users, return_index=True)[1]
        return TargetRanks(self.ranks[rows], self.users[rows], self.n_users, self.tied[rows])


def rank_targets(
    scores: NDArray[np.floating],
    targets: Sequence[NDArray[np.integer]],
    excluded: Sequence[NDArray[np.integer]] = (),
) -> TargetRanks:
    """Rank each user's targets: 1 + the other items that score as much or more, so a tie counts against the target.

    The one place where scores become ranks: training, fitting, compression and evaluation ask it.

    Args:
        scores: [users, items], -inf for what may not be recommended; changed in place: excluded items get -inf.
        targets: each user's item codes; one at -inf ranks behind the whole catalogue.
        excluded: each user's item codes that may not be recommended; none where left out.

    Raises:
        ValueError: a score that is not a number, or infinite. It would compare as smaller than none.
    """
    with np.errstate(invalid="ignore"):  # inf - inf
        sums = scores.sum(axis=1)
    for bad in np.flatnonzero(np.isnan(sums) | np.isposinf(sums)):
        raise ValueError(f"row {bad} of {len(scores)}: a score is not a number or infinite, so nothing can be ranked")
    for row, items in enumerate(excluded):
        scores[row, items] = -np.inf
    owners = np.repeat(np.arange(len(targets)), [len(items) for items in targets])
    codes = np.concatenate([*targets, np.zeros(0, np.int64)]).astype(np.int64)
    wanted = scores[owners, codes]
    ranks = np.array([np.count_nonzero(scores[row] >= score) for row, score in zip(owners, wanted)], dtype=np.int64)
    tied = np.array([np.count_nonzero(scores[row] == score) - 1 for row, score in zip(owners, wanted)], dtype=np.int64)
    unreachable = np.isneginf(wanted)
    ranks[unreachable], tied[unreachable] = scores.shape[1] + 1, 0
    return TargetRanks(ranks, owners, len(targets), tied)


def ranking_metrics(found: TargetRanks, cutoffs: Sequence[int]) -> dict[str, NDArray[np.float64]]:
    """Every metric at every cutoff for each user, as ``{"ndcg@10": [users], ...}``.

    With t targets of which h rank within k: recall h / t, precision h / k, f1 their harmonic mean, hitrate h > 0,
    mrr 1 / the best rank within k, ndcg the sum of 1 / log2(1 + rank) over that of t targets in front
    (Jarvelin and Kekalainen 2002, binary gains). expected_ndcg is the mean of ndcg over all orders of the items that score
    alike, ties at random instead of against the target; it equals ndcg where there are none.
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
        best_gain = ideal[np.minimum(count, k)]
        recall, precision = hits / count, hits / k
        metrics |= {
            f"recall@{k}": recall,
            f"precision@{k}": precision,
            f"f1@{k}": 2 * hits / (count + k),  # = 2 p r / (p + r), and 0 without a hit
            f"hitrate@{k}": (hits > 0).astype(np.float64),
            f"ndcg@{k}": gains / best_gain,
            f"mrr@{k}": np.where(best <= k, 1 / best, 0.0),
            f"expected_ndcg@{k}": _expected_gains(found, ideal) / best_gain,
        }
    return metrics


def _expected_gains(found: TargetRanks, ideal: NDArray[np.float64]) -> NDArray[np.float64]:
    """The sum over each user's targets of their mean gain over the places of their ties. ``[users]``

    ideal [k + 1]: gain of the first 0, 1, ... k places together.
    """
    k = len(ideal) - 1
    before = found.ranks - found.tied - 1  # places before those that the tied items share
    gains = (ideal[np.minimum(found.ranks, k)] - ideal[np.minimum(before, k)]) / (found.tied + 1)
    return np.asarray(np.bincount(found.users, weights=gains, minlength=found.n_users), dtype=np.float64)


def ndcg(found: TargetRanks, k: int = 10) -> NDArray[np.float64]:
    """NDCG@k of every user. ``[users]``"""
    return ranking_metrics(found, (k,))[f"ndcg@{k}"]
