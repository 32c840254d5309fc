"""The rules for users of one segment, in the codes of a catalogue, and which of them acted on a list."""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from itertools import chain
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from longtail.scoring.rules import Quota, Rule


class Placed(NamedTuple):
    """An item that a rule puts to a place, from 0."""

    place: int
    item: int
    rule: str


class Share(NamedTuple):
    """A quota in force. items: ascending codes of those that count."""

    rule: str
    attribute: str
    quota: Quota
    items: NDArray[np.int32]

    def counts(self, codes: Iterable[int]) -> int:
        """How many of the items count."""
        return sum(map(self.holds, codes))

    def holds(self, code: int) -> bool:
        """Whether an item counts."""
        place = int(np.searchsorted(self.items, code))
        return place < len(self.items) and int(self.items[place]) == code


class InForce:
    """Rules in the order of their file. items_of: attribute -> ascending codes of its items; known: item id -> code.

    names: of all; hidden: codes; boost [items], in deviations, None where nothing is lifted; max_per: the lesser of two limits; folding: names of
    rules that fold; fallback: item's code -> name of the first rule that lists it, in their order.
    """

    def __init__(
        self, rules: Sequence[Rule], items_of: Mapping[str, NDArray[np.int32]], known: Mapping[str, int], items: int
    ) -> None:
        self.names = [rule.name for rule in rules]
        hides = [(rule.name, items_of[attribute]) for rule in rules for attribute in rule.hide]
        boosts = [(rule.name, items_of[name], by) for rule in rules for name, by in rule.boost.items() if by]
        self._hiding, self._boosting = _Naming(hides), _Naming([(name, codes) for name, codes, _ in boosts])
        self.hidden = np.unique(np.concatenate([np.zeros(0, np.int32), *(codes for _, codes in hides)]))
        self.boost: NDArray[np.float32] | None = np.zeros(items, np.float32) if boosts else None
        for _, codes, by in boosts:
            self.boost[codes] += np.float32(by)  # type: ignore[index]
        self._limits = [(rule.name, key, most) for rule in rules for key, most in rule.max_per.items()]
        self.max_per: dict[str, int] = {}
        for _, key, most in self._limits:
            self.max_per[key] = min(most, self.max_per.get(key, most))
        self.folding = {rule.name for rule in rules if rule.fold}
        self.quotas = [Share(rule.name, name, q, items_of[name]) for rule in rules for name, q in rule.quota.items()]
        self._pins: dict[int, tuple[int, str]] = {}  # place from 0 -> item's code, rule's name
        for rule in rules:
            for place, item in rule.pin.items():
                self._pins.setdefault(place - 1, (known[item], rule.name))
        self.fallback: dict[int, str] = {}
        for rule in rules:
            for item in rule.fallback:
                self.fallback.setdefault(known[item], rule.name)
        self._leading = [known[item] for rule in rules if "cold" in rule.segments for item in rule.fallback]

    @property
    def leave_order(self) -> bool:
        """Whether no rule places or limits items of everybody's lists, so that the probability of a list is known."""
        return not (self._pins or self.max_per or self.folding or self.quotas)

    @property
    def names_items(self) -> bool:
        """Whether rules bring items into lists, whatever their scores."""
        return bool(self._pins or self.fallback or self.quotas)

    @property
    def lead(self) -> bool:
        """Whether there is a list for users of whom nothing is known."""
        return bool(self._leading)

    def placed(self, k: int, may_be_given: NDArray[np.bool_], nothing_known: bool) -> list[Placed]:
        """What stands where in a list of ``k``, in the order of places, each item once: pins, and at the places between them, for a
        user of whom nothing is known, the list for such users."""
        found, seen = dict[int, Placed](), set[int]()
        for place, (item, name) in sorted(self._pins.items()):
            if place < k and may_be_given[item] and item not in seen:
                seen.add(item)
                found[place] = Placed(place, item, name)
        if nothing_known:
            free = (place for place in range(k) if place not in found)
            given = (item for item in dict.fromkeys(self._leading) if may_be_given[item] and item not in seen)
            found |= {place: Placed(place, item, self.fallback[item]) for place, item in zip(list(free), given)}
        return [found[place] for place in sorted(found)]

    def acted(self, own: Iterable[int], given: Iterable[int], directly: Iterable[str]) -> list[str]:
        """Names of the rules that acted, in the order of their file: those that hide an item of the model's ``own`` list, or boost
        one of that or of the list ``given``; and those that acted ``directly``."""
        own, given = list(own), list(given)
        names = {*directly, *self._hiding.of(own), *self._boosting.of([*own, *given])}
        return sorted(names, key=self.names.index)

    def limiting(self, full: Iterable[str], asked: Mapping[str, int]) -> Iterator[str]:
        """Names of the rules whose limits kept an item out, by the limits' keys; not where what was ``asked`` would have, too."""
        for name, key, most in self._limits:
            if key in full and most == self.max_per[key] and most < asked.get(key, most + 1):
                yield name

    @property
    def reordering(self) -> set[str]:
        """Names of the rules that hide or boost."""
        return self._hiding.names | self._boosting.names


class _Naming:
    """Which rules name an item, found by bisection."""

    def __init__(self, named: Sequence[tuple[str, NDArray[np.int32]]]) -> None:
        self.names = {name for name, _ in named}
        self._names = [name for name, _ in named]
        codes = np.concatenate([np.zeros(0, np.int32), *(items for _, items in named)])
        rules = np.repeat(np.arange(len(named)), [len(items) for _, items in named])
        order = np.argsort(codes, kind="stable")
        self._codes, self._rules = codes[order], rules[order]

    def of(self, codes: Sequence[int]) -> set[str]:
        if not len(self._codes):
            return set()
        first, last = (np.searchsorted(self._codes, codes, side=side) for side in ("left", "right"))  # type: ignore[call-overload]
        found = chain.from_iterable(self._rules[a:b].tolist() for a, b in zip(first, last))
        return {self._names[rule] for rule in set(found)}


def with_placed(chosen: Sequence[int], placed: Sequence[Placed], k: int) -> list[int]:
    """The list with placed items at their places, the others moved behind, cut to ``k``; a place beyond the list is its end."""
    items = {one.item for one in placed}
    result = [item for item in chosen if item not in items]
    for one in placed:
        result.insert(min(one.place, len(result)), one.item)
    return result[:k]
