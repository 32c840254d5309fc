"""TF-IDF rows of texts, to the digit those of scikit-learn's TfidfVectorizer, which the model server does not have."""

import re
from collections import Counter
from collections.abc import Sequence
from itertools import pairwise

import numpy as np
from scipy import sparse

from longtail.scoring.rows import SparseRows

_WORD = re.compile(r"\b\w\w+\b")


def tfidf_vectors(texts: Sequence[str]) -> SparseRows:
    """Unit TF-IDF rows over words and pairs of words. ``[items, terms]``; no terms where no text holds a word.

    A term that an item holds n times weighs (1 + ln n) * (1 + ln((1 + items) / (1 + items that hold it))). Terms are in the order of
    their letters.
    """
    counted = [Counter(_terms(text)) for text in texts]
    terms = {term: column for column, term in enumerate(sorted({term for row in counted for term in row}))}
    ends = np.cumsum([0, *map(len, counted)])
    columns = np.fromiter((terms[term] for row in counted for term in row), np.int32, ends[-1])
    counts = np.fromiter((count for row in counted for count in row.values()), np.float32, ends[-1])
    rows = sparse.csr_array((counts, columns, ends), shape=(len(texts), len(terms)))
    rows.sort_indices()
    holding = np.bincount(columns, minlength=len(terms)).astype(np.float32)
    rarity = np.log(np.float32(len(texts) + 1) / (holding + np.float32(1))) + np.float32(1)
    rows.data = (np.log(rows.data) + np.float32(1)) * rarity[rows.indices]
    squares = np.append(rows.data**2, 0).astype(np.float64)  # rounded before they are summed up, as there
    sums = np.add.reduceat(squares, rows.indptr[:-1]) if len(texts) else squares[:0]
    lengths = np.sqrt(np.where(np.diff(rows.indptr) > 0, sums, 1.0))
    rows.data = (rows.data / np.repeat(lengths, np.diff(rows.indptr))).astype(np.float32)
    return rows


def _terms(text: str) -> list[str]:
    words = _WORD.findall(text.lower())
    return words + [f"{one} {other}" for one, other in pairwise(words)]
