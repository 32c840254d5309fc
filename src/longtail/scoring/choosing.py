"""Which items a list holds, and where: the best that may be given, shaped as a question and the shop's rules want it.

What may not be given never is. Then, of two wishes that cannot both be met: items that rules place (pins, fallback lists) stand where
they are placed, and count for limits and quotas; limits and folding hold for all others; a quota is met as far as those let it; what
is left goes by score and diversity.
"""

from collections import Counter
from collections.abc import Hashable, Mapping, Sequence
from dataclasses import dataclass, field, replace

import numpy as np
from numpy.typing import NDArray

from longtail.scoring.asked import Asked
from longtail.scoring.bundle import Bundle
from longtail.scoring.eligibility import Eligibility, LeftOut, Mask
from longtail.scoring.exploring import Deviations, Explored, explored, thompson
from longtail.scoring.in_force import InForce, Placed, Share, with_placed
from longtail.scoring.near_duplicates import NearDuplicates
from longtail.scoring.query import Query
from longtail.scoring.scores import Scores
from longtail.scoring.shaping import (
    POOL,
    Before,
    Dpp,
    Limit,
    Mmr,
    Order,
    Shaped,
    by_attributes,
    by_both,
    by_vectors,
    relevance,
    shaped,
)

FOLDED = 5  # near-duplicates that an item names at most


@dataclass(frozen=True)
class Chosen:
    """codes of the items, best first. placed: item -> the rule that put it there; drawn: where it was explored; folded: item -> the
    near-duplicates that it stands for; acted: names of rules that did something while the list was made; missed: quotas that were
    not met, in words."""

    codes: NDArray[np.intp]
    placed: Mapping[int, str] = field(default_factory=dict)
    drawn: Explored | None = None
    folded: Mapping[int, Sequence[int]] = field(default_factory=dict)
    acted: frozenset[str] = frozenset()
    missed: Sequence[str] = ()


@dataclass(frozen=True)
class Wanted:
    """What a list is made from. asked: with ``k``; nothing_known: of the user; allowed [items]: what may be
    given, where that is known already; deviations: draws of what a learned policy believes, where the question wants them."""

    asked: Asked
    scores: Scores
    left_out: LeftOut
    rules: InForce
    nothing_known: bool = False
    allowed: Mask | None = None
    deviations: Deviations | None = None

    @property
    def k(self) -> int:
        return self.asked.k or 0

    @property
    def explores(self) -> bool:
        """Whether items are drawn, as no rule places or limits them."""
        return self.asked.explore is not None and self.rules.leave_order and not self.leads

    @property
    def leads(self) -> bool:
        """Whether the shop's list for users of whom nothing is known comes first."""
        return self.nothing_known and self.rules.lead

    @property
    def max_per(self) -> dict[str, int]:
        """Of two limits the lesser."""
        return self.rules.max_per | {
            name: min(most, self.rules.max_per.get(name, most)) for name, most in self.asked.max_per.items()
        }


