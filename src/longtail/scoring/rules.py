"""Rules of the operations staff: what is hidden from whom, what is lifted or lowered, what stands at a place, how much of a kind."""

from collections.abc import Iterator, Mapping, Sequence
from typing import Annotated, Literal

import numpy as np
from numpy.typing import NDArray
from pydantic import Field, model_validator

from longtail.contracts.errors import UserError
from longtail.contracts.settings_base import Settings
from longtail.scoring.staff_files import Id, parse_staff_file

EXAMPLE = (
    "rules: [{name: …, for: [cold], hide: [attribute], boost: {attribute: 0.5}, max_per: {brand: 2}, pin: {1: id}}]"
)
MOST_RULES = 200
GREATEST_BOOST = 100.0

Attribute = Annotated[str, Field(min_length=1)]
Segment = Literal["cold", "tail", "torso", "head"]


class Rule(Settings):
    """For users of some segments, or of all."""

    name: str = Field(min_length=1, max_length=100, description="As answers give it.")
    segments: tuple[Segment, ...] = Field((), alias="for", description="Users of these segments; left out: all.")
    hide: tuple[Attribute, ...] = Field((), description="Items with one of these attributes are not given.")
    boost: dict[Attribute, Annotated[float, Field(ge=-GREATEST_BOOST, le=GREATEST_BOOST)]] = Field(
        {},
        description="Deviations of the answer's scores by which items with the attribute are lifted, or lowered below 0.",
    )
    max_per: dict[Attribute, Annotated[int, Field(ge=1)]] = Field(
        {}, description="Items at most with the attribute, or of each value of a name, as in a question."
    )
    pin: dict[Annotated[int, Field(ge=1, le=100)], Id] = Field(
        {}, description="Items that stand at a place of the list, counted from 1, where they may be given."
    )

    @model_validator(mode="after")
    def _it_does_something(self) -> "Rule":
        if not (self.hide or self.boost or self.max_per or self.pin):
            raise ValueError("give hide, boost, max_per or pin")
        if len(set(self.pin.values())) < len(self.pin):
            raise ValueError("pin names an item twice")
        return self


class Rules(Settings):
    """All that are in force. Of two pins for a place the first rule's holds; of two limits the lesser; boosts add up."""

    rules: tuple[Rule, ...] = Field((), max_length=MOST_RULES)

    @model_validator(mode="after")
    def _names_differ(self) -> "Rules":
        names = [rule.name for rule in self.rules]
        for name in names:
            if names.count(name) > 1:
                raise ValueError(f"two rules are named {name!r}")
        return self

    @classmethod
    def parse(cls, text: str, name: str) -> "Rules":
        """From YAML or JSON. name: of where it lies.

        Raises:
            UserError: naming the key that is wrong.
        """
        return parse_staff_file(cls, text, name, f"{EXAMPLE}; none: rules: []")

    def check(self, attributes: Mapping[str, object], names: set[str], known: Mapping[str, int]) -> None:
        """Refuse what acts on nothing. attributes: of the catalogue's items; names: of those written ``name: value``; known: item
        ids.

        Raises:
            UserError: naming the rule and what no item has.
        """
        for rule in self.rules:
            for attribute in (*rule.hide, *rule.boost):
                if attribute not in attributes:
                    raise UserError(f"rule {rule.name!r}: no item has the attribute {attribute!r}")
            for name in rule.max_per:
                if name not in attributes and name not in names:
                    raise UserError(f"rule {rule.name!r}: max_per: no item has the attribute or name {name!r}")
            for item in rule.pin.values():
                if item not in known:
                    raise UserError(f"rule {rule.name!r}: pin: item {item!r} is not in the catalogue")


class InForce:
    """The rules for users of one segment, in codes. items_of: attribute -> codes of its items; known: item id -> code."""

    def __init__(
        self, rules: Sequence[Rule], items_of: Mapping[str, NDArray[np.int32]], known: Mapping[str, int], items: int
    ) -> None:
        self.names = [rule.name for rule in rules]
        hidden = [items_of[attribute] for rule in rules for attribute in rule.hide]
        self.hidden = np.unique(np.concatenate([np.zeros(0, np.int32), *hidden])).astype(np.int32)
        self.boost: NDArray[np.float32] | None = None  # [items], in deviations
        for rule in rules:
            for attribute, by in rule.boost.items():
                self.boost = np.zeros(items, np.float32) if self.boost is None else self.boost
                self.boost[items_of[attribute]] += np.float32(by)
        self.max_per: dict[str, int] = {}
        self.pins: dict[int, tuple[int, str]] = {}  # place from 0 -> item's code, rule's name
        for rule in rules:
            for name, most in rule.max_per.items():
                self.max_per[name] = min(most, self.max_per.get(name, most))
            for place, item in rule.pin.items():
                self.pins.setdefault(place - 1, (known[item], rule.name))

    @property
    def leave_order(self) -> bool:
        """Whether no rule places or limits items, so that the probability of a list is known."""
        return not (self.pins or self.max_per)

    def pinned(self, k: int, may_be_given: NDArray[np.bool_]) -> Iterator[tuple[int, int, str]]:
        """Place, item's code and rule's name of the pins of a list of ``k``, in the order of places, each item once."""
        seen: set[int] = set()
        for place, (item, name) in sorted(self.pins.items()):
            if place < k and may_be_given[item] and item not in seen:
                seen.add(item)
                yield place, item, name


def with_pins(chosen: Sequence[int], pins: Sequence[tuple[int, int, str]], k: int) -> list[int]:
    """The list with pinned items at their places, the others moved behind, cut to ``k``; a place beyond the list is its end."""
    pinned = {item for _, item, _ in pins}
    result = [item for item in chosen if item not in pinned]
    for place, item, _ in pins:
        result.insert(min(place, len(result)), item)
    return result[:k]
