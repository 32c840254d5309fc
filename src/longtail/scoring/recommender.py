"""Recommendations by the users' own ids: the Python API, and what stands behind the server, the command and golden answers.

The one place where ids become codes, where limits are checked, and where it is said what was not known.

    from longtail.scoring.recommender import Recommender

    recommender = Recommender.load("runs/mine")
    answer = recommender.recommend(history=["B0001", "B0002"], attributes={"age_band": "18-24"}, k=5)
    for item in answer.items:
        print(item.title, item.score, item.reason)
"""

import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from longtail.contracts.artifacts import results_of
from longtail.contracts.errors import UserError
from longtail.contracts.ids import canonical_id
from longtail.registry.champion import champion_folder
from longtail.scoring.bundle import Bundle, load_bundle
from longtail.scoring.known_attributes import KnownAttributes
from longtail.scoring.query import Query
from longtail.scoring.reasons import Reasons
from longtail.scoring.scorer import Scorer
from longtail.scoring.top import top_items

DEFAULT_K = 10
MAX_HISTORY = 10_000  # item ids that are read of a history, the latest ones
PIECE_SCORES = 4_000_000  # scores of several users that are there at one time, 16 MB; those of one user at least

Attributes = Mapping[str, str | int | float] | Sequence[str]  # {name: value}, or ``name=value`` texts


@dataclass(frozen=True)
class Recommendation:
    item_id: str
    title: str | None
    score: float
    reason: str


@dataclass(frozen=True)
class Asked:
    """What is known of one user. history: item ids, oldest first, of which the latest ``MAX_HISTORY`` are read. k: items
    wanted; None takes 10, or all where there are fewer. context: what is known of the moment, such as the occasion."""

    history: Sequence[str] = ()
    attributes: Attributes = ()
    interests: str | None = None
    k: int | None = None
    context: Attributes = ()


@dataclass(frozen=True)
class Answer:
    """The best items, best first; the segment that the user was served as; what of the question the bundle does not know.

    unknown_attributes: of attributes and context; nothing_fits: no item quite fits the stated interests; those given come nearest.
    """

    items: list[Recommendation]
    segment: str
    unknown_items: list[str]
    unknown_attributes: list[str]
    nothing_fits: bool = False


