"""How alike items' texts are in the sparse term, kept so that a later item gets what training would have given it."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, fields, replace
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray
from safetensors.numpy import load_file, save_file
from scipy import sparse

from longtail.retrieval.neighbours import (
    SparseRows,
    inverse_norms,
    keep_top,
    sharp_cosines,
    tfidf_vectors,
    unit_vectors,
)

BATCH = 64  # rows of likeness to the whole catalogue at once


@dataclass(frozen=True)
class Likeness:
    """Texts give entry (i, j) of the sparse term ``word_row[i] * cosine of TF-IDF rows + text_row[i] * sharp_cosines``."""

    text_vectors: NDArray[np.float16]  # [items, width], adapted
    word_row: NDArray[np.float32]  # [items]
    text_row: NDArray[np.float32]  # [items]
    shares: NDArray[np.float32]  # [2], the length of a row's words and of its text vectors

    @classmethod
    def of(
        cls, text_vectors: NDArray[np.float32], words: SparseRows, texts: SparseRows, shares: tuple[float, float]
    ) -> "Likeness":
        """words, texts [items, items]: both kinds of likeness, the greatest of each row."""
        lengths = np.array(shares, dtype=np.float32)
        word_row, text_row = (share * inverse_norms(part) for share, part in zip(lengths, (words, texts)))
        return cls(text_vectors.astype(np.float16), word_row, text_row, lengths)

    @classmethod
    def load(cls, path: Path) -> "Likeness":
        return cls.from_arrays(load_file(path))

    @classmethod
    def from_arrays(cls, arrays: Mapping[str, NDArray[Any]]) -> "Likeness":
        """From ``vars`` of one, maybe with other arrays beside them."""
        return cls(**{field.name: arrays[field.name] for field in fields(cls)})

    def save(self, path: Path) -> None:
        save_file(vars(self), path)

    def with_items(self, text_vectors: NDArray[np.float32], codes: NDArray[np.int64]) -> "Likeness":
        """Items ``codes``, of this catalogue or right behind it, are new; the last columns of text_vectors are the adapted
        ones. [codes, text_dim]"""
        adapted = text_vectors[:, text_vectors.shape[1] - self.text_vectors.shape[1] :]
        return replace(
            self,
            text_vectors=put(self.text_vectors, codes, adapted),
            word_row=put(self.word_row, codes, 0.0),
            text_row=put(self.text_row, codes, 0.0),
        )


def put(array: NDArray[Any], codes: NDArray[np.int64], values: ArrayLike) -> NDArray[Any]:
    """The array with ``values`` in rows ``codes``, which may lie right behind its end."""
    longer = max(int(codes.max(initial=-1)) + 1 - len(array), 0)
    result = np.concatenate([array, np.zeros((longer, *array.shape[1:]), array.dtype)])
    result[codes] = values
    return result


def compare(
    old: SparseRows, likeness: Likeness, texts: Sequence[str], codes: NDArray[np.int64]
) -> tuple[SparseRows, Likeness]:
    """The sparse term's matrix with rows and columns of the items ``codes``, and the likeness with their rows.

    What the matrix held of them is dropped; all else stays, so rows of other items may come to hold more than before.

    Args:
        likeness: ``with_items`` these.
        texts: of all items, the new ones too.
    """
    entries = old.tocoo()
    kept = ~np.isin(entries.row, codes) & ~np.isin(entries.col, codes)
    rows, columns, values = [entries.row[kept]], [entries.col[kept]], [entries.data[kept]]
    count = int(np.diff(old.indptr).max(initial=0))
    least = np.zeros(len(texts), dtype=np.float32)  # what has to be exceeded to be among the greatest of a row
    for row in np.flatnonzero(np.diff(old.indptr) == count) if count else ():
        least[row] = old.data[old.indptr[row] : old.indptr[row + 1]].min()
    words, unit = tfidf_vectors(texts), unit_vectors(likeness.text_vectors.astype(np.float32))
    terms, word_row, text_row = sparse.csr_array(words.T), likeness.word_row.copy(), likeness.text_row.copy()
    for begin in range(0, len(codes), BATCH):
        given = codes[begin : begin + BATCH]
        itself = (np.arange(len(given)), given)
        by_words, by_texts = (words[given] @ terms).toarray(), sharp_cosines(unit[given], unit)  # [given, items]
        by_words[itself] = by_texts[itself] = 0.0
        word_row[given] = likeness.shares[0] * inverse_norms(keep_top(by_words, count))
        text_row[given] = likeness.shares[1] * inverse_norms(keep_top(by_texts, count))
        own = keep_top(word_row[given, None] * by_words + text_row[given, None] * by_texts, count).tocoo()
        others = word_row * by_words + text_row * by_texts  # [given, items]: what those items' rows get
        others[:, codes] = 0.0  # among themselves, each has its row
        beside = sparse.coo_array(np.where(others > least, others, 0.0))
        rows += [given[own.row], beside.col]
        columns += [own.col, given[beside.row]]
        values += [own.data, beside.data]
    data = np.concatenate(values).astype(np.float32)
    shape = (len(texts), len(texts))
    matrix = sparse.csr_array((data, (np.concatenate(rows), np.concatenate(columns))), shape=shape)
    return matrix, replace(likeness, word_row=word_row, text_row=text_row)
