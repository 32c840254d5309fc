"""Which items may be given: exactly those that a question allows, whatever their scores."""

import re
from collections.abc import Callable, Mapping, Sequence
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray
from rapidfuzz import process

from longtail.contracts.errors import UserError
from longtail.contracts.ids import canonical_id
from longtail.scoring.asked import Asked, Filters
from longtail.scoring.bundle import Bundle
from longtail.scoring.shaping import Limit

SHOWN = 3  # attributes or numbers that a refusal names
LONGEST_COMPARED, MOST_COMPARED = (
    60,
    20_000,
)  # characters, and attributes, among which a misspelt one is looked for: 30 ms

_NAMED = re.compile(r"\s*([^:=]*[^:=\s])\s*[:=]")

Mask = NDArray[np.bool_]  # [items]


class LeftOut(NamedTuple):
    """Codes of items that may not be given, whatever is asked: those of the history, those that are not available, and those that
    rules hide."""

    history: NDArray[np.int32]
    closed: NDArray[np.int32]
    hidden: NDArray[np.int32]


class Eligibility:
    """What is needed to say it fast, made once.

    codes: item id -> code; items_of: attribute -> ascending codes of its items; names: of attributes such as ``brand: Lux``.
    """

    def __init__(self, bundle: Bundle) -> None:
        self._bundle = bundle
        self.codes = {item: code for code, item in enumerate(bundle.item_ids)}
        items_of: dict[str, list[int]] = {}
        for code, attributes in enumerate(bundle.item_attributes):
            for attribute in attributes:
                items_of.setdefault(attribute, []).append(code)
        self.items_of = {attribute: np.array(codes, dtype=np.int32) for attribute, codes in items_of.items()}
        self.names = {_name(attribute) for attribute in items_of} - {""}

    def check(self, asked: Asked) -> None:
        """Refuse what no item has: a filter that cannot act would let through what it is there to keep out.

        Raises:
            UserError: naming the attribute, name or number.
        """
        for key in ("all", "any", "none"):
            for attribute in getattr(asked.filters, key):
                if attribute not in self.items_of:
                    raise UserError(
                        f"filters.{key}: no item has the attribute {attribute!r}{_near(attribute, self.items_of)}"
                    )
        numbers = self._bundle.number_names
        for name in asked.filters.ranges:
            if name not in numbers:
                known = f"known: {', '.join(numbers)}" if numbers else "this model's items have none"
                raise UserError(f"filters.ranges: items have no number {name!r}; {known}")
        for name in asked.max_per:
            if name not in self.items_of and name not in self.names:
                raise UserError(
                    f"max_per: no item has the attribute {name!r}, or one that begins with '{name}:' or '{name}='"
                    + _near(name, [*self.items_of, *self.names])
                )

    def allowed(self, asked: Asked, left_out: LeftOut) -> Mask:
        """The items that may be given."""
        mask = np.ones(len(self.codes), dtype=bool)
        for _, narrow in self._steps(asked, left_out):
            narrow(mask)
        return mask

    def why_fewer(self, asked: Asked, left_out: LeftOut) -> tuple[int, str]:
        """How many of the catalogue's items may be given, and what left how many, in words."""
        mask = np.ones(len(self.codes), dtype=bool)
        said = [f"of {len(mask)} items"]
        for what, narrow in self._steps(asked, left_out):
            before = int(mask.sum())
            narrow(mask)
            if (left := int(mask.sum())) < before:
                said.append(f"{left} {what}")
        return int(mask.sum()), ", ".join(said)

    def limits(self, item: int, max_per: Mapping[str, int]) -> list[Limit]:
        """Of the attributes of an item that ``max_per`` names, or whose name it names."""
        return [
            Limit(attribute, max_per[key], key)
            for attribute in self._bundle.item_attributes[item]
            if (key := attribute if attribute in max_per else _name(attribute)) in max_per
        ]

    def known(self, item_ids: Sequence[str]) -> NDArray[np.int32]:
        """Codes of those ids that the catalogue holds, in their order."""
        found = (self._code(item) for item in item_ids)
        return np.array([code for code in found if code is not None], dtype=np.int32)

    def unknown(self, item_ids: Sequence[str]) -> list[str]:
        """Those ids that the catalogue does not hold."""
        return [item for item in item_ids if self._code(item) is None]

    def _code(self, item: str) -> int | None:
        code = self.codes.get(item)  # the catalogue's ids are canonical, as most that are asked for
        return self.codes.get(canonical_id(item) or "") if code is None else code

    def _steps(self, asked: Asked, left_out: LeftOut) -> list[tuple[str, Callable[[Mask], None]]]:
        """What narrows the catalogue, in the order in which it is said."""
        steps: list[tuple[str, Callable[[Mask], None]]] = []
        if len(left_out.closed):
            steps.append(("are available", _without(left_out.closed)))
        if len(left_out.hidden):
            steps.append(("are not hidden by rules", _without(left_out.hidden)))
        if asked.candidates is not None:
            steps.append(("are candidates", _only(self.known(asked.candidates))))
        if asked.filters:
            steps.append(("pass the filters", lambda mask: self._filter(mask, asked.filters)))
        if asked.exclude:
            steps.append(("are not excluded", _without(self.known(asked.exclude))))
        if asked.similar_to:
            steps.append(("are others than those to be like", _without(self.known(asked.similar_to))))
        if len(left_out.history):
            steps.append(("are not in the history", _without(left_out.history)))
        return steps

    def _filter(self, mask: Mask, filters: Filters) -> None:
        for attribute in filters.all:
            _only(self.items_of[attribute])(mask)
        if filters.any:
            _only(np.concatenate([self.items_of[attribute] for attribute in filters.any]))(mask)
        for attribute in filters.none:
            mask[self.items_of[attribute]] = False
        for name, (least, greatest) in filters.ranges.items():
            values = self._bundle.numbers[:, self._bundle.number_names.index(name)]
            mask &= ~np.isnan(values)
            mask &= values >= (-np.inf if least is None else least)
            mask &= values <= (np.inf if greatest is None else greatest)


def _name(attribute: str) -> str:
    """``brand`` of ``brand: Lux`` and ``brand=Lux``; "" of what has no name."""
    found = _NAMED.match(attribute)
    return found[1] if found else ""


def _only(codes: NDArray[np.integer]) -> Callable[[Mask], None]:
    def narrow(mask: Mask) -> None:
        kept = codes[mask[codes]]
        mask[:] = False
        mask[kept] = True

    return narrow


def _without(codes: NDArray[np.integer]) -> Callable[[Mask], None]:
    def narrow(mask: Mask) -> None:
        mask[codes] = False

    return narrow


def _near(asked: str, known: Sequence[str] | dict[str, NDArray[np.int32]]) -> str:
    """Known attributes that are written alike, unless looking for them would take long."""
    if len(asked) > LONGEST_COMPARED or len(known) > MOST_COMPARED:
        return ""
    near = [found[0] for found in process.extract(asked, list(known), limit=SHOWN, score_cutoff=60)]
    return f"; near it are {', '.join(map(repr, near))}" if near else ""
