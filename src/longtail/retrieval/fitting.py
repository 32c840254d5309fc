"""Fits the weights of the sparse and the popularity term on the validation targets, per length of the history."""

import logging
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy import sparse

from longtail.retrieval.bundle import LENGTH_BUCKETS, LENGTH_EDGES, length_bucket
from longtail.retrieval.neighbours import SparseRows, keep_top

log = logging.getLogger(__name__)

DECAYS = (0.5, 0.7, 0.85)
LEXICAL_SHARES = (0.3, 0.5, 0.65, 0.8)
NEIGHBOUR_WEIGHTS = (0.0, 1.0, 2.0, 4.0, 6.0, 9.0, 13.0, 18.0, 25.0)
POPULARITY_WEIGHTS = (0.0, 0.1, 0.2, 0.4, 0.7, 1.0, 2.0, 4.0, 8.0)
CHUNK = 1000


@dataclass(frozen=True)
class Fit:
    """What validation chose. neighbours [items, items]; weights [LENGTH_BUCKETS]; ndcg: bucket -> validation NDCG@10."""

    neighbours: SparseRows
    decay: float
    neighbour_weight: NDArray[np.float32]
    popularity_weight: NDArray[np.float32]
    ndcg: list[float | None]


@dataclass(frozen=True)
class _Case:
    """Users of one bucket: query vectors [n, dim], histories, targets (the first of each user)."""

    queries: NDArray[np.float32]
    histories: list[NDArray[np.int32]]
    targets: NDArray[np.int64]


def history_matrix(histories: Sequence[NDArray[np.int32]], n_items: int, decay: float) -> sparse.csr_array:
    """Recency-weighted histories: decay ** age of each item. ``[users, items]``"""
    rows = np.repeat(np.arange(len(histories)), [len(history) for history in histories])
    items = np.concatenate([*histories, np.zeros(0, np.int32)])
    weights = np.concatenate([decay ** np.arange(len(history) - 1, -1, -1) for history in histories] + [np.zeros(0)])
    return sparse.csr_array((weights.astype(np.float32), (rows, items)), shape=(len(histories), n_items))


