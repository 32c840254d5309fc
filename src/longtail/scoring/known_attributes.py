"""The user attributes that a bundle knows, found by what a client says: ``age=25`` is the band ``age=24-29``.

An attribute that some users of the training lacked has the value ``name=``; one with many values has those of many users, and
``name=(other)`` for the rest.
"""

import math
import re
from collections import defaultdict
from collections.abc import Sequence
from itertools import pairwise

from longtail.contracts.attributes import OTHER, column_of, is_missing

NUMBER = r"-?[0-9]+(?:[.][0-9]+)?(?:[eE][-+]?[0-9]+)?"
BAND = re.compile(f"({NUMBER})-({NUMBER})")


class KnownAttributes:
    """The vocabulary, ``name=value`` each; numbers that were banded in training are ``name=low-high``."""

    def __init__(self, vocabulary: Sequence[str]) -> None:
        self._known = frozenset(vocabulary)
        found = defaultdict(list)  # name -> highest and lowest value of each band, and its text
        for attribute in vocabulary:
            name, _, value = attribute.partition("=")
            if band := BAND.fullmatch(value):
                found[name].append((float(band[2]), float(band[1]), attribute))
            elif re.fullmatch(NUMBER, value):
                found[name].append((float(value), float(value), attribute))
        in_order = {name: sorted(bands) for name, bands in found.items()}
        self._bands = {
            name: bands
            for name, bands in in_order.items()
            if _are_bands(bands) and f"{name}={OTHER}" not in self._known
        }
        self._missing = {attribute[:-1]: attribute for attribute in vocabulary if is_missing(attribute)}

    def __contains__(self, attribute: str) -> bool:
        return self.find(attribute) in self._known

    def complete(self, given: Sequence[str]) -> list[str]:
        """What a question gives, each found, and ``name=`` of every attribute that it leaves out and training knew as missing."""
        found = [self.find(attribute) for attribute in given if not is_missing(attribute)]
        names = {column_of(attribute) for attribute in found}
        return found + [missing for name, missing in self._missing.items() if name not in names]

    def find(self, attribute: str) -> str:
        """The attribute as the vocabulary has it, for a number its band; the attribute itself where that has neither.

        A number below the lowest band, or above the highest, belongs to that one: it is the nearest that training saw.
        """
        found = self._find(attribute)
        name, _, value = attribute.partition("=")
        other = f"{name}={OTHER}"
        return other if value and found not in self._known and other in self._known else found

    def _find(self, attribute: str) -> str:
        name, _, value = attribute.partition("=")
        try:
            number = float(value)
        except ValueError:
            return attribute
        if attribute in self._known or not math.isfinite(number):
            return attribute
        if name in self._bands:
            bands = self._bands[name]
            return next((band for highest, _, band in bands if number <= highest), bands[-1][2])
        plain = f"{name}={int(number) if number.is_integer() else number}"
        return plain if plain in self._known else attribute


def _are_bands(sorted_: Sequence[tuple[float, float, str]]) -> bool:
    """Whether they lie one after the other, and are not all numbers. Results of games (3-1) and codes (12345-6789) do not."""
    after = all(one[0] <= other[1] for one, other in pairwise(sorted_))
    return after and all(low <= high for high, low, _ in sorted_) and any(low < high for high, low, _ in sorted_)
