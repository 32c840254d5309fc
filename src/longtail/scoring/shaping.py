"""Shapes a list: items unlike each other, no more of a kind than asked, near-duplicates once, and some by a place at the latest.

Two ways to be diverse: Maximal Marginal Relevance (Carbonell & Goldstein 1998), where the next item is the one with the most of its
own score and the least likeness to what stands before it, and the greedy maximum of a determinantal point process (Chen, Zhang &
Zhou 2018). docs/serving.md says what they cost and buy (benchmarks/diversity.py).
"""

from collections import Counter
from collections.abc import Callable, Hashable, Mapping, Sequence
from typing import NamedTuple, Protocol

import numpy as np
from numpy.typing import NDArray

POOL = 100  # of the best items, at least, that a list is shaped from; ten for each place if that is more
DPP_WEIGHT = 2.5  # of scores at diversity 1/2: lists are then about as diverse as those of MMR
LEAST_VOLUME = 1e-9  # what an item adds where those before it say all of it; rounding is smaller

Alike = Callable[[int], NDArray[np.float32]]  # place -> likeness of each item of the pool to the one there. [pool]


def by_vectors(vectors: NDArray[np.float32]) -> Alike:
    """The cosine. vectors: unit rows [pool, dim]"""
    return lambda place: np.asarray(vectors @ vectors[place])


def by_attributes(attributes: Sequence[Sequence[str]]) -> Alike:
    """What share of the attributes of either the two have in common (Jaccard); 0 where neither has any. attributes: [pool]"""
    columns = {name: column for column, name in enumerate(dict.fromkeys(name for row in attributes for name in row))}
    has = np.zeros((len(attributes), len(columns)), dtype=np.float32)
    for place, row in enumerate(attributes):
        has[place, [columns[name] for name in row]] = 1
    sizes = has.sum(axis=1)

    def alike(place: int) -> NDArray[np.float32]:
        shared = has @ has[place]
        either = sizes + sizes[place] - shared
        return np.asarray(np.divide(shared, either, out=np.zeros_like(shared), where=either > 0))

    return alike


def by_both(vectors: NDArray[np.float32], attributes: Sequence[Sequence[str]]) -> Alike:
    """The mean of both."""
    first, second = by_vectors(vectors), by_attributes(attributes)
    return lambda place: (first(place) + second(place)) / np.float32(2)


class Order(Protocol):
    """What comes next from a pool."""

    def values(self) -> NDArray[np.floating]:
        """Of each item of the pool, as next one: the greater the better. ``[pool]``"""
        ...

    def take(self, place: int) -> None:
        """The item at this place of the pool was given."""
        ...


def relevance(scores: NDArray[np.float32], least: float | None = None) -> NDArray[np.float32]:
    """Where scores [pool], best first, lie between the least (of the pool, where left out) and the greatest; below 0 beneath it."""
    least = float(scores[-1]) if least is None else least
    return np.asarray((scores - np.float32(least)) / (float(scores[0] - np.float32(least)) or 1.0))


class Mmr:
    """``(1 - diversity) * relevance - diversity * likeness to the most alike item before``, which is 0 where it is negative."""

    def __init__(self, relevant: NDArray[np.float32], diversity: float, alike: Alike) -> None:
        self._relevant, self._diversity, self._alike = (1 - diversity) * relevant, diversity, alike
        self._nearest = np.zeros(len(relevant), dtype=np.float32)

    def values(self) -> NDArray[np.floating]:
        return self._relevant - self._diversity * self._nearest

    def take(self, place: int) -> None:
        if self._diversity:
            self._nearest = np.maximum(self._nearest, self._alike(place))


