"""The words of a catalogue: which items say what somebody asks for, and which say that they are without it."""

import re
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import Any

import numpy as np
from numpy.typing import NDArray
from rapidfuzz import process
from rapidfuzz.distance import OSA
from scipy import sparse

from longtail.scoring.rows import SparseRows

SATURATION, LENGTH = 1.2, 0.75  # k1 and b of BM25 (Robertson & Zaragoza 2009), at their usual values
CORRECTED = 5  # letters of a word whose spelling may be corrected, by one letter; from 7 on by two
LOOKED_UP = 8  # words of a question whose spelling is looked up at most: gibberish costs no more than a sentence
COMMON = 2  # items that hold a word before others are corrected to it
WITHOUT = frozenset(("without", "no", "not", "non"))  # the words behind one of these are said to be absent
ENDS = frozenset(("and", "or", "but", "for", "with", "in"))  # end what is said to be absent
SPAN = 3  # words that "without" reaches
# English words that ask for nothing; those of other languages are common in their catalogues, and weigh little
STOP_WORDS = """
a about after all also always am an and any anything are as at be been being but by can could do does doing during
each every everything few for free from get gets getting give given go goes going good great had has have having he
help helps her him his how i if im in into is it its ive just keep keeps kind let like likes long look looking lot
love loves make makes many may me more most much must my myself need needs new nice of off on one or other our out
please really recommend she should so some someone something stuff such take that the their them then there these they
thing things this those to too try up us use used very want wants was way we well were what when where which while who
will wish with would you your
"""
_ASK_FOR_NOTHING = WITHOUT | set(STOP_WORDS.split())
_WORD = re.compile(r"[^\W_]+")
_JOINED = re.compile(r"[^\W_]+(?:['’`][^\W_]+)*")
_CLAUSES = re.compile(r"[,;:.!?|()\n]+")
_PARTS = re.compile(r"\s+(?:and|also|plus|or)\s+|\s*[,;&+]\s*|[.!?]\s")
APOSTROPHES = re.compile(r"['’`]")


def words_of(text: str) -> list[str]:
    """The words of a text in small letters; what stands before and behind an apostrophe is one word."""
    return _WORD.findall(APOSTROPHES.sub("", text.lower()))


@lru_cache(100_000)
def folded(word: str) -> str:
    """One form for an English singular and its plural."""
    if len(word) > 4 and word.endswith("ies"):
        return word[:-3] + "y"
    if len(word) > 4 and word.endswith("es") and word[-3] in "sxh":
        return word[:-2]
    return word[:-1] if len(word) > 3 and word.endswith("s") and word[-2] != "s" else word


def parts_of(text: str) -> list[str]:
    """What may be wishes of their own: parts between "and", commas and the like that hold a word with content."""
    parts = (part.strip() for part in _PARTS.split(text))
    return [part for part in parts if any(word not in _ASK_FOR_NOTHING for word in words_of(part))]


@dataclass(frozen=True)
class Said:
    """What a text says, as folded words in their order: that something is there, and that something is not."""

    present: list[str]
    absent: list[str]

    @classmethod
    def of(cls, text: str) -> "Said":
        present, absent = list[str](), list[str]()
        for clause in _CLAUSES.split(text):
            words = words_of(clause)
            if "free" not in words and WITHOUT.isdisjoint(words):  # of nearly all texts: nothing is said to be absent
                present += [folded(word) for word in words if word not in _ASK_FOR_NOTHING]
                continue
            for word, is_there in _read(words):
                (present if is_there else absent).append(folded(word))
        return cls(present, absent)


def _read(words: list[str]) -> Iterator[tuple[str, bool]]:
    """Each word of a clause that has content, and whether it is said to be there ("ammonia free", "without any ammonia")."""
    reach = 0
    for place, word in enumerate(words):
        if word in WITHOUT:
            reach = SPAN
        elif word in ENDS:
            reach = 0
        elif word not in _ASK_FOR_NOTHING:
            is_free = words[place + 1 : place + 2] == ["free"]
            yield word, not (is_free or reach > 0)
            reach -= 1


class Lexicon:
    """An index of a catalogue's texts.

    The weight of a word in an item is that of BM25: less for each further time and in long texts, more for rare words.
    """

    def __init__(self, texts: Sequence[str]) -> None:
        said = [Said.of(text) for text in texts]
        self._columns: dict[str, int] = {}
        for one in said:
            for word in (*one.present, *one.absent):
                self._columns.setdefault(word, len(self._columns))
        counts, self._absent = (self._counted(rows) for rows in ([s.present for s in said], [s.absent for s in said]))
        items, holding = len(texts), np.diff(counts.indptr) + np.diff(self._absent.indptr)
        self._rarity = np.log1p((items - holding + 0.5) / (holding + 0.5))
        self._unseen = float(np.log1p((items + 0.5) / 0.5))
        lengths = np.asarray(counts.sum(axis=1)).ravel()
        usual = SATURATION * (1 - LENGTH + LENGTH * lengths / max(lengths.mean(), 1e-9))
        counts.data *= (SATURATION + 1) / (counts.data + usual[counts.indices])
        self._present = counts
        held = Counter(word for text in texts for word in set(words_of(text)))
        self._spellings = [word for word, count in held.most_common() if count >= COMMON and len(word) >= CORRECTED - 1]

    def _counted(self, rows: Sequence[list[str]]) -> SparseRows:
        """How often each item holds each word. ``[items, words]``, by columns"""
        items = np.repeat(np.arange(len(rows)), [len(row) for row in rows])
        columns = np.array([self._columns[word] for row in rows for word in row], dtype=np.int64)
        shape = (len(rows), len(self._columns))
        return sparse.csc_array((np.ones(len(columns), np.float32), (items, columns)), shape=shape)

    def spelled(self, text: str, is_word: Callable[[str], bool]) -> str:
        """The text; where a word is neither the catalogue's nor ``is_word``, the nearest of the catalogue's in its place."""
        looked_up = 0

        def corrected(found: re.Match[str]) -> str:
            nonlocal looked_up
            word = APOSTROPHES.sub("", found.group().lower())
            known = len(word) < CORRECTED or word in _ASK_FOR_NOTHING or folded(word) in self._columns
            if known or looked_up == LOOKED_UP or is_word(word):
                return found.group()
            looked_up += 1
            letters = 1 if len(word) < CORRECTED + 2 else 2
            best: Any = process.extractOne(word, self._spellings, scorer=OSA.distance, score_cutoff=letters)
            return str(best[0]) if best else found.group()

        return _JOINED.sub(corrected, text)

    def coverage(self, text: str) -> NDArray[np.float32]:
        """What share of a text's words each item says, rare words above all: 0 for none, about 1 for all. ``[items]``

        A word that is not wanted ("without ammonia") is matched by items that say so, and counts against others that hold it.
        """
        said = Said.of(text)
        wanted, unwanted = (self._known(words) for words in (said.present, said.absent))
        asked = {*said.present, *said.absent}
        total = self._rarity[wanted + unwanted].sum() + self._unseen * sum(word not in self._columns for word in asked)
        found = self._present[:, wanted] @ self._rarity[wanted]
        found += self._absent[:, unwanted].sign() @ self._rarity[unwanted]
        found -= self._present[:, unwanted].sign() @ self._rarity[unwanted]
        return np.asarray(found / max(total, 1e-9), dtype=np.float32)

    def _known(self, words: Sequence[str]) -> list[int]:
        return [self._columns[word] for word in dict.fromkeys(words) if word in self._columns]
