"""Rules of the operations staff: what is hidden from whom, what is lifted or lowered, what stands at a place, how much of a kind, and
what is given where there is nothing better."""

from collections.abc import Mapping
from math import ceil
from typing import Annotated, Literal

from pydantic import Field, model_validator

from longtail.contracts.errors import UserError
from longtail.contracts.settings_base import Settings
from longtail.scoring.staff_files import Id, parse_staff_file

EXAMPLE = (
    "rules: [{name: …, for: [cold], hide: [attribute], boost: {attribute: 0.5}, max_per: {brand: 2}, fold: true, pin: {1: id}, "
    "quota: {attribute: {at_least: 2, of: 10}}, fallback: [id, …]}]"
)
MOST_RULES = 200
GREATEST_BOOST = 100.0
MOST_PLACES = 100  # of a list, that rules speak of
MOST_FALLBACK = 1000

Attribute = Annotated[str, Field(min_length=1)]
Segment = Literal["cold", "tail", "torso", "head"]


class Quota(Settings):
    """How many of a list's first items have an attribute, at least."""

    at_least: int | None = Field(None, ge=1, le=MOST_PLACES, description="So many.")
    share: float | None = Field(None, gt=0, le=1, description="Or such a share of the places, rounded up.")
    of: int | None = Field(None, ge=1, le=MOST_PLACES, description="Among so many places; left out: all of the list.")

    @model_validator(mode="after")
    def _one_of_both(self) -> "Quota":
        if (self.at_least is None) == (self.share is None):
            raise ValueError("give at_least or share, one of the two")
        if self.at_least and self.of and self.at_least > self.of:
            raise ValueError(f"at_least {self.at_least} is more than of {self.of}")
        return self

    def within(self, k: int) -> tuple[int, int]:
        """How many of how many places of a list of ``k``. One of fewer places than ``of`` is the beginning of such a list."""
        of = self.of or k
        wanted = min(self.at_least, of) if self.at_least else ceil((self.share or 0) * of - 1e-9)
        return (wanted, of) if of <= k else (max(wanted - (of - k), 0), k)


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
    pin: dict[Annotated[int, Field(ge=1, le=MOST_PLACES)], Id] = Field(
        {}, description="Items that stand at a place of the list, counted from 1, where they may be given."
    )
    fold: bool = Field(False, description="Of near-duplicates only the best one is given, as in a question.")
    quota: dict[Attribute, Quota] = Field(
        {}, description="Items with the attribute among the first ones, at least, where they may be given."
    )
    fallback: tuple[Id, ...] = Field(
        (), max_length=MOST_FALLBACK, description="Items, in this order, for places that nothing else may fill."
    )

    @model_validator(mode="after")
    def _it_does_something(self) -> "Rule":
        if not (self.hide or self.boost or self.max_per or self.pin or self.fold or self.quota or self.fallback):
            raise ValueError("give hide, boost, max_per, fold, pin, quota or fallback")
        if len(set(self.pin.values())) < len(self.pin):
            raise ValueError("pin names an item twice")
        if len(set(self.fallback)) < len(self.fallback):
            raise ValueError("fallback names an item twice")
        return self


class Rules(Settings):
    """All that are in force. Of two pins for a place the first rule's holds; of two limits the lesser; boosts add up; fallback lists
    follow each other."""

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
            for attribute in (*rule.hide, *rule.boost, *rule.quota):
                if attribute not in attributes:
                    raise UserError(f"rule {rule.name!r}: no item has the attribute {attribute!r}")
            for name in rule.max_per:
                if name not in attributes and name not in names:
                    raise UserError(f"rule {rule.name!r}: max_per: no item has the attribute or name {name!r}")
            for key, items in (("pin", rule.pin.values()), ("fallback", rule.fallback)):
                for item in items:
                    if item not in known:
                        raise UserError(f"rule {rule.name!r}: {key}: item {item!r} is not in the catalogue")
