"""Recommendations by the users' own ids: the Python API, and what stands behind the server, the command and golden answers.

The one place where ids become codes, where limits are checked, and where it is said what was not known.

    from longtail.scoring.recommender import Recommender

    recommender = Recommender.load("runs/mine")
    answer = recommender.recommend(history=["B0001", "B0002"], attributes={"age_band": "18-24"}, k=5)
    for item in answer.items:
        print(item.title, item.score, item.reason)
"""

import os
import time
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from longtail.contracts.artifacts import results_of
from longtail.contracts.attributes import is_missing
from longtail.contracts.errors import UserError
from longtail.contracts.segments import SEGMENTS
from longtail.registry.champion import champion_folder
from longtail.scoring.asked import Asked, Attributes, Event, History, in_order
from longtail.scoring.availability import Availability, Closed
from longtail.scoring.beliefs import Beliefs
from longtail.scoring.bundle import Bundle, load_bundle
from longtail.scoring.choosing import Choosing, Chosen, Wanted, degraded
from longtail.scoring.eligibility import Eligibility, LeftOut, Mask
from longtail.scoring.in_force import InForce
from longtail.scoring.known_attributes import KnownAttributes
from longtail.scoring.query import Query
from longtail.scoring.question import Question
from longtail.scoring.reasons import Reason, Reasons, Source, greatest
from longtail.scoring.rows import standardised
from longtail.scoring.rules import Rules
from longtail.scoring.scorer import Scorer
from longtail.scoring.scores import NOBODY, Scores
from longtail.scoring.similar import ALIKE

DEFAULT_K = 10
MAX_HISTORY = 10_000  # item ids that are read of a history, the latest ones
PIECE_SCORES = 4_000_000  # scores of several users that are there at one time, 16 MB; those of one user at least
INDEXED_TOGETHER = 64  # users whose items an index finds at one time
SIMILAR_WEIGHT = 5.0  # of likeness to the items of ``similar_to``, beside standardised scores of what users choose


@dataclass(frozen=True)
class Recommendation:
    """source, about: of the reason, in data (``reasons.Reason``); None with it where the question did without. propensity: where it
    was explored, that the item came to its place behind those before it. folded: ids of near-duplicates that it stands for."""

    item_id: str
    title: str | None
    score: float
    reason: str | None
    source: Source | None
    about: str | None
    propensity: float | None = None
    folded: list[str] | None = None


@dataclass(frozen=True)
class Answer:
    """The best items that may be given, best first; the segment that the user was served as; what of the question was not known.

    unknown_items: of history, similar_to, candidates and exclude; unknown_attributes: of attributes and context. nothing_fits: no
    item quite fits the stated interests; those given come nearest. fewer_than_k: what left how many items, where they are fewer than
    asked for. degraded: what could not be answered as it was asked. rules: names of those that acted on this list. unmet: quotas of
    rules that could not be met. changed_by_shop: whether rules, availability or added items made this list another than the model's own.
    """

    items: list[Recommendation]
    segment: str
    unknown_items: list[str]
    unknown_attributes: list[str]
    nothing_fits: bool = False
    fewer_than_k: str | None = None
    degraded: str | None = None
    rules: list[str] = field(default_factory=list)
    unmet: list[str] = field(default_factory=list)
    changed_by_shop: bool = False