class Choosing:
    """From a bundle's items."""

    def __init__(self, bundle: Bundle, eligibility: Eligibility, has_dense_part: bool) -> None:
        self._bundle, self._eligibility, self._has_dense_part = bundle, eligibility, has_dense_part
        self._same = NearDuplicates(bundle.titles)
        self._none = InForce([], {}, {}, len(bundle.item_ids))

    def choose(self, wanted: Wanted) -> Chosen:
        """The ``k`` items to show."""
        asked, rules, k = wanted.asked, wanted.rules, wanted.k
        if asked.explore and wanted.explores:
            allowed, is_new = self._eligibility.allowed(asked, wanted.left_out), self._bundle.train_counts == 0
            rng = np.random.default_rng()
            if wanted.deviations is not None:
                drawn = thompson(wanted.scores.values, allowed, k, wanted.deviations, rng)
            else:
                drawn = explored(asked.explore, wanted.scores.values, allowed, is_new, k, rng)
            return Chosen(drawn.codes, drawn=drawn)
        by_rules = not rules.leave_order or rules.fallback
        mask = wanted.allowed
        if mask is None and (asked.narrows or by_rules):
            mask = self._eligibility.allowed(asked, wanted.left_out)
        if not by_rules and not (asked.diversity or asked.max_per or asked.fold):
            return Chosen(wanted.scores.best(k, np.concatenate(wanted.left_out), mask))
        placed = rules.placed(k, mask, wanted.leads) if mask is not None else []
        others = mask
        if mask is not None and placed:
            others = mask.copy()
            others[[one.item for one in placed]] = False
        fold = asked.fold or bool(rules.folding)
        found = _List(self, wanted, others, placed, fold).made()
        found = replace(found, placed={one.item: one.rule for one in placed})
        if mask is not None and rules.fallback and len(found.codes) < k:
            found = self._filled(wanted, mask, placed, found)
        missed = [text for share in rules.quotas if (text := _missed(share, found.codes.tolist(), k))]
        return replace(found, acted=found.acted | set(found.placed.values()), missed=missed)

    def acted(self, wanted: Wanted, plain: Scores, chosen: Chosen) -> tuple[list[str], bool]:
        """Names of the rules that acted on a list, and whether they or availability made it another than the model's own.

        plain: scores before boosts. docs/serving.md defines what acting is. Of drawn items it is not known which would have been
        there: a rule acted where it hides or boosts an item that could have been drawn.
        """
        rules, left_out = wanted.rules, wanted.left_out
        if not rules.names and not len(left_out.closed):
            return [], False
        shown = left_out._replace(hidden=left_out.hidden[:0])
        if wanted.explores:
            could = np.flatnonzero(self._eligibility.allowed(wanted.asked, shown)) if rules.reordering else ()
            names = rules.acted(could, (), ())
            return names, bool(names)
        alone = replace(
            wanted,
            asked=replace(wanted.asked, explore=None),
            scores=plain,
            left_out=shown,
            rules=self._none,
            allowed=None,
        )
        given = chosen.codes.tolist()
        # two that keep the same item out may each say that it was the other
        silent = not chosen.acted and not rules.leave_order
        own = self.choose(alone).codes.tolist() if rules.reordering or silent else given
        names = rules.acted(own, given, chosen.acted)
        if own != given and not names:  # diversity compares scores with those of a pool, whose others they boosted
            names = rules.acted((), (), rules.reordering or rules.names)
        if names or not len(left_out.closed):
            return names, bool(names)
        open_ = replace(alone, left_out=shown._replace(closed=left_out.closed[:0]))
        return names, self.choose(open_).codes.tolist() != given

    def _filled(self, wanted: Wanted, mask: Mask, placed: Sequence[Placed], found: Chosen) -> Chosen:
        """With items of fallback lists behind the others, past what rules limit and fold, within what the question does."""
        asked, given, filled = wanted.asked, found.codes.tolist(), dict[int, str]()
        for item, rule in wanted.rules.fallback.items():
            if len(given) + len(filled) == wanted.k:
                break
            if not mask[item] or item in given:
                continue
            before = self.before([*given, *filled], asked.max_per, asked.fold)
            if _fits(self.limits(item, asked.max_per), self.group(item) if asked.fold else None, before):
                filled[item] = rule
        codes = np.array(with_placed([*given, *filled], placed, wanted.k), dtype=np.intp)
        folded = {item: left for item, same in found.folded.items() if (left := [c for c in same if c not in filled])}
        return replace(found, codes=codes, placed={**found.placed, **filled}, folded=folded)

    def order(self, asked: Asked, pool: NDArray[np.intp], relevant: NDArray[np.float32]) -> Order:
        """How the items of a pool follow each other."""
        if not asked.diversity:
            return Mmr(relevant, 0.0, lambda place: relevant)
        on = asked.diversity_on or ("vectors" if self._has_dense_part else "attributes")
        attributes = [self._bundle.item_attributes[item] for item in pool] if on != "vectors" else []
        if on == "attributes":
            alike = by_attributes(attributes)
        else:
            vectors = self._bundle.tensors.item_matrix[pool]
            alike = by_vectors(vectors) if on == "vectors" else by_both(vectors, attributes)
        if asked.diversity_by == "dpp":
            return Dpp(relevant, Dpp.weight(asked.diversity), alike)
        return Mmr(relevant, asked.diversity, alike)

    def group(self, item: int) -> Hashable | None:
        """Of an item's near-duplicates."""
        return self._same.group(item)

    def limits(self, item: int, max_per: Mapping[str, int]) -> list[Limit]:
        """Of an item."""
        return self._eligibility.limits(item, max_per) if max_per else []

    def before(self, codes: Sequence[int], max_per: Mapping[str, int], fold: bool) -> Before:
        """What these items count for."""
        counts = Counter(limit.group for item in codes for limit in self.limits(item, max_per))
        return Before(counts, frozenset(self.group(item) for item in codes if fold) - {None})


def degraded(wanted: Wanted, query: Query, looked_at: NDArray[np.int32]) -> str | None:
    """What could not be answered as it was asked, in words."""
    asked = wanted.asked
    if asked.explore and not wanted.explores:
        return "nothing is explored, as a rule places or limits items"
    if asked.similar_to and not len(looked_at):
        return "no item of similar_to is known; it was left aside"
    if asked.history and not len(query.history):
        return "no item of the history is known; answered as a newcomer"
    return None