class Dpp:
    """``weight * relevance + log of the volume that the item adds``; the kernel is ``(1 + likeness) / 2``, of which rows are made as
    items are taken (an incremental Cholesky decomposition)."""

    def __init__(self, relevant: NDArray[np.float32], weight: float, alike: Alike) -> None:
        self._quality, self._alike = weight * relevant.astype(np.float64), alike
        self._left = np.ones(len(relevant))  # of each item, what those before it do not say
        self._rows: list[NDArray[np.float64]] = []

    @staticmethod
    def weight(diversity: float) -> float:
        """Of relevance, at a diversity above 0."""
        return DPP_WEIGHT * (1 - diversity) / diversity

    def values(self) -> NDArray[np.floating]:
        return self._quality + np.log(np.maximum(self._left, LEAST_VOLUME))

    def take(self, place: int) -> None:
        kernel = (1 + self._alike(place).astype(np.float64)) / 2
        kernel[place] = 1.0  # also of an item without attributes, and of rounded vectors
        said = sum((row * row[place] for row in self._rows), np.zeros(len(kernel)))
        row = (kernel - said) / np.sqrt(max(self._left[place], LEAST_VOLUME))
        self._left = self._left - row**2
        self._rows.append(row)


class Limit(NamedTuple):
    """At most ``most`` items of a group. key: the limit that says so."""

    group: str
    most: int
    key: str = ""


class Before(NamedTuple):
    """What stands in the list already: items of each limit's group; groups of near-duplicates."""

    counts: Counter[str]
    same: frozenset[Hashable]


NOTHING_BEFORE = Before(Counter(), frozenset())


class Shaped(NamedTuple):
    """chosen: places in the pool, in the order in which they are shown; full: keys of the limits that kept an item out which was
    the next one."""

    chosen: list[int]
    full: set[str]


def shaped(
    order: Order,
    pool: int,
    k: int,
    limits: Sequence[Sequence[Limit]] = (),
    same: Sequence[Hashable | None] = (),
    before: Before = NOTHING_BEFORE,
    due: Mapping[int, int] | None = None,
) -> Shaped:
    """At most ``k`` items of a pool, best first, of so many.

    limits: those of each item; same: the group of near-duplicates of each, None for an item of none; nothing of both where left out.
    due: places of items that are given whatever else is -> of how many of the list's first items they are; they were chosen so that
    this can be, and limits hold for them.
    """
    due = dict(due or {})
    left = np.ones(pool, dtype=bool)
    counts = before.counts + Counter(limit.group for place in due if limits for limit in limits[place])
    later = _only_the_best_of_each_group(left, same, before.same, due)
    chosen, full = list[int](), set[str]()
    while len(chosen) < k:
        pressing = _pressing(due, len(chosen))
        values = np.where(left, order.values(), -np.inf)
        among = np.array(pressing) if pressing else np.arange(pool)
        place = int(among[values[among].argmax()])  # of equals the first
        if values[place] == -np.inf:
            break
        left[place] = False
        if due.pop(place, None) is None:
            of = limits[place] if limits else ()
            if reached := [limit.key for limit in of if counts[limit.group] >= limit.most]:
                full.update(reached)
                if others := later.get(place):  # a near-duplicate may be within limits
                    left[others[0]] = True
                    later[others[0]] = others[1:]
                continue
            counts.update(limit.group for limit in of)
        chosen.append(place)
        order.take(place)
    return Shaped(chosen, full)


def _only_the_best_of_each_group(
    left: NDArray[np.bool_], same: Sequence[Hashable | None], gone: frozenset[Hashable], due: Mapping[int, int]
) -> dict[int, list[int]]:
    """Takes the others out of what is left; returns, of a best one, those that come in its stead, best first."""
    groups: dict[Hashable, list[int]] = {}
    for place, group in enumerate(same):
        if group is not None:
            groups.setdefault(group, []).append(place)
    later = {}
    for group, places in groups.items():
        given = [place for place in places if place in due]
        left[places] = False
        if given:
            left[given] = True
        elif group not in gone:
            left[places[0]] = True
            later[places[0]] = places[1:]
    return later


def _pressing(due: Mapping[int, int], given: int) -> list[int]:
    """Places of items one of which must be the next, or not all of them come in time."""
    for first in sorted(set(due.values())):
        soon = sorted(place for place, latest in due.items() if latest <= first)
        if len(soon) >= first - given:
            return soon
    return []
