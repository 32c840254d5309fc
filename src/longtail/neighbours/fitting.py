"""Fits the weights of the sparse and the popularity term on the validation targets, per length of the history."""

import logging
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from longtail.metrics.ranking import ndcg, rank_targets
from longtail.neighbours.item_to_item import ItemToItem
from longtail.neighbours.validation_cases import ValidationCases
from longtail.scoring.bundle import LENGTH_BUCKETS, LENGTH_EDGES, length_bucket

log = logging.getLogger(__name__)

NEIGHBOUR_WEIGHTS = (0.0, 2.0, 4.0, 6.0, 8.0, 11.0, 14.0, 18.0, 22.0, 27.0, 33.0, 40.0, 50.0)
POPULARITY_WEIGHTS = (0.0, 0.1, 0.2, 0.4, 0.7, 1.0, 2.0, 4.0, 8.0)
SAMPLE = 8000  # validation users of a bucket at most
CHUNK = 1000


@dataclass(frozen=True)
class Fit:
    """What validation chose. weights [LENGTH_BUCKETS]; ndcg: bucket -> validation NDCG@10."""

    neighbour_weight: NDArray[np.float32]
    popularity_weight: NDArray[np.float32]
    ndcg: list[float | None]


@dataclass(frozen=True)
class _Case:
    """Users of one bucket: query vectors [n, dim], what they show of their histories, all of them, their first targets."""

    queries: NDArray[np.float32]
    shown: list[NDArray[np.int32]]
    whole: list[NDArray[np.int32]]
    targets: list[NDArray[np.int32]]


Encode = Callable[[list[NDArray[np.int32]], NDArray[np.intp]], NDArray[np.float32]]


def fit_terms(
    term: ItemToItem,
    item_matrix: NDArray[np.float32],
    log_popularity: NDArray[np.float32],
    cases: ValidationCases,
    encode: Encode,
    seed: int,
) -> Fit:
    """Choose the weights that give the best validation NDCG@10: of the sparse term, then of popularity beside it.

    encode: (histories, rows of the users) -> query vectors [n, dim].
    """
    by_bucket = _by_bucket(cases, encode, seed)
    evaluator = _Evaluator(term, item_matrix, log_popularity, cases.exclude_history)
    gains = np.full((LENGTH_BUCKETS, len(NEIGHBOUR_WEIGHTS)), np.nan)
    for bucket, case in by_bucket.items():
        gains[bucket] = evaluator.ndcg(case, [(weight if bucket else 0.0, 0.0) for weight in NEIGHBOUR_WEIGHTS])
    neighbour_weight = np.array(NEIGHBOUR_WEIGHTS, np.float32)[_best(_smoothed(gains))]
    gains = np.full((LENGTH_BUCKETS, len(POPULARITY_WEIGHTS)), np.nan)
    for bucket, case in by_bucket.items():
        neighbour = float(neighbour_weight[bucket])
        gains[bucket] = evaluator.ndcg(case, [(neighbour, weight) for weight in POPULARITY_WEIGHTS])
    best = _best(_smoothed(gains))
    popularity_weight = np.array(POPULARITY_WEIGHTS, np.float32)[best]
    edges = LENGTH_EDGES.tolist()
    log.info("weights of the sparse term by history length (edges %s): %s", edges, neighbour_weight.tolist())
    log.info("weights of popularity by history length: %s", popularity_weight.tolist())
    reached = [float(gains[bucket, best[bucket]]) if bucket in by_bucket else None for bucket in range(LENGTH_BUCKETS)]
    return Fit(neighbour_weight, popularity_weight, reached)


def _by_bucket(cases: ValidationCases, encode: Encode, seed: int) -> dict[int, _Case]:
    """The users that fit each bucket's weights; none for a bucket without users.

    Buckets of short histories are fitted on validation users whose history is cut to its last items, so that a data set
    without newcomers still says how to serve them. What is cut off is not ranked: the model was trained on it beside the
    items shown, so it would only stand in the way of the target, as nothing does for users who really have short histories.
    """
    rng = np.random.default_rng(seed)
    lengths = np.array([len(history) for history in cases.histories])
    found: dict[int, _Case] = {}
    for bucket in range(LENGTH_BUCKETS):
        rows = np.flatnonzero(lengths >= bucket if bucket < 5 else length_bucket(lengths) == bucket)
        if len(rows) == 0:
            continue
        rows = np.sort(rng.permutation(rows)[:SAMPLE])
        whole = [cases.histories[row] for row in rows.tolist()]
        shown = [history[len(history) - bucket :] for history in whole] if bucket < 5 else whole
        wanted = [cases.targets[row][:1] for row in rows.tolist()]
        found[bucket] = _Case(encode(shown, rows), shown, whole, wanted)
    return found


def _smoothed(gains: NDArray[np.float64]) -> NDArray[np.float64]:
    """Half a bucket's own gains, a quarter each from the next shorter and longer histories: neighbours hardly differ in
    what is best, and a single bucket's best is noisy. Newcomers (bucket 0) stand alone. ``[buckets, weights]``"""
    result = gains.copy()
    for bucket in range(1, len(gains)):
        beside = [gains[near] for near in (bucket - 1, bucket + 1) if 1 <= near < len(gains)]
        parts = [gains[bucket], gains[bucket], *beside]
        there = [part for part in parts if not np.isnan(part).any()]
        if there:
            result[bucket] = np.mean(there, axis=0)
    return result


def _best(gains: NDArray[np.float64]) -> NDArray[np.intp]:
    """Place of the best weight of each bucket; a bucket without validation users takes that of the next shorter histories."""
    chosen = np.zeros(len(gains), np.intp)
    for bucket, row in enumerate(gains):
        if not np.isnan(row).any():
            chosen[bucket] = row.argmax()
        elif bucket > 1:
            chosen[bucket] = chosen[bucket - 1]
    return chosen


@dataclass(frozen=True)
class _Evaluator:
    term: ItemToItem
    item_matrix: NDArray[np.float32]
    log_popularity: NDArray[np.float32]
    exclude_history: bool

    def ndcg(self, case: _Case, pairs: Sequence[tuple[float, float]]) -> NDArray[np.float64]:
        """Validation NDCG@10 with each pair of neighbour and popularity weight. ``[pairs]``"""
        gains = np.zeros(len(pairs))
        for begin in range(0, len(case.targets), CHUNK):
            users = slice(begin, begin + CHUNK)
            dense = case.queries[users] @ self.item_matrix.T
            term = self.term.scores(case.shown[users])
            for place, (neighbour, popular) in enumerate(pairs):
                scores = dense + np.float32(neighbour) * term
                if popular:
                    scores += np.float32(popular) * self.log_popularity
                excluded = case.whole[users] if self.exclude_history else []
                gains[place] += ndcg(rank_targets(scores, case.targets[users], excluded)).sum()
        return gains / max(len(case.targets), 1)