class Recommender:
    """Asks a bundle. Safe to share between threads.

    Args:
        bundle: what to ask.
        threads: CPU threads a question may use; 0 takes all cores.
        max_k: items in an answer at most; None allows the whole catalogue.
        like: one that asks the same files, whose encoders are used.

    Raises:
        UserError: ``max_k`` is less than the items that who names no number gets.

    ``attributes``: those of users, and context, that the bundle knows.
    """

    def __init__(
        self, bundle: Bundle, threads: int = 0, max_k: int | None = None, like: "Recommender | None" = None
    ) -> None:
        if max_k is not None and max_k < DEFAULT_K:
            raise UserError(f"max_k is {max_k}, but who names no k gets {DEFAULT_K} items; give at least that")
        self.bundle = bundle
        self._max_k = max_k
        self._scorer = Scorer(bundle, threads, like.scorer if like else None)
        self._reasons = Reasons(self._scorer)
        self._eligibility = Eligibility(bundle)
        self._choosing = Choosing(bundle, self._eligibility, self._scorer.has_dense_part)
        self.attributes = KnownAttributes(bundle.attributes)
        self._beliefs = Beliefs(self._scorer)
        self._closed = Closed(Availability(), {})
        self.obey(Rules())

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

    @property
    def scorer(self) -> Scorer:
        """What it ranks with."""
        return self._scorer

    @property
    def eligibility(self) -> Eligibility:
        """Which items may be given, and their codes."""
        return self._eligibility

    @property
    def reasons(self) -> Reasons:
        """What explains its lists."""
        return self._reasons

    def close(self, availability: Availability) -> list[str]:
        """From the next answer on leave out what is not available; returns the ids that the catalogue does not hold."""
        self._closed = Closed(availability, self._eligibility.codes)  # one assignment: no answer sees half of it
        return self._closed.unknown

    def obey(self, rules: Rules) -> None:
        """From the next answer on follow these rules.

        Raises:
            UserError: a rule names what no item has; those before it stay in force.
        """
        known = self._eligibility
        rules.check(known.items_of, known.names, known.codes)
        self._rules = {
            segment: InForce(
                [rule for rule in rules.rules if not rule.segments or segment in rule.segments],
                known.items_of,
                known.codes,
                len(known.codes),
            )
            for segment in SEGMENTS
        }

    def recommend(
        self,
        history: History = (),
        attributes: Attributes = (),
        interests: str = "",
        k: int | None = None,
        context: Attributes = (),
        **more: Any,
    ) -> Answer:
        """The best ``k`` items for one user, with reasons. more: any other field of ``Asked``.

        Raises:
            UserError: as ``check``.
        """
        return self.answers([Asked(history, attributes, interests or None, k, context, **more)])[0]

    def answers(self, asked: Sequence[Asked]) -> list[Answer]:
        """What ``recommend`` answers, for several users at once.

        Raises:
            UserError: as there.
        """
        return [self._answer(question, scores) for question, scores in self.scored(asked)]

    def scored(self, asked: Sequence[Asked]) -> Iterator[tuple[Question, Scores]]:
        """What answers are made from: each question in codes, and its scores. Raises what ``check`` does."""
        for one in asked:
            self.check(one)
        questions = [self._question(one) for one in asked]
        size = self._together if self._scorer.item_index is None else INDEXED_TOGETHER
        pieces = [questions[begin : begin + size] for begin in range(0, len(questions), size)]
        return ((question, scores) for piece in pieces for question, scores in zip(piece, self._scores(piece)))

    def check(self, asked: Asked) -> None:
        """Refuse what cannot be answered.

        Raises:
            UserError: ``k`` is not between 1 and ``max_k`` or the size of the catalogue; the bundle cannot read interests, or say which
                items are alike; a filter or a limit names what no item has.
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
        if asked.similar_to and self._scorer.similarity is None:
            raise UserError("this model cannot say which items are alike; leave similar_to out")
        if not 0 <= asked.diversity <= 1:
            raise UserError(f"diversity is {asked.diversity}; give 0 to 1")
        if asked.diversity:
            self._check_likeness(asked)
        if asked.explore and (asked.diversity or asked.max_per or asked.fold):
            raise UserError(
                "explore acts with none of diversity, max_per and fold: propensities would not be known; leave one out"
            )
        if asked.explore and asked.explore.thompson:
            self._beliefs.check(asked)
        self._check_events(asked)
        self._eligibility.check(asked)

    def _check_events(self, asked: Asked) -> None:
        """Refuse kinds of events that training did not count: nothing is known of who did that."""
        counted = self.bundle.facts.get("preprocess", {}).get("events", [])
        for place, one in enumerate(asked.history):
            if isinstance(one, Event) and one.event is not None and one.event not in counted:
                raise UserError(
                    f"history[{place}].event: {one.event!r} is none that the model has learnt from ({', '.join(counted)}); "
                    "leave such events out of the history"
                )

    def _check_likeness(self, asked: Asked) -> None:
        """Refuse diversity by what items do not have."""
        on = asked.diversity_on
        if not self._scorer.has_dense_part and (on in ("vectors", "both") or not self._eligibility.items_of):
            remedy = "give diversity_on: attributes" if self._eligibility.items_of else "leave diversity out"
            raise UserError(f"this model has no trained item vectors that say which items are alike; {remedy}")
        if on in ("attributes", "both") and not self._eligibility.items_of:
            raise UserError(f"diversity_on is {on}, but this model's items have no attributes; leave it out")

    def query(self, asked: Asked) -> Query:
        """The question in codes; items that the catalogue does not hold are left out, attributes as training has them."""
        attributes, context = (_names(given) for given in (asked.attributes, asked.context))
        moment = [self.attributes.find(name) for name in context]
        return Query(
            self._eligibility.known(latest(asked.history)),
            self.attributes.complete(attributes),
            asked.interests,
            context=moment,
        )

    def may_be_given(self, asked: Asked, query: Query) -> Mask:
        """Items that the question allows, whatever rules and availability say now. query: of ``asked``. ``[items]``"""
        return self._eligibility.allowed(asked, LeftOut(self._not_again(query), NOBODY, NOBODY))

    def _not_again(self, query: Query) -> NDArray[np.int32]:
        return query.history if self.bundle.facts["exclude_history"] else query.history[:0]

    def _question(self, asked: Asked) -> Question:
        query = self.query(asked)
        segment = str(self.bundle.segment_rule.assign(np.array([len(query.history)], dtype=np.int64))[0])
        rules = self._rules[segment]
        left_out = LeftOut(self._not_again(query), self._closed.at(time.time()), rules.hidden)
        allowed = self._eligibility.allowed(asked, left_out) if asked.narrows and self._scorer.item_index else None
        wanted = replace(asked, k=asked.k or min(DEFAULT_K, len(self.bundle.item_ids)))
        return Question(wanted, query, segment, rules, left_out, allowed)

    def _scores(self, questions: Sequence[Question]) -> Iterable[Scores]:
        """Of the whole catalogue, or, where an index can tell them, of the items that may come into the answer."""
        if self._scorer.item_index is None:
            return map(Scores, self._scorer.score([one.query for one in questions]))
        by_index = [one for one in questions if not one.needs_all]
        found = self._scorer.found([one.query for one in by_index], [one.few for one in by_index])
        scored = {id(one): scores for one, scores in zip(by_index, found) if one.suffices(scores)}
        others = self._all_scores([one.query for one in questions if id(one) not in scored])
        return (scored.get(id(one)) or next(others) for one in questions)

    def _all_scores(self, queries: Sequence[Query]) -> Iterator[Scores]:
        for begin in range(0, len(queries), self._together):
            yield from map(Scores, self._scorer.score(queries[begin : begin + self._together]))

    @property
    def _together(self) -> int:
        """Users of whom all items are scored at one time."""
        return max(PIECE_SCORES // len(self.bundle.item_ids), 1)

    def _answer(self, question: Question, scores: Scores) -> Answer:
        asked, query, segment, rules, left_out, allowed = question
        k = asked.k or 0
        looked_at = self._eligibility.known(asked.similar_to)
        likeness = self._scorer.similarity.to(looked_at) if len(looked_at) and self._scorer.similarity else None
        if likeness is not None:
            values = standardised(scores.values[None])[0] + np.float32(SIMILAR_WEIGHT) * likeness.max(axis=0)
            scores = replace(scores, values=values)
        plain = scores
        if rules.boost is not None:
            scores = replace(scores, values=plain.values + plain.values.std() * rules.boost)
        beliefs = self._beliefs.about(query) if asked.explore and asked.explore.thompson else None
        wanted = Wanted(asked, scores, left_out, rules, self._is_unknown(query, looked_at), allowed, beliefs)
        chosen = self._choosing.choose(wanted)
        if len(chosen.codes) < k and not scores.complete:
            return self._answer(question, next(self._all_scores([query])))
        acted, changed = self._choosing.acted(wanted, plain, chosen)
        unknown = [*latest(asked.history), *asked.similar_to, *(asked.candidates or ()), *asked.exclude]
        return Answer(
            items=self._items(chosen, scores, self._why(asked, query, chosen, looked_at, likeness)),
            segment=segment,
            unknown_items=list(dict.fromkeys(self._eligibility.unknown(unknown))),
            unknown_attributes=[
                name for name in (*query.attributes, *query.context) if name not in self._scorer.attributes
            ],
            nothing_fits=self._reasons.nothing_fits(query),
            fewer_than_k=self._why_fewer(wanted, chosen) if len(chosen.codes) < k else None,
            degraded=degraded(wanted, query, looked_at),
            rules=acted,
            unmet=list(chosen.missed),
            changed_by_shop=changed or bool((chosen.codes >= len(self.bundle.item_ids) - self.bundle.added).any()),
        )

    def _is_unknown(self, query: Query, looked_at: NDArray[np.int32]) -> bool:
        """Whether nothing is known of a user, nor what they look for."""
        known = (
            name in self._scorer.attributes and not is_missing(name) for name in (*query.attributes, *query.context)
        )
        return not (len(query.history) or query.interests or len(looked_at) or any(known))

    def _why(
        self,
        asked: Asked,
        query: Query,
        chosen: Chosen,
        looked_at: NDArray[np.int32],
        likeness: NDArray[np.float32] | None,
    ) -> Sequence[Reason | None]:
        """Why each item stands where it does; nothing is computed where nobody asks. likeness: ``[looked_at, items]``"""
        if not asked.explain:
            return [None] * len(chosen.codes)
        alike = () if likeness is None else greatest(looked_at, likeness[:, chosen.codes], above=ALIKE)
        reasons = self._reasons.of(query, chosen.codes, alike)
        for place, item in enumerate(chosen.codes.tolist()):
            if item in chosen.placed:
                reasons[place] = Reason("placed by the shop", "rule", chosen.placed[item])
            elif chosen.drawn and not chosen.drawn.greedy[place]:
                reasons[place] = Reason("shown to learn who likes it", "exploration")
        return reasons

    def _items(self, chosen: Chosen, scores: Scores, reasons: Sequence[Reason | None]) -> list[Recommendation]:
        items = []
        values = scores[chosen.codes].tolist()
        for place, (item, score, reason) in enumerate(zip(chosen.codes.tolist(), values, reasons)):
            propensity = float(chosen.drawn.propensities[place]) if chosen.drawn else None
            name, title = self.bundle.item_ids[item], self.bundle.titles[item]
            folded = [self.bundle.item_ids[other] for other in chosen.folded.get(item, ())] or None
            items.append(
                Recommendation(
                    item_id=name,
                    title=title,
                    score=score,
                    reason=reason.text if reason else None,
                    source=reason.source if reason else None,
                    about=reason.about if reason else None,
                    propensity=propensity,
                    folded=folded,
                )
            )
        return items

    def _why_fewer(self, wanted: Wanted, chosen: Chosen) -> str:
        left, said = self._eligibility.why_fewer(wanted.asked, wanted.left_out)
        given = len(chosen.codes)
        if given == left:
            return said
        return f"{said}, {given} {'are left within limits, near-duplicates folded' if chosen.folded else 'keep within limits'}"


def _names(given: Attributes) -> list[str]:
    return [f"{name}={value}" for name, value in given.items()] if isinstance(given, Mapping) else list(given)


def latest(history: History) -> Sequence[str]:
    """What is read of a history: the one rule for long ones, so that evaluated and served answers are the same."""
    return in_order(history)[-MAX_HISTORY:]
