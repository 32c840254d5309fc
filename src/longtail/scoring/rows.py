"""Rows of dense and sparse matrices: their lengths, their greatest entries, histories as rows, cosines made sharp."""

from collections.abc import Sequence
from typing import Any, TypeAlias

import numpy as np
from numpy.typing import NDArray
from scipy import sparse

SHARPNESS = 8  # of the likeness of text vectors: its power, so that the nearest count far more than the near

SAMPLE = 512  # items whose cosines with each other say what is near in a catalogue

SparseRows: TypeAlias = Any  # sparse.csr_array of two dimensions: scipy's stubs cannot tell it from one of one


def history_matrix(histories: Sequence[NDArray[np.integer]], n_items: int, decay: float) -> sparse.csr_array:
    """Recency-weighted histories: decay ** age of each item. ``[users, items]``"""
    rows = np.repeat(np.arange(len(histories)), [len(history) for history in histories])
    items = np.concatenate([*histories, np.zeros(0, np.int32)])
    weights = np.concatenate([decay ** np.arange(len(history) - 1, -1, -1) for history in histories] + [np.zeros(0)])
    return sparse.csr_array((weights.astype(np.float32), (rows, items)), shape=(len(histories), n_items))


def row_norms(matrix: SparseRows) -> NDArray[np.float32]:
    """Euclidean length of every row. ``[rows]``"""
    return np.sqrt(np.asarray(matrix.multiply(matrix).sum(axis=1), dtype=np.float32)).ravel()


def inverse_norms(matrix: SparseRows) -> NDArray[np.float32]:
    """What makes every row one of length 1; 0 for an empty row. ``[rows]``"""
    norms = row_norms(matrix)
    return np.divide(1, norms, out=np.zeros_like(norms), where=norms > 0)


def unit_rows(matrix: SparseRows) -> SparseRows:
    """Rows of length 1; empty rows stay empty."""
    return sparse.csr_array(sparse.diags_array(inverse_norms(matrix)) @ matrix).astype(np.float32)


def keep_top(matrix: SparseRows, count: int) -> SparseRows:
    """The ``count`` greatest entries of each row; ties go to the smaller column."""
    matrix = sparse.csr_array(matrix)
    kept = np.zeros(len(matrix.data), dtype=bool)
    for row in range(matrix.shape[0]):
        span = slice(matrix.indptr[row], matrix.indptr[row + 1])
        order = np.lexsort((matrix.indices[span], -matrix.data[span]))[:count]
        kept[matrix.indptr[row] + order] = True
    rows = np.repeat(np.arange(matrix.shape[0]), np.diff(matrix.indptr))[kept]
    return sparse.csr_array((matrix.data[kept], (rows, matrix.indices[kept])), shape=matrix.shape)


def unit_vectors(vectors: NDArray[np.floating]) -> NDArray[np.float32]:
    """Rows of length 1; a row of zeros stays one. ``[items, dim]``"""
    norms = np.linalg.norm(vectors, axis=1, keepdims=True)
    return np.asarray(vectors / np.maximum(norms, 1e-9), dtype=np.float32)


def cosines_of_pairs(unit: Any, count: int) -> NDArray[np.float32]:
    """Cosines between the items of a sample. unit: rows [count, dim] of length 1, as an array or compressed. ``[pairs]``"""
    rows = np.sort(np.random.default_rng(0).choice(count, min(SAMPLE, count), replace=False))
    vectors = unit[rows]
    return np.asarray((vectors @ vectors.T)[np.triu_indices(len(rows), k=1)], dtype=np.float32)


def usual_cosines(unit: Any, count: int) -> tuple[float, float]:
    """Mean and deviation of ``cosines_of_pairs``; 0 and 1 where they do not differ."""
    pairs = cosines_of_pairs(unit, count)
    deviation = float(pairs.std()) if len(pairs) else 0.0
    return (float(pairs.mean()), deviation) if deviation > 0 else (0.0, 1.0)


def sharp_cosines(asked: NDArray[np.float32], unit: NDArray[np.float32]) -> NDArray[np.float32]:
    """``max(cosine, 0) ** SHARPNESS`` of unit vectors [n, dim] and [items, dim]. ``[n, items]``"""
    return np.asarray(np.maximum(asked @ unit.T, 0.0) ** SHARPNESS, dtype=np.float32)


def standardised(scores: NDArray[np.float32]) -> NDArray[np.float32]:
    """Mean 0 and deviation 1 in every row; a constant row becomes zeros. ``[queries, items]``"""
    mean = scores.mean(axis=1, keepdims=True)
    centred = scores - mean
    deviation = np.sqrt(np.einsum("qi,qi->q", centred, centred) / scores.shape[1])[:, None]
    constant = deviation <= 1e-6 * np.abs(mean)  # what is left then is rounding
    centred *= np.where(constant, 0.0, 1 / np.where(constant, 1.0, deviation)).astype(np.float32)
    return np.asarray(centred, dtype=np.float32)