class Recommender:
    """Asks a bundle. Safe to share between threads.

    Args:
        bundle: what to ask.
        threads: CPU threads a question may use; 0 takes all cores.
        max_k: items in an answer at most; None allows the whole catalogue.

    Raises:
        UserError: ``max_k`` is less than the items that who names no number gets.

    ``attributes``: those of users, and context, that the bundle knows.
    """

    def __init__(self, bundle: Bundle, threads: int = 0, max_k: int | None = None) -> None:
        if max_k is not None and max_k < DEFAULT_K:
            raise UserError(f"max_k is {max_k}, but who names no k gets {DEFAULT_K} items; give at least that")
        self.bundle = bundle
        self._max_k = max_k
        self._scorer = Scorer(bundle, threads)
        self._reasons = Reasons(self._scorer)
        self._codes = {item: code for code, item in enumerate(bundle.item_ids)}
        self.attributes = KnownAttributes(bundle.attributes)

    @classmethod
    def load(cls, place: str | os.PathLike[str], threads: int = 0) -> "Recommender":
        """From a bundle's or a run's folder, or an address of a bundle or of a registry, whose champion is taken.

        Raises:
            UserError: there is no bundle, it is damaged, or the registry has no champion yet.
        """
        if (results_of(place) / "bundle").is_dir():
            place = results_of(place) / "bundle"
        with champion_folder(os.fspath(place)) as folder:
            if folder is None:
                raise UserError(f"{place}: has no champion yet; promote a bundle, or name one")
            return cls(load_bundle(folder), threads)

    def recommend(
        self,
        history: Sequence[str] = (),
        attributes: Attributes = (),
        interests: str = "",
        k: int | None = None,
        context: Attributes = (),
    ) -> Answer:
        """The best ``k`` items for one user, with reasons.

        Raises:
            UserError: ``k`` is not between 1 and the size of the catalogue, or the bundle cannot read interests.
        """
        return self.answers([Asked(history, attributes, interests or None, k, context)])[0]

    def answers(self, asked: Sequence[Asked]) -> list[Answer]:
        """What ``recommend`` answers, for several users at once.

        Raises:
            UserError: as there.
        """
        for one in asked:
            self.check(one)
        wanted = [one.k or min(DEFAULT_K, len(self.bundle.item_ids)) for one in asked]
        queries = [self.query(one) for one in asked]
        segments = self.bundle.segment_rule.assign(np.array([len(query.history) for query in queries], dtype=np.int64))
        return [
            Answer(
                items=items[:k],
                segment=str(segment),
                unknown_items=[item for item in latest(one.history) if canonical_id(item) not in self._codes],
                unknown_attributes=[
                    name for name in (*query.attributes, *query.context) if name not in self._scorer.attributes
                ],
                nothing_fits=self._reasons.nothing_fits(query),
            )
            for one, query, segment, items, k in zip(
                asked, queries, segments, self.best(queries, max(wanted, default=1)), wanted
            )
        ]

    def check(self, asked: Asked) -> None:
        """Refuse what cannot be answered.

        Raises:
            UserError: ``k`` is not between 1 and ``max_k`` or the size of the catalogue, or the bundle cannot read interests.
        """
        count = len(self.bundle.item_ids)
        if asked.k is not None and self._max_k is not None and asked.k > self._max_k:
            raise UserError(f"k is {asked.k}, but at most {self._max_k} items are given; ask for fewer")
        if asked.k is not None and asked.k > count:
            raise UserError(f"k is {asked.k}, but the catalogue holds {count} items; ask for fewer")
        if asked.k is not None and asked.k < 1:
            raise UserError(f"k is {asked.k}; ask for at least 1")
        if asked.interests and not self.bundle.has_text_encoder:
            raise UserError("this model cannot read interests; leave the key out")

    def query(self, asked: Asked) -> Query:
        """The question in codes; items that the catalogue does not hold are left out, attributes as training has them."""
        codes = [self._codes[known] for item in latest(asked.history) if (known := canonical_id(item)) in self._codes]
        attributes, context = (_names(given) for given in (asked.attributes, asked.context))
        moment = [self.attributes.find(name) for name in context]
        return Query(
            np.array(codes, dtype=np.int32), self.attributes.complete(attributes), asked.interests, context=moment
        )

    def best(self, queries: Sequence[Query], k: int) -> list[list[Recommendation]]:
        """The best ``k`` items of each query with a reason each; ties go to the smaller code."""
        size = max(PIECE_SCORES // len(self.bundle.item_ids), 1)
        pieces = (queries[begin : begin + size] for begin in range(0, len(queries), size))
        return [
            self._of(query, scores, k) for piece in pieces for query, scores in zip(piece, self._scorer.score(piece))
        ]

    def _of(self, query: Query, scores: NDArray[np.float32], k: int) -> list[Recommendation]:
        excluded = query.history if self.bundle.facts["exclude_history"] else query.history[:0]
        chosen = top_items(scores, k, excluded)
        return [
            Recommendation(self.bundle.item_ids[item], self.bundle.titles[item], float(scores[item]), reason)
            for item, reason in zip(chosen, self._reasons.of(query, chosen))
        ]


def _names(given: Attributes) -> list[str]:
    return [f"{name}={value}" for name, value in given.items()] if isinstance(given, Mapping) else list(given)


def latest(history: Sequence[str]) -> Sequence[str]:
    """What is read of a history: the one rule for long ones, so that evaluated and served answers are the same."""
    return history[-MAX_HISTORY:]
