"""Who chooses what, and when: events counted by the attributes of their users and by their context.

Among events of item i, the trait t (``name=value``) has the share ``(c_ti + K p_t) / (c_i + K)``: each item is given K events that
are like all others, so that one buyer says little. The log of it over p_t, the trait's share among all events, is what the trait
adds to the item's score (naive Bayes): ``log(1 + c_ti / (K p_t)) - log(1 + c_i / K)``. The first is 0 for most pairs, a sparse
matrix; the second is the same for all traits.
"""

import logging
from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray
from scipy import sparse

from longtail.contracts.attributes import column_of
from longtail.contracts.prepared import PreparedDataset, Split, Targets
from longtail.neighbours.usual import FEWEST
from longtail.scoring.rows import SparseRows

log = logging.getLogger(__name__)
SMOOTHING = 30.0  # K, events
SURE = 2.0  # standard errors that a column's weight must lie above 0
NEWTON_STEPS, RIDGE = 20, 1e-6


def vocabulary(prepared: PreparedDataset) -> list[str]:
    """Every trait: attributes of users, then context of events."""
    return [*prepared.facts["user_attributes"], *prepared.facts["context"]]


def trait_codes(names: Sequence[str], traits: Sequence[Sequence[str]]) -> list[NDArray[np.int64]]:
    """Places in the vocabulary ``names`` of each user's or event's traits. ``[n]``"""
    codes = {name: code for code, name in enumerate(names)}
    return [np.array([codes[name] for name in row], dtype=np.int64) for row in traits]


def traits_of_users(prepared: PreparedDataset, targets: Targets) -> list[NDArray[np.int64]]:
    """Codes of what is known of each user of a split, and of the moment of asking. ``[n]``"""
    known = [prepared.user_attributes[user] + context for user, context in zip(targets.users, targets.contexts)]
    return trait_codes(vocabulary(prepared), known)


def columns_of(names: Sequence[str]) -> dict[str, NDArray[np.int64]]:
    """Column (what stands before ``=``) -> its traits' places in the vocabulary."""
    found = defaultdict(list)
    for code, name in enumerate(names):
        found[column_of(name)].append(code)
    return {column: np.array(codes, dtype=np.int64) for column, codes in found.items()}


def trait_counts(prepared: PreparedDataset) -> SparseRows:
    """Training events with each trait and item. ``[traits, items]``"""
    names, rows = vocabulary(prepared), np.flatnonzero(prepared.splits == Split.TRAIN)
    known = indicator(trait_codes(names, prepared.user_attributes), len(names))[prepared.user_codes[rows]]
    if prepared.facts["context"]:
        known = known + indicator(trait_codes(names, prepared.contexts_of(rows)), len(names))
    items = prepared.item_codes[rows]
    place = (np.arange(len(items)), items)
    chosen = sparse.csr_array((np.ones(len(items), np.float32), place), shape=(len(items), len(prepared.item_ids)))
    return sparse.csr_array((known.T @ chosen).astype(np.float64))


def lifts(counts: SparseRows, events: int) -> SparseRows:
    """``log(1 + c_ti / (K p_t))``. counts: ``trait_counts``; events: training events. ``[traits, items]``"""
    shares = np.asarray(counts.sum(axis=1)).ravel() / max(events, 1)
    found = counts.tocoo()
    values = np.log1p(found.data / (SMOOTHING * shares[found.row]))
    return sparse.csr_array((values.astype(np.float32), (found.row, found.col)), shape=counts.shape)


def base_of(item_counts: NDArray[np.integer]) -> NDArray[np.float32]:
    """``log(1 + c_i / K)``. item_counts: training events. ``[items]``"""
    return np.log1p(item_counts / SMOOTHING).astype(np.float32)


@dataclass(frozen=True)
class Newcomers:
    """Validation users as they come, without a history.

    traits: codes; first [n]: what each chose first; beside [n, items, terms]: scores of other terms, whose weights are fitted, too,
    so that traits are credited only with what these do not know.
    """

    traits: list[NDArray[np.int64]]
    first: NDArray[np.int64]
    beside: NDArray[np.float32]


@dataclass(frozen=True)
class TraitTerm:
    """``sum over the traits of matrix[trait, :] - scale[trait] * base``.

    matrix [traits, items]: lifts times the weight of their column; scale [traits]: these weights, 0 where the column does not help;
    base [items].
    """

    names: list[str]
    matrix: SparseRows
    scale: NDArray[np.float32]
    base: NDArray[np.float32]

    @classmethod
    def counted(cls, prepared: PreparedDataset, names: Sequence[str]) -> "TraitTerm":
        """From the training events, for the vocabulary ``names``; every column has weight 1."""
        places = {name: place for place, name in enumerate(vocabulary(prepared))}
        found = lifts(trait_counts(prepared), int(prepared.train_counts.sum()))
        nothing = sparse.csr_array((1, found.shape[1]), dtype=np.float32)  # of a trait that these events do not have
        rows = sparse.csr_array(sparse.vstack([found, nothing]))[[places.get(name, len(places)) for name in names]]
        return cls(list(names), rows, np.ones(len(names), np.float32), base_of(prepared.train_counts))

    def weighed(self, weights: Mapping[str, float]) -> "TraitTerm":
        """The same with a weight for each column."""
        scale = np.array([weights[column_of(name)] for name in self.names], dtype=np.float32)
        matrix = sparse.csr_array(sparse.diags_array(scale) @ self.matrix).astype(np.float32)
        matrix.eliminate_zeros()
        return replace(self, matrix=matrix, scale=self.scale * scale)

    @property
    def weights(self) -> dict[str, float]:
        """Of each column."""
        return {column_of(name): float(weight) for name, weight in zip(self.names, self.scale)}

    def scores(self, traits: Sequence[NDArray[np.int64]]) -> NDArray[np.float32]:
        """The term for each user's traits. ``[n, items]``"""
        shown = indicator(traits, len(self.names))
        return np.asarray((shown @ self.matrix).toarray() - np.outer(shown @ self.scale, self.base), dtype=np.float32)


