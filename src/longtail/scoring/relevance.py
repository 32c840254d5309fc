"""How relevant items are to what somebody asks for in words: by what the words mean, and by the words themselves.

A hybrid of the pretrained text vectors, as no user's behaviour has changed them, and of BM25 (``lexicon``). The few items that
answer best then join the question (pseudo relevance feedback, Rocchio 1971), which finds more of their kind. A sentence with
several wishes that no item fulfils together is answered wish by wish. docs/interests.md says how good that is, and how the
constants were chosen (benchmarks/interests.py).
"""

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray
from safetensors.numpy import load_file, save_file

from longtail.scoring.lexicon import Lexicon, parts_of
from longtail.scoring.rows import unit_vectors, usual_cosines
from longtail.scoring.top import top_items

FEEDBACK_ITEMS = 3  # the best ones, which join the question
MATCHES = 5.0  # relevance from which an item is said to match
NOTHING = 2.0  # where no item is that relevant, nothing quite fits
APART = 2.5  # wishes are answered one by one where the items that answer all of them best answer one this much worse than others do
ANSWERS = 10  # items by which that is judged
MOST_PARTS = 4  # of a sentence that are looked at


def save_text_vectors(path: Path, frozen: NDArray[np.float32]) -> None:
    """Pretrained text vectors, unit rows [items, width], rounded to 16 bits."""
    save_file({"frozen": frozen.astype(np.float16)}, path)


def load_text_vectors(path: Path) -> NDArray[np.float32]:
    """``[items, width]``, of length 1 but for the rounding; zeros for items without text"""
    return np.asarray(load_file(path)["frozen"], dtype=np.float32)


class Weights(NamedTuple):
    """words: of the share of the words that an item says, beside the cosine in deviations of the catalogue's; feedback: of the
    best items beside the question."""

    words: float = 2.5
    feedback: float = 0.6


DEFAULT_WEIGHTS = Weights()


class Answered(NamedTuple):
    """Relevance of each item to a question, in deviations of the catalogue's cosines. both [items]

    ranking: with the best items' say, to order by; direct: of the question alone, to say what fits.
    """

    ranking: NDArray[np.float32]
    direct: NDArray[np.float32]


class Relevance:
    """Answers questions in words. Safe to share between threads.

    Args:
        vectors: pretrained text vectors of the items, unit rows [items, width].
        texts: of the items.
        encode: texts -> what the text encoder makes of them [texts, text_dim]; the first ``width`` numbers are the pretrained
            vector. It is asked for ``texts_to_read``.
        is_word: whether the language model knows a word, so that its spelling is right.
    """

    def __init__(
        self,
        vectors: NDArray[np.float32],
        texts: Sequence[str],
        encode: Callable[[tuple[str, ...]], NDArray[np.float32]],
        is_word: Callable[[str], bool],
        weights: Weights = DEFAULT_WEIGHTS,
    ) -> None:
        self._vectors, self._encode, self._is_word, self.weights = vectors, encode, is_word, weights
        self._lexicon = Lexicon(texts)
        self._mean, self._deviation = usual_cosines(vectors, len(vectors))

    def corrected(self, question: str) -> str:
        """The question with the spelling of words that nobody knows put right."""
        return self._lexicon.spelled(question, self._is_word)

    def of(self, question: str) -> Answered:
        """To a corrected question; where it holds wishes that lie apart, to the one that each item fulfils best."""
        texts = texts_to_read(question)
        vectors = unit_vectors(self._encode(texts)[:, : self._vectors.shape[1]])
        wishes = [self._answer(text, vector) for text, vector in zip(texts[1:], vectors[1:])]
        if not wishes or not _lie_apart([wish.direct for wish in wishes]):
            return self._answer(question, vectors[0])
        tops = np.array([_best(wish.ranking).mean() for wish in wishes])
        level = [wish.ranking - top for wish, top in zip(wishes, tops)]  # so that no wish crowds out the others
        direct = np.max([wish.direct for wish in wishes], axis=0)
        return Answered(np.asarray(np.max(level, axis=0) + tops.mean(), dtype=np.float32), direct)

    def _answer(self, question: str, asked: NDArray[np.float32]) -> Answered:
        words = np.float32(self.weights.words) * self._lexicon.coverage(question)
        direct = self._near(asked) + words
        best = top_items(direct, FEEDBACK_ITEMS, np.zeros(0, np.int64))
        wider = unit_vectors((asked + self.weights.feedback * self._vectors[best].mean(axis=0))[None])[0]
        return Answered(self._near(wider) + words, direct)

    def _near(self, asked: NDArray[np.float32]) -> NDArray[np.float32]:
        return np.asarray((self._vectors @ asked - self._mean) / self._deviation, dtype=np.float32)


def texts_to_read(question: str) -> tuple[str, ...]:
    """The question, and the wishes that it may hold, read together: a batch costs much less than one text after the other."""
    parts = parts_of(question)
    return (question, *parts) if 1 < len(parts) <= MOST_PARTS else (question,)


def _best(scores: NDArray[np.float32]) -> NDArray[np.float32]:
    """The greatest ``ANSWERS`` scores."""
    return np.sort(scores)[-ANSWERS:]


def _lie_apart(wishes: Sequence[NDArray[np.float32]]) -> bool:
    """Whether no item fulfils all wishes nearly as well as each has items that fulfil it."""
    missed = np.min([wish - _best(wish).mean() for wish in wishes], axis=0)
    return bool(_best(missed).mean() < -APART)
