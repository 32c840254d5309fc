"""Why an item is recommended, in words that are said only where they are true."""

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from longtail.contracts.attributes import is_missing
from longtail.scoring.bundle import Bundle
from longtail.scoring.query import Query
from longtail.scoring.relevance import MATCHES, NOTHING
from longtail.scoring.rows import cosines_of_pairs
from longtail.scoring.scorer import Scorer, buckets_of

NEAR = 0.95  # "similar" is said of what is nearer than this share of the catalogue
SHOWN = 60  # characters of an interest in a reason

Causes = Sequence[int | None]  # for each recommended item: an item of the history, or none
Source = Literal["text", "co-occurrence", "similarity", "attributes", "history", "popularity", "rule", "exploration"]


@dataclass(frozen=True)
class Reason:
    """Why an item stands in a list, in words, and what they are said of.

    source: what brought it: words asked for (``text``), items chosen together (``co-occurrence``), likeness to an item, attributes or
    context, the history as a whole, how popular it is, or a rule of the shop. about: the item's id, the attribute, the words or the rule's name;
    None where it is nothing of these.
    """

    text: str
    source: Source
    about: str | None = None


Found = Sequence[Reason | None]  # for each item: a reason, where it is true of it
Way = Callable[[NDArray[np.intp]], Found]


class Reasons:
    """Explains a scorer's recommendations."""

    def __init__(self, scorer: Scorer) -> None:
        self._scorer, self._bundle = scorer, scorer.bundle
        self._similar = _usual_cosine(scorer.bundle, NEAR)

    def of(self, query: Query, items: NDArray[np.intp], looked_at: Causes = ()) -> list[Reason]:
        """Why each item: what was asked for that it matches, the item that is looked at and that it is like, the item of the
        history whose neighbour it is, else what known thing it is near, else with which attribute or context it is chosen more
        often, else who buys it.

        "similar" is said only of items that are nearer to the item of the history than ``NEAR`` of all pairs of items are to
        each other; what "matches" and "near" an interest is ``relevance``'s to say.
        """
        reasons: list[Reason | None] = [None] * len(items)
        for explain in self._ways(query, dict(zip(items.tolist(), looked_at))):
            left = [place for place, reason in enumerate(reasons) if reason is None]
            if not left:
                break
            for place, reason in zip(left, explain(items[left])):
                reasons[place] = reason
        return [reason for reason in reasons if reason is not None]

    def _ways(self, query: Query, alike: Mapping[int, int | None]) -> Iterator[Way]:
        """The first that is true of an item explains it. alike: item -> the one that is looked at and that it is like."""
        if query.interests:
            yield lambda items: self._asked_for(query, items, MATCHES)
        if alike:
            yield lambda items: self._similar_to(alike[item] for item in items.tolist())
        if len(query.history):
            yield lambda items: self._because_of(self._causes(query, items))
            yield lambda items: self._similar_to(self._nearest(query, items))
        if query.interests:
            yield lambda items: self._asked_for(query, items, NOTHING)
        yield lambda items: self._traits(query, items)
        yield lambda items: self._otherwise(query, items)

    def nothing_fits(self, query: Query) -> bool:
        """Whether the catalogue holds nothing that quite fits what was asked for in words."""
        return bool(query.interests) and float(self._scorer.relevance(query.interests).direct.max()) < NOTHING

    def _otherwise(self, query: Query, items: NDArray[np.intp]) -> Found:
        if len(query.history):
            return [Reason("fits your history as a whole", "history")] * len(items)
        known = any(name in self._scorer.attributes and not is_missing(name) for name in query.attributes)
        like_you = Reason("chosen by newcomers like you", "attributes")
        chosen = like_you if known else Reason("popular with newcomers", "popularity")
        nobody = Reason("nobody has chosen it yet", "popularity")
        return [chosen if count else nobody for count in self._bundle.train_counts[items]]

    def _causes(self, query: Query, items: NDArray[np.intp]) -> Causes:
        """The item of the history from which the sparse term gives each item most; among equals the latest."""
        weight = self._bundle.tensors.neighbour_weight[buckets_of([query])[0]]
        given = weight * self._scorer.given_by(query.history, items)
        return greatest(self._scorer.recent(query.history)[::-1], given[::-1], above=0.0)

    def _nearest(self, query: Query, items: NDArray[np.intp]) -> Causes:
        """The item of the history that is most like each item, where they are alike; among equals the latest."""
        if not self._scorer.has_dense_part:
            return [None] * len(items)
        matrix = self._bundle.tensors.item_matrix
        recent = self._scorer.recent(query.history)[::-1]
        return greatest(recent, matrix[recent] @ matrix[items].T, above=self._similar)

    def _traits(self, query: Query, items: NDArray[np.intp]) -> Found:
        """The attribute or context that raises each item's score most, where one does."""
        tensors, known = self._bundle.tensors, self._scorer.traits_of(query)
        known = known[[not is_missing(self._bundle.attributes[trait]) for trait in known]]
        if not len(known) or not tensors.trait_weight[buckets_of([query])[0]]:
            return [None] * len(items)
        given = tensors.traits[known][:, items].toarray() - np.outer(
            tensors.trait_scale[known], tensors.trait_base[items]
        )
        names = [self._bundle.attributes[known[place]] for place in given.argmax(axis=0)]
        return [
            Reason(f"often chosen with {name}", "attributes", name) if value > 0 else None
            for name, value in zip(names, given.max(axis=0))
        ]

    def _asked_for(self, query: Query, items: NDArray[np.intp], least: float) -> Found:
        """What each item has to do with a stated interest, where its relevance is ``least`` or more."""
        interests = query.interests or ""
        said, relevance = _shortened(interests), self._scorer.relevance(interests).direct[items]
        if self.nothing_fits(query):
            what = f"comes near to {said}, which nothing here quite fits"
            return [None if least == MATCHES else Reason(what, "text", interests)] * len(items)
        matches = Reason(f"matches your interest in {said}", "text", interests)
        near = Reason(f"near your interest in {said}", "text", interests)
        return [(matches if value >= MATCHES else near) if value >= least else None for value in relevance]

    def _because_of(self, causes: Causes) -> Found:
        return [
            None
            if cause is None
            else Reason(
                f"because of {self._name(cause)} in your history", "co-occurrence", self._bundle.item_ids[cause]
            )
            for cause in causes
        ]

    def _similar_to(self, others: Iterable[int | None]) -> Found:
        return [
            None
            if other is None
            else Reason(f"similar to {self._name(other)}", "similarity", self._bundle.item_ids[other])
            for other in others
        ]

    def _name(self, item: int) -> str:
        return self._bundle.titles[item] or self._bundle.item_ids[item]


def _shortened(words: str) -> str:
    """A reason is said of every item, so it does not repeat all that somebody wrote."""
    line = " ".join(words.split())
    return line if len(line) <= SHOWN else f"{line[: SHOWN - 1].rstrip()}…"


def greatest(known: NDArray[np.int32], values: NDArray[np.floating], above: float) -> Causes:
    """For each column the one of ``known`` items with the greatest value; none where it is not ``above``. values [known, items]"""
    return [
        int(known[place]) if value > above else None for place, value in zip(values.argmax(axis=0), values.max(axis=0))
    ]


def _usual_cosine(bundle: Bundle, share: float) -> float:
    """The cosine above which the pair is nearer than ``share`` of the pairs of a sample of items; 0 at least."""
    count = len(bundle.item_ids)
    if count < 2:
        return 0.0
    return max(float(np.quantile(cosines_of_pairs(bundle.tensors.item_matrix, count), share)), 0.0)
