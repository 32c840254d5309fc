"""Item-to-item similarities: what is chosen together, what comes after, texts that mean the same. Sparse rows."""

from collections.abc import Sequence
from typing import Any, TypeAlias

import numpy as np
from numpy.typing import NDArray
from scipy import sparse

FOLLOWING_DECAY = 0.8  # of a pair's count, for each item between the two
FOLLOWING_STEPS = 20  # pairs further apart than this are not counted
FOLLOWING_POWER = 0.25  # followers that are chosen often count (number of events) ** -power
SHARPNESS = 8  # of the likeness of text vectors: its power, so that the nearest count far more than the near
SCORES_AT_ONCE = 20_000_000  # 80 MB

SparseRows: TypeAlias = Any  # sparse.csr_array of two dimensions: scipy's stubs cannot tell it from one of one


def cosine_cooccurrence(sequences: Sequence[NDArray[np.integer]], n_items: int) -> SparseRows:
    """Cosine between items' sets of users; zero diagonal. ``[items, items]``

    sequences: item codes of each user's training events.
    """
    users = np.repeat(np.arange(len(sequences)), [len(sequence) for sequence in sequences])
    items = np.concatenate([*sequences, np.zeros(0, dtype=np.int64)]).astype(np.int64)
    incidence = sparse.csr_array((np.ones(len(items), np.float32), (users, items)), shape=(len(sequences), n_items))
    incidence.sum_duplicates()
    incidence.data[:] = 1.0
    counts: NDArray[np.float32] = np.asarray(incidence.sum(axis=0)).ravel()
    scale = sparse.diags_array(1.0 / np.sqrt(np.maximum(counts, 1.0)))
    similarity = sparse.csr_array(scale @ (incidence.T @ incidence) @ scale)
    similarity.setdiag(0.0)
    similarity.eliminate_zeros()
    return similarity.astype(np.float32)


def following_counts(sequences: Sequence[NDArray[np.integer]], n_items: int) -> SparseRows:
    """How often, and how soon, an item (column) comes after another (row); zero diagonal. ``[items, items]``

    A pair counts ``FOLLOWING_DECAY ** (steps - 1) * column_events ** -FOLLOWING_POWER``.
    sequences: item codes of each user's training events, oldest first.
    """
    users = np.repeat(np.arange(len(sequences)), [len(sequence) for sequence in sequences])
    items = np.concatenate([*sequences, np.zeros(0, dtype=np.int64)]).astype(np.int64)
    total = sparse.csr_array((n_items, n_items), dtype=np.float32)
    for steps in range(1, FOLLOWING_STEPS + 1):
        same = users[:-steps] == users[steps:]
        if not same.any():
            break
        weights = np.full(same.sum(), FOLLOWING_DECAY ** (steps - 1), dtype=np.float32)
        total = total + sparse.csr_array((weights, (items[:-steps][same], items[steps:][same])), shape=total.shape)
    counted = sparse.csr_array(total @ sparse.diags_array(follower_scale(items, n_items)))
    counted.setdiag(0.0)
    counted.eliminate_zeros()
    return counted.astype(np.float32)


def follower_scale(items: NDArray[np.integer], n_items: int) -> NDArray[np.float64]:
    """What a count of each item as a follower weighs. items: codes of all training events. ``[items]``"""
    return np.maximum(np.bincount(items, minlength=n_items), 1.0) ** -FOLLOWING_POWER


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


def sharp_cosines(asked: NDArray[np.float32], unit: NDArray[np.float32]) -> NDArray[np.float32]:
    """``max(cosine, 0) ** SHARPNESS`` of unit vectors [n, dim] and [items, dim]. ``[n, items]``"""
    return np.asarray(np.maximum(asked @ unit.T, 0.0) ** SHARPNESS, dtype=np.float32)


def vector_similarity(vectors: NDArray[np.float32], count: int) -> SparseRows:
    """``max(cosine, 0) ** SHARPNESS``, the ``count`` greatest of each row; zero diagonal. ``[items, items]``

    vectors: [items, dim]; a row of zeros is like nothing.
    """
    n_items, rows = len(vectors), []
    unit = unit_vectors(vectors)
    chunk = max(SCORES_AT_ONCE // max(n_items, 1), 1)
    for begin in range(0, n_items, chunk):
        block = sharp_cosines(unit[begin : begin + chunk], unit)
        block[np.arange(len(block)), np.arange(begin, begin + len(block))] = 0.0
        if count < n_items:
            far = np.argpartition(-block, count, axis=1)[:, count:]
            np.put_along_axis(block, far, 0.0, axis=1)
        rows.append(sparse.csr_array(block))
    return sparse.csr_array(sparse.vstack(rows)) if rows else sparse.csr_array((0, 0), dtype=np.float32)
