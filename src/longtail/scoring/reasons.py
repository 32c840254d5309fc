"""Why an item is recommended, in words that are said only where they are true."""

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from longtail.scoring.bundle import Bundle
from longtail.scoring.query import Query
from longtail.scoring.scorer import Scorer, buckets_of

NEAR = 0.95  # "similar" and "matches" are said of what is nearer than this share of the catalogue
SHOWN = 60  # characters of an interest in a reason
SAMPLE = 512  # items whose cosines with each other show how near items of this catalogue are

Causes = Sequence[int | None]  # for each recommended item: an item of the history, or none


class Reasons:
    """Explains a scorer's recommendations."""

    def __init__(self, scorer: Scorer) -> None:
        self._scorer, self._bundle = scorer, scorer.bundle
        self._similar = _usual_cosine(scorer.bundle, NEAR)

    def of(self, query: Query, items: NDArray[np.intp]) -> list[str]:
        """Why each item: the item of the history whose neighbour it is, else what known thing it is near, else who buys it.

        "matches" and "similar" are said only of items that are nearer to the interest than ``NEAR`` of the catalogue, or
        to the item of the history than ``NEAR`` of all pairs of items are to each other.
        """
        causes, matching, similar = (
            self._causes(query, items),
            self._matching(query, items),
            self._nearest(query, items),
        )
        otherwise = self._otherwise(query)
        reasons = []
        for cause, matches, near in zip(causes, matching, similar):
            if cause is not None:
                reasons.append(f"because of {self._name(cause)} in your history")
            elif matches:
                reasons.append(f"matches your interest in {_shortened(query.interests or '')}")
            elif near is not None:
                reasons.append(f"similar to {self._name(near)}")
            else:
                reasons.append(otherwise)
        return reasons

    def _otherwise(self, query: Query) -> str:
        if len(query.history):
            return "fits your history as a whole"
        if any(name in self._scorer.attributes for name in query.attributes):
            return "chosen by newcomers like you"
        return "popular with newcomers"

    def _causes(self, query: Query, items: NDArray[np.intp]) -> Causes:
        """The item of the history from which the sparse term gives each item most; among equals the latest."""
        if not len(query.history):
            return [None] * len(items)
        tensors = self._bundle.tensors
        recent = self._scorer.recent(query.history)[::-1]
        weight = tensors.neighbour_weight[buckets_of([query])[0]]
        decays = tensors.decay ** np.arange(len(recent))
        given = weight * tensors.neighbours[recent][:, items].toarray() * decays[:, None]  # [recent, items]
        return _greatest(recent, given, above=0.0)

    def _nearest(self, query: Query, items: NDArray[np.intp]) -> Causes:
        """The item of the history that is most like each item, where they are alike; among equals the latest."""
        if not len(query.history):
            return [None] * len(items)
        matrix = self._bundle.tensors.item_matrix
        recent = self._scorer.recent(query.history)[::-1]
        return _greatest(recent, matrix[recent] @ matrix[items].T, above=self._similar)

    def _matching(self, query: Query, items: NDArray[np.intp]) -> NDArray[np.bool_]:
        """Which items have texts nearer to a stated interest than ``NEAR`` of the catalogue. ``[items]``"""
        if not query.interests:
            return np.zeros(len(items), bool)
        nearest, values = self._scorer.alike(query.interests)
        count = max(round((1 - NEAR) * len(self._bundle.item_ids)), 1)
        return np.isin(items, nearest[:count][values[:count] > 0])

    def _name(self, item: int) -> str:
        return self._bundle.titles[item] or self._bundle.item_ids[item]


def _shortened(words: str) -> str:
    """A reason is said of every item, so it does not repeat all that somebody wrote."""
    line = " ".join(words.split())
    return line if len(line) <= SHOWN else f"{line[: SHOWN - 1].rstrip()}…"


def _greatest(recent: NDArray[np.int32], values: NDArray[np.floating], above: float) -> Causes:
    """For each column the item of ``recent`` with the greatest value; none where it is not ``above``. values [recent, items]"""
    return [
        int(recent[place]) if value > above else None for place, value in zip(values.argmax(axis=0), values.max(axis=0))
    ]


def _usual_cosine(bundle: Bundle, share: float) -> float:
    """The cosine above which the pair is nearer than ``share`` of the pairs of a sample of items; 0 at least."""
    count = len(bundle.item_ids)
    if count < 2:
        return 0.0
    rows = np.sort(np.random.default_rng(0).choice(count, min(SAMPLE, count), replace=False))
    vectors = bundle.tensors.item_matrix[rows]
    pairs = (vectors @ vectors.T)[np.triu_indices(len(rows), k=1)]
    return max(float(np.quantile(pairs, share)), 0.0)
