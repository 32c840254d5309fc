"""Words that texts share, by TF-IDF: a baseline, a part of the sparse term and of the model's features."""

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray
from scipy import sparse
from sklearn.decomposition import TruncatedSVD

from longtail.neighbours.tfidf import tfidf_vectors
from longtail.scoring.rows import SparseRows, keep_top, unit_vectors


def tfidf_similarity(texts: Sequence[str], count: int, chunk: int = 1000) -> SparseRows:
    """Cosine of TF-IDF rows, the ``count`` greatest of each row; zero diagonal. ``[items, items]``"""
    vectors = tfidf_vectors(texts)
    rows = []
    for begin in range(0, len(texts), chunk):
        block = sparse.csr_array(vectors[begin : begin + chunk] @ vectors.T)
        block.setdiag(0.0, k=begin)
        block.eliminate_zeros()
        rows.append(keep_top(block, count))
    return sparse.csr_array(sparse.vstack(rows)) if rows else sparse.csr_array((0, 0), dtype=np.float32)


def lexical_vectors(texts: Sequence[str], dim: int, seed: int) -> NDArray[np.float32]:
    """Latent semantic analysis: TF-IDF rows on their ``dim`` main directions, of length 1. ``[items, dim]``

    No columns where the texts hold too few words for it; zeros for an item without words.
    """
    words = tfidf_vectors(texts)
    if dim == 0 or min(words.shape) <= dim:
        return np.zeros((len(texts), 0), dtype=np.float32)
    return unit_vectors(TruncatedSVD(dim, n_iter=3, random_state=seed).fit_transform(words))
