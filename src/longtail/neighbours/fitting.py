"""Fits the weights of the counted terms on the validation targets, per length of the history."""

import logging
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, fields, replace

import numpy as np
from numpy.typing import NDArray

from longtail.metrics.ranking import ndcg, rank_targets
from longtail.neighbours.item_to_item import ItemToItem
from longtail.neighbours.traits import Newcomers, TraitTerm
from longtail.neighbours.usual import FEWEST, USUAL, Usual, Weights
from longtail.neighbours.validation_cases import CUT_BELOW, ValidationCases
from longtail.scoring.bundle import LENGTH_BUCKETS, LENGTH_EDGES

log = logging.getLogger(__name__)

NEIGHBOUR_WEIGHTS = (0.0, 2.0, 4.0, 6.0, 8.0, 11.0, 14.0, 18.0, 22.0, 27.0, 33.0, 40.0, 50.0)
# where the greatest of these is best: of few events the dense part learns little but noise
GREATER = (70.0, 100.0, 150.0, 250.0, 500.0)
POPULARITY_WEIGHTS = (0.0, 0.1, 0.2, 0.4, 0.7, 1.0, 2.0, 4.0, 8.0, 16.0, 32.0)
TRAIT_WEIGHTS = (0.0, 0.5, 1.0, 2.0, 3.0, 5.0, 8.0, 14.0, 25.0)
GRIDS = {
    "neighbours": NEIGHBOUR_WEIGHTS,
    "popularity": POPULARITY_WEIGHTS,
    "traits": TRAIT_WEIGHTS,
    "dense": (1.0, 0.5, 0.25, 0.1, 0.0),
}
ORDER = ("neighbours", "popularity")
ORDER_WITH_TRAITS = (*ORDER, "traits", "dense", *ORDER, "traits")  # once more, as what matters changes with the traits
SAMPLE = 8000  # validation users of a bucket at most
CHUNK = 1000
NEWCOMER_SCORES = 12_000_000  # of all newcomers by whom traits are weighed, 48 MB for each term


@dataclass(frozen=True)
class Terms:
    """What is counted, and stands beside the dense scores. log_popularity [items]."""

    item_to_item: ItemToItem
    log_popularity: NDArray[np.float32]
    traits: TraitTerm


@dataclass(frozen=True)
class Fit:
    """What validation chose. weights [LENGTH_BUCKETS]; ndcg: bucket -> validation NDCG@10."""

    dense_weight: NDArray[np.float32]
    neighbour_weight: NDArray[np.float32]
    popularity_weight: NDArray[np.float32]
    trait_weight: NDArray[np.float32]
    ndcg: list[float | None]

    def weights(self) -> dict[str, list[float]]:
        """As manifests hold them: name of the tensor -> weight of each length of history."""
        return {name: value.tolist() for name, value in vars(self).items() if isinstance(value, np.ndarray)}

    def without_dense(self) -> "Fit":
        return replace(self, dense_weight=np.zeros_like(self.dense_weight))


@dataclass(frozen=True)
class _Case:
    """Users of one bucket: query vectors [n, dim], what they show of their histories, all of them, their first targets, and
    codes of their traits."""

    queries: NDArray[np.float32]
    shown: list[NDArray[np.int32]]
    whole: list[NDArray[np.int32]]
    targets: list[NDArray[np.int32]]
    traits: list[NDArray[np.int64]]


Encode = Callable[[list[NDArray[np.int32]], NDArray[np.intp]], NDArray[np.float32]]


def fit_terms(
    terms: Terms,
    item_matrix: NDArray[np.float32],
    cases: ValidationCases,
    encode: Encode,
    seed: int,
    usual: Usual = USUAL,
) -> Fit:
    """Choose the weights that give the best validation NDCG@10, one after the other: of the sparse term beside the dense scores, then
    of popularity beside both, and so on.

    Lengths of histories that fewer than ``FEWEST`` users have take the weights of the next shorter ones, or the usual ones.

    encode: (histories, rows of the users) -> query vectors [n, dim].
    """
    by_bucket = _by_bucket(cases, encode, seed)
    evaluator = _Evaluator(terms, item_matrix, cases.exclude_history)
    chosen = [Weights()] * LENGTH_BUCKETS
    for name in ORDER_WITH_TRAITS if terms.traits.names else ORDER:
        grid = GRIDS[name]
        gains = evaluator.gains(by_bucket, chosen, name, grid)
        best = _best(_smoothed(gains))
        if name == "neighbours" and (best == len(grid) - 1).any():
            grid = (*grid, *GREATER)
            gains = np.concatenate([gains, evaluator.gains(by_bucket, chosen, name, GREATER)], axis=1)
            best = _best(_smoothed(gains))
        chosen = [replace(one, **{name: grid[place]}) for one, place in zip(chosen, best)]
    enough = False  # whether a shorter history has said what to take for longer ones
    for bucket in range(LENGTH_BUCKETS):
        if bucket not in by_bucket or len(by_bucket[bucket].targets) < FEWEST:
            chosen[bucket] = chosen[bucket - 1] if bucket > 1 and enough else usual.weights[bucket]
        else:
            enough = bucket > 0
    reached = [
        float(evaluator.ndcg(by_bucket[bucket], [one])[0]) if bucket in by_bucket else None
        for bucket, one in enumerate(chosen)
    ]
    dense, neighbours, popularity, traits = (
        np.array([getattr(one, field.name) for one in chosen], np.float32) for field in fields(Weights)
    )
    edges = LENGTH_EDGES.tolist()
    log.info("weights of dense scores by history length: %s", dense.tolist())
    log.info("weights of the sparse term by history length (edges %s): %s", edges, neighbours.tolist())
    log.info("weights of popularity by history length: %s", popularity.tolist())
    log.info("weights of traits by history length: %s", traits.tolist())
    return Fit(dense, neighbours, popularity, traits, reached)