def fit_traits(prepared: PreparedDataset, newcomers: Newcomers) -> TraitTerm:
    """Weigh the columns of traits by the likelihood of what newcomers chose (a conditional logit, McFadden 1974).

    A column whose weight is not ``SURE`` standard errors above 0 is left out, the least sure first; all are where the newcomers are
    too few to tell.
    """
    names = vocabulary(prepared)
    columns = columns_of(names)
    plain = TraitTerm.counted(prepared, names)
    if len(newcomers.first) < FEWEST:
        return plain.weighed(dict.fromkeys(columns, 0.0))
    left, found = columns, _fit(plain, columns, newcomers)
    while doubtful := {column: sure for column, sure in found.sure(left).items() if sure <= SURE}:
        worst = min(doubtful, key=doubtful.__getitem__)
        left = {column: codes for column, codes in left.items() if column != worst}
        found = _fit(plain, left, newcomers)
    weights = dict.fromkeys(columns, 0.0) | dict(zip(left, found.weights[len(found.weights) - len(left) :].tolist()))
    log.info("weights of attributes and context: %s", {column: round(weight, 3) for column, weight in weights.items()})
    return plain.weighed(weights)


def no_traits(n_items: int) -> TraitTerm:
    """The term where neither attributes nor context are known."""
    return TraitTerm(
        [], sparse.csr_array((0, n_items), dtype=np.float32), np.zeros(0, np.float32), np.zeros(n_items, np.float32)
    )


def indicator(traits: Sequence[NDArray[np.int64]], count: int) -> sparse.csr_array:
    """1 where a user has a trait. ``[n, count]``"""
    rows = np.repeat(np.arange(len(traits)), [len(codes) for codes in traits])
    codes = np.concatenate([*traits, np.zeros(0, np.int64)])
    return sparse.csr_array((np.ones(len(codes), np.float32), (rows, codes)), shape=(len(traits), count))


@dataclass(frozen=True)
class _Logit:
    """weights, errors [terms]: estimates and their standard errors; loss: mean negative log-likelihood."""

    weights: NDArray[np.float64]
    errors: NDArray[np.float64]
    loss: float

    def sure(self, columns: Mapping[str, NDArray[np.int64]]) -> dict[str, float]:
        """How many standard errors the weight of each column, which are the last terms, lies above 0."""
        count = len(columns)
        return dict(zip(columns, (self.weights / np.maximum(self.errors, 1e-12))[len(self.weights) - count :].tolist()))


def _fit(term: TraitTerm, columns: Mapping[str, NDArray[np.int64]], newcomers: Newcomers) -> _Logit:
    own = [term.scores([codes[np.isin(codes, of)] for codes in newcomers.traits]) for of in columns.values()]
    return conditional_logit(np.concatenate([newcomers.beside, *(x[:, :, None] for x in own)], axis=2), newcomers.first)


def conditional_logit(features: NDArray[np.float32], chosen: NDArray[np.int64]) -> _Logit:
    """Maximum likelihood of ``softmax(features @ weights)`` at the chosen items, by Newton's method (the problem is convex).

    features [n, items, terms]; chosen [n].
    """
    users, items, terms = features.shape
    flat = features.reshape(users * items, terms)
    taken = features[np.arange(users), chosen].astype(np.float64)

    def at(weights: NDArray[np.float64]) -> tuple[float, NDArray[np.float64], NDArray[np.float64]]:
        """Loss, its gradient and its Hessian, of the sum over users."""
        logits = (flat @ weights.astype(np.float32)).reshape(users, items)
        most = logits.max(axis=1, keepdims=True)
        shares = np.exp(logits - most)
        total = shares.sum(axis=1, keepdims=True)
        shares /= total
        loss = float((np.log(total[:, 0]) + most[:, 0]).sum() - (taken @ weights).sum())
        mean = np.einsum("ui,uit->ut", shares, features).astype(np.float64)
        curvature = (flat * shares.reshape(-1, 1)).T @ flat
        return loss, (mean - taken).sum(axis=0), curvature.astype(np.float64) - mean.T @ mean

    weights = np.zeros(terms)
    loss, gradient, curvature = at(weights)
    for _ in range(NEWTON_STEPS):
        ridge = RIDGE * np.eye(terms) * max(float(np.trace(curvature)), 1e-9)
        step = np.linalg.solve(curvature + ridge, gradient)
        length = 1.0
        after = at(weights - step)
        while after[0] > loss and length > 1e-3:
            length /= 2
            after = at(weights - length * step)
        gain = loss - after[0]
        if gain <= 0:
            break
        weights = weights - length * step
        loss, gradient, curvature = after
        if gain < 1e-6 * users:
            break
    ridge = RIDGE * np.eye(terms) * max(float(np.trace(curvature)), 1e-9)
    return _Logit(weights, np.sqrt(np.diag(np.linalg.inv(curvature + ridge))), loss / users)