def fit_terms(
    cooccurrence: sparse.csr_array,
    lexical: sparse.csr_array,
    item_matrix: NDArray[np.float32],
    log_popularity: NDArray[np.float32],
    histories: Sequence[NDArray[np.int32]],
    targets: Sequence[NDArray[np.int32]],
    encode: Callable[[list[NDArray[np.int32]], NDArray[np.intp]], NDArray[np.float32]],
    neighbours: int,
    exclude_history: bool,
    seed: int,
    sample: int = 4000,
) -> Fit:
    """Choose decay, mixture and weights that give the best validation NDCG@10.

    Buckets of short histories are fitted on validation users whose history is cut to its last items, so that a data set
    without newcomers still says how to serve them.

    Args:
        cooccurrence, lexical: similarities [items, items].
        histories, targets: the validation users'.
        encode: (histories, rows of the users) -> query vectors [n, dim].
        neighbours: entries a row of the matrix keeps.
    """
    rng = np.random.default_rng(seed)
    lengths = np.array([len(history) for history in histories])
    cases: dict[int, _Case] = {}
    for bucket in range(LENGTH_BUCKETS):
        shown = bucket if bucket < 5 else None
        rows = (
            np.flatnonzero(lengths >= bucket) if shown is not None else np.flatnonzero(length_bucket(lengths) == bucket)
        )
        if len(rows) == 0:
            continue
        rows = np.sort(rng.choice(rows, min(sample, len(rows)), replace=False))
        cut = [histories[row] if shown is None else histories[row][lengths[row] - shown :] for row in rows.tolist()]
        chosen = np.array([targets[row][0] for row in rows.tolist()], dtype=np.int64)
        cases[bucket] = _Case(encode(cut, rows), cut, chosen)
    terms = (cooccurrence, lexical)
    evaluator = _Evaluator(item_matrix, log_popularity, exclude_history)
    whole = [case for bucket, case in cases.items() if bucket > 0]
    if not whole or len(item_matrix) < 2:
        empty = sparse.csr_array((len(item_matrix), len(item_matrix)), dtype=np.float32)
        zeros = np.zeros(LENGTH_BUCKETS, np.float32)
        return Fit(empty, DECAYS[0], zeros, zeros, [None] * LENGTH_BUCKETS)
    best = (-1.0, keep_top(_mix(*terms, 0.5), neighbours), DECAYS[0])
    for share in LEXICAL_SHARES:
        matrix = keep_top(_mix(*terms, share), neighbours)
        for decay in DECAYS:
            score = float(
                np.mean(
                    [max(evaluator.grid(case, matrix, decay, (4.0, 9.0, 18.0), (0.0,), 800).ravel()) for case in whole]
                )
            )
            if score > best[0]:
                best = (score, matrix, decay)
                log.info("sparse term: lexical share %.2f, decay %.2f: validation NDCG@10 %.4f", share, decay, score)
    _, matrix, decay = best
    neighbour_weight, popularity_weight = np.zeros(LENGTH_BUCKETS, np.float32), np.zeros(LENGTH_BUCKETS, np.float32)
    ndcg: list[float | None] = [None] * LENGTH_BUCKETS
    for bucket, case in cases.items():
        grid = evaluator.grid(case, matrix, decay, NEIGHBOUR_WEIGHTS if bucket else (0.0,), POPULARITY_WEIGHTS, sample)
        row, column = np.unravel_index(int(np.argmax(grid)), grid.shape)
        neighbour_weight[bucket] = (NEIGHBOUR_WEIGHTS if bucket else (0.0,))[row]
        popularity_weight[bucket] = POPULARITY_WEIGHTS[column]
        ndcg[bucket] = float(grid[row, column])
    for bucket in range(1, LENGTH_BUCKETS):  # a bucket without validation users takes its neighbour's weights
        if bucket not in cases:
            neighbour_weight[bucket], popularity_weight[bucket] = (
                neighbour_weight[bucket - 1],
                popularity_weight[bucket - 1],
            )
    log.info(
        "weights of the sparse term by history length (edges %s): %s", LENGTH_EDGES.tolist(), neighbour_weight.tolist()
    )
    log.info("weights of popularity by history length: %s", popularity_weight.tolist())
    return Fit(matrix, decay, neighbour_weight, popularity_weight, ndcg)


def _mix(cooccurrence: sparse.csr_array, lexical: sparse.csr_array, lexical_share: float) -> sparse.csr_array:
    return sparse.csr_array((1 - lexical_share) * cooccurrence + lexical_share * lexical)


@dataclass(frozen=True)
class _Evaluator:
    item_matrix: NDArray[np.float32]
    log_popularity: NDArray[np.float32]
    exclude_history: bool

    def grid(
        self,
        case: _Case,
        matrix: sparse.csr_array,
        decay: float,
        neighbour_weights: Sequence[float],
        popularity_weights: Sequence[float],
        sample: int,
    ) -> NDArray[np.float64]:
        """Validation NDCG@10 at every pair of weights. ``[neighbour weights, popularity weights]``"""
        gains = np.zeros((len(neighbour_weights), len(popularity_weights)))
        count = min(sample, len(case.targets))
        for begin in range(0, count, CHUNK):
            users = slice(begin, min(begin + CHUNK, count))
            histories, targets = case.histories[users], case.targets[users]
            dense = case.queries[users] @ self.item_matrix.T
            terms = (history_matrix(histories, len(self.item_matrix), decay) @ matrix).toarray()
            places = np.arange(len(targets))
            if self.exclude_history:
                seen = history_matrix(histories, len(self.item_matrix), 1.0).tocoo()
                dense[seen.row, seen.col] = -np.inf
            for row, weight in enumerate(neighbour_weights):
                mixed = dense + np.float32(weight) * terms
                for column, popular in enumerate(popularity_weights):
                    scores = mixed + np.float32(popular) * self.log_popularity if popular else mixed
                    ranks = (scores >= scores[places, targets][:, None]).sum(axis=1)
                    gains[row, column] += (1 / np.log2(1 + ranks[ranks <= 10])).sum()
        return gains / count