def newcomers(
    cases: ValidationCases,
    item_matrix: NDArray[np.float32],
    log_popularity: NDArray[np.float32],
    encode: Encode,
    seed: int,
) -> Newcomers:
    """Validation users with nothing of their history shown, and what the dense part and popularity say of every item."""
    rows = cases.rows_of(0)
    most = max(NEWCOMER_SCORES // max(len(item_matrix), 1), 1)
    rows = np.sort(np.random.default_rng(seed).permutation(rows)[:most])
    dense = encode([np.zeros(0, np.int32) for _ in rows], rows) @ item_matrix.T
    beside = np.stack([dense, np.broadcast_to(log_popularity, dense.shape)], axis=2)
    first = np.array([cases.targets[row][0] for row in rows.tolist()], dtype=np.int64)
    return Newcomers(cases.traits_of(rows), first, beside)


def _by_bucket(cases: ValidationCases, encode: Encode, seed: int) -> dict[int, _Case]:
    """The users that fit each bucket's weights; none for a bucket without users.

    Buckets of short histories are fitted on users whose history is cut to its last items, so that a data set without newcomers still
    says how to serve them, and where there is a clock on users who really have such, if there are enough. What is cut off is not ranked: the
    model was trained on it beside the items shown, so it would only stand in the way of the target, as nothing does for users who
    really have short histories.
    """
    rng = np.random.default_rng(seed)
    found: dict[int, _Case] = {}
    for bucket in range(LENGTH_BUCKETS):
        rows = cases.rows_of(bucket)
        if len(rows) == 0:
            continue
        rows = np.sort(rng.permutation(rows)[:SAMPLE])
        whole = [cases.histories[row] for row in rows.tolist()]
        shown = [history[len(history) - bucket :] for history in whole] if bucket < CUT_BELOW else whole
        wanted = [cases.targets[row][:1] for row in rows.tolist()]
        found[bucket] = _Case(encode(shown, rows), shown, whole, wanted, cases.traits_of(rows))
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
    """Place of the best weight of each bucket; the first where there are no users."""
    return np.where(np.isnan(gains).any(axis=1), 0, np.nan_to_num(gains).argmax(axis=1))


@dataclass(frozen=True)
class _Evaluator:
    terms: Terms
    item_matrix: NDArray[np.float32]
    exclude_history: bool

    def gains(
        self, by_bucket: Mapping[int, _Case], chosen: Sequence[Weights], name: str, grid: Sequence[float]
    ) -> NDArray[np.float64]:
        """Of each weight of one term, the others as ``chosen``; newcomers have no neighbours. ``[buckets, grid]``, NaN without users"""
        gains = np.full((LENGTH_BUCKETS, len(grid)), np.nan)
        for bucket, case in by_bucket.items():
            one, moves = chosen[bucket], bucket > 0 or name != "neighbours"
            gains[bucket] = self.ndcg(case, [replace(one, **{name: weight}) if moves else one for weight in grid])
        return gains

    def ndcg(self, case: _Case, tried: Sequence[Weights]) -> NDArray[np.float64]:
        """Validation NDCG@10 with each of the weights. ``[tried]``"""
        gains = np.zeros(len(tried))
        terms = self.terms
        for begin in range(0, len(case.targets), CHUNK):
            users = slice(begin, begin + CHUNK)
            dense = case.queries[users] @ self.item_matrix.T
            neighbours = terms.item_to_item.scores(case.shown[users])
            traits = terms.traits.scores(case.traits[users]) if terms.traits.names else None
            excluded = case.whole[users] if self.exclude_history else []
            for place, weights in enumerate(tried):
                scores = np.float32(weights.dense) * dense + np.float32(weights.neighbours) * neighbours
                if weights.popularity:
                    scores += np.float32(weights.popularity) * terms.log_popularity
                if weights.traits and traits is not None:
                    scores += np.float32(weights.traits) * traits
                gains[place] += ndcg(rank_targets(scores, case.targets[users], excluded)).sum()
        return gains / max(len(case.targets), 1)
