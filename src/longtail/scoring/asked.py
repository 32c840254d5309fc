"""What may be asked of a bundle for one user."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Literal, cast

Attributes = Mapping[str, str | int | float] | Sequence[str]  # {name: value}, or ``name=value`` texts
Way = Literal["mmr", "dpp"]
Likeness = Literal["vectors", "attributes", "both"]
Range = tuple[float | None, float | None]  # least and greatest, both allowed; None: no bound


@dataclass(frozen=True)
class Filters:
    """What items must say of themselves: all of ``all``, one of ``any`` where any are named, none of ``none``, and a number in each
    of ``ranges`` (by the number's name; an item without the number is left out)."""

    all: Sequence[str] = ()
    any: Sequence[str] = ()
    none: Sequence[str] = ()
    ranges: Mapping[str, Range] = field(default_factory=dict)

    def __bool__(self) -> bool:
        return bool(self.all or self.any or self.none or self.ranges)


@dataclass(frozen=True)
class Explore:
    """One of the three. epsilon: the share of places that a draw fills, all items (of ``new_items``: those that nobody had chosen in
    training) alike; temperature: of the softmax of scores, in deviations of those that may be given; thompson: by draws of
    what a learned policy believes (``exploring.thompson``)."""

    epsilon: float | None = None
    temperature: float | None = None
    new_items: bool = False
    thompson: bool = False


@dataclass(frozen=True)
class Event:
    """That a user chose an item. timestamp: seconds since 1970. event: its kind (view, purchase), as the training data name it."""

    item_id: str
    timestamp: float
    event: str | None = None


History = Sequence[str] | Sequence[Event]


def in_order(history: History) -> Sequence[str]:
    """Item ids, oldest first; of events at one time the earlier given one is the older."""
    if not history or isinstance(history[0], str):
        return cast(Sequence[str], history)
    return [one.item_id for one in sorted(cast(Sequence[Event], history), key=lambda one: one.timestamp)]


@dataclass(frozen=True)
class Asked:
    """What is known of one user, and which items may be given.

    history: item ids, oldest first, or events in any order, of which the latest ``MAX_HISTORY`` are read. context: what is known of
    the moment, such as the occasion. k: items wanted; None takes 10, or all where there are fewer. similar_to: items that those given are to be like.
    candidates: ids of the only items that may be given; None: all. exclude: ids that may not. diversity: 0 orders by score alone, 1 by
    how unlike the items before it each one is. max_per: items at most with an attribute, or with each value of a name where
    attributes are ``name: value`` or ``name=value``. explore: None shows what is ranked first. explain: whether reasons are wanted.
    fold: of near-duplicates only the best one is given. diversity_by: Maximal Marginal Relevance or a determinantal point process;
    diversity_on: which likeness it takes; None: of the item vectors, or of attributes where the bundle has no trained vectors.
    """

    history: History = ()
    attributes: Attributes = ()
    interests: str | None = None
    k: int | None = None
    context: Attributes = ()
    similar_to: Sequence[str] = ()
    candidates: Sequence[str] | None = None
    exclude: Sequence[str] = ()
    filters: Filters = Filters()
    diversity: float = 0.0
    max_per: Mapping[str, int] = field(default_factory=dict)
    explore: Explore | None = None
    explain: bool = True
    fold: bool = False
    diversity_by: Way = "mmr"
    diversity_on: Likeness | None = None

    @property
    def narrows(self) -> bool:
        """Whether it says which items may be given, beyond what holds for everybody."""
        return self.candidates is not None or bool(self.exclude or self.filters or self.similar_to)
