"""Which items are near-duplicates: their titles say the same words and numbers, in whatever order, case and punctuation.

Sizes, colours and model numbers are words like others, so that "250 ml" and "500 ml" are two things. docs/serving.md says why likeness
of texts cannot decide it.
"""

import re
from collections.abc import Sequence

from longtail.scoring.lexicon import APOSTROPHES, folded

_PARTS = re.compile(r"\d+(?:[.,]\d+)*|[^\W\d_]+")  # numbers, and words: "32oz" is "32 oz"

Words = tuple[str, ...]


def words_of_title(title: str) -> Words:
    """In order, so that equal ones are one group; none for a title without words or numbers."""
    parts = _PARTS.findall(APOSTROPHES.sub("", title.lower()))
    return tuple(sorted(part if part[0].isdigit() else folded(part) for part in parts))


class NearDuplicates:
    """Of a catalogue with these titles. Words are read when an item is first asked for, and kept. Safe to share between threads."""

    def __init__(self, titles: Sequence[str | None]) -> None:
        self._titles = titles
        self._known: dict[int, Words | None] = {}

    def group(self, item: int) -> Words | None:
        """What an item has in common with its near-duplicates; None for one without a title, which has none."""
        if item not in self._known:
            self._known[item] = words_of_title(self._titles[item] or "") or None
        return self._known[item]