class _List:
    """One list in the making. mask: what may be given and is not placed; None: all but what is left out."""

    def __init__(
        self, choosing: Choosing, wanted: Wanted, mask: Mask | None, placed: Sequence[Placed], fold: bool
    ) -> None:
        self._choosing, self._wanted, self._mask, self._placed, self._fold = choosing, wanted, mask, placed, fold
        self._everywhere = np.concatenate(wanted.left_out)
        self._free = wanted.k - len(placed)  # places
        self._max_per = wanted.max_per
        self._before = choosing.before([one.item for one in placed], self._max_per, fold)

    def made(self) -> Chosen:
        """The placed items and the best others."""
        asked, rules = self._wanted.asked, self._wanted.rules
        if not (asked.diversity or self._max_per or self._fold or rules.quotas):
            return Chosen(self._whole(self._best(self._free)))
        size = max(POOL, 10 * self._wanted.k)
        while True:
            pool = self._best(size)
            found = self._shaped(pool, pool, {})
            if len(found.chosen) == self._free or len(pool) < size:
                break
            size *= 4  # limits and near-duplicates used the pool up
        codes, brought = self._whole(pool[found.chosen]), set[str]()
        short = [share for share in rules.quotas if _missed(share, codes.tolist(), self._wanted.k)]
        if short and (due := self._due()):
            both = np.union1d(pool, list(due))
            wider = both[np.argsort(-self._wanted.scores[both], kind="stable")]
            found = self._shaped(wider, pool, {int(np.flatnonzero(wider == item)[0]): by for item, by in due.items()})
            before, codes, pool = codes, self._whole(wider[found.chosen]), wider
            brought = {share.rule for share in short if _more(share, codes, before, self._wanted.k)}
        acted = {*rules.limiting(found.full, asked.max_per), *brought}
        folded = self._folded(codes.tolist(), pool.tolist()) if self._fold else {}
        if folded and not asked.fold:
            plain = _List(self._choosing, self._wanted, self._mask, self._placed, False).made()
            given = set(plain.codes.tolist())
            would_be_there = any(not given.isdisjoint(items) for items in folded.values())
            acted |= rules.folding if would_be_there else plain.acted  # else limits keep out what is folded, too
        shown = {item: items[:FOLDED] for item, items in folded.items()}
        return Chosen(codes, folded=shown, acted=frozenset(acted))

    def _best(self, count: int) -> NDArray[np.intp]:
        return self._wanted.scores.best(count, self._everywhere, self._mask)

    def _whole(self, others: NDArray[np.intp]) -> NDArray[np.intp]:
        """With what is placed."""
        return np.array(with_placed(others.tolist(), self._placed, self._wanted.k), dtype=np.intp)

    def _shaped(self, items: NDArray[np.intp], pool: NDArray[np.intp], due: Mapping[int, int]) -> Shaped:
        """items: the pool, and such as are due, best first."""
        if not len(items):
            return Shaped([], set())
        scores = self._wanted.scores
        order = self._choosing.order(self._wanted.asked, items, relevance(scores[items], float(scores[pool].min())))
        limits = [self._choosing.limits(item, self._max_per) for item in items.tolist()] if self._max_per else []
        same = [self._choosing.group(item) for item in items.tolist()] if self._fold else []
        return shaped(order, len(items), self._free, limits, same, self._before, due)

    def _due(self) -> dict[int, int]:
        """Items that meet the quotas, the best that limits allow, and of how many of the first unplaced items each is one.

        The quota of the fewest places goes first, then the first rule's; a later one counts what others brought.
        """
        due, before, scores = dict[int, int](), self._before, self._wanted.scores
        given = [one.item for one in self._placed]
        for share in sorted(self._wanted.rules.quotas, key=lambda one: one.quota.within(self._wanted.k)[1]):
            count, places = share.quota.within(self._wanted.k)
            early = [one.item for one in self._placed if one.place < places]
            latest, have = places - len(early), share.counts([*early, *due])
            items = share.items[self._mask[share.items]] if self._mask is not None else share.items
            for item in items[np.argsort(-scores[items], kind="stable")].tolist():
                if have >= count or len(due) >= latest:
                    break
                limits = self._choosing.limits(item, self._max_per)
                if item not in due and _fits(limits, self._choosing.group(item) if self._fold else None, before):
                    due[item], have = latest, have + 1
                    before = self._choosing.before([*given, *due], self._max_per, self._fold)
        return due

    def _folded(self, codes: Sequence[int], pool: Sequence[int]) -> dict[int, list[int]]:
        """Of each item of the list that has any, the near-duplicates in the pool that are not in the list."""
        groups: dict[Hashable, list[int]] = {}
        for item in pool:
            if item not in codes and (group := self._choosing.group(item)) is not None:
                groups.setdefault(group, []).append(item)
        found = {item: groups.pop(group, []) for item in codes if (group := self._choosing.group(item)) is not None}
        return {item: items for item, items in found.items() if items}


def _fits(limits: Sequence[Limit], group: Hashable | None, before: Before) -> bool:
    return group not in before.same and all(before.counts[limit.group] < limit.most for limit in limits)


def _missed(share: Share, codes: Sequence[int], k: int) -> str:
    """In words, how a list of ``k`` does not meet a quota; "" where it does."""
    count, places = share.quota.within(k)
    have = share.counts(codes[:places])
    said = f"{share.rule}: of the first {places} items {have} instead of {count} have {share.attribute!r}"
    return said if have < count else ""


def _more(share: Share, codes: NDArray[np.intp], before: NDArray[np.intp], k: int) -> bool:
    """Whether the quota is met better than before."""
    places = share.quota.within(k)[1]
    return share.counts(codes[:places].tolist()) > share.counts(before[:places].tolist())
