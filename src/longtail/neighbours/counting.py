"""Item-to-item similarities: what is chosen together, what comes after, texts that mean the same. Sparse rows."""

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray
from scipy import sparse

from longtail.scoring.rows import SparseRows, sharp_cosines

FOLLOWING_DECAY = 0.8  # of a pair's count, for each item between the two
FOLLOWING_STEPS = 20  # pairs further apart than this are not counted
FOLLOWING_POWER = 0.25  # followers that are chosen often count (number of events) ** -power
SCORES_AT_ONCE = 20_000_000  # 80 MB


def log_popularity(counts: NDArray[np.integer] | NDArray[np.floating]) -> NDArray[np.float32]:
    """Log of the items' events, standardised. counts: events, or what is left of them by recency. ``[items]``"""
    logs = np.log1p(counts.astype(np.float64))
    return np.asarray((logs - logs.mean()) / max(float(logs.std()), 1e-9), dtype=np.float32)


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


def shared_histories(sequences: Sequence[NDArray[np.integer]], n_items: int) -> SparseRows:
    """How often two items lie in one history, each history counting 1 / (its items - 1); zero diagonal. ``[items, items]``

    A history of one item counts nothing. sequences: item codes of each user's training events.
    """
    used = [np.unique(sequence) for sequence in sequences if len(np.unique(sequence)) > 1]
    users = np.repeat(np.arange(len(used)), [len(items) for items in used])
    items = np.concatenate([*used, np.zeros(0, np.int32)])
    scale = np.concatenate([np.full(len(items), 1.0 / np.sqrt(len(items) - 1)) for items in used] or [np.zeros(0)])
    incidence = sparse.csr_array((scale, (users, items)), shape=(len(used), n_items))
    pairs = sparse.csr_array(incidence.T @ incidence)
    pairs.setdiag(0.0)
    pairs.eliminate_zeros()
    return pairs


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


def vector_similarity(unit: NDArray[np.float32], count: int) -> SparseRows:
    """``max(cosine, 0) ** SHARPNESS``, the ``count`` greatest of each row; zero diagonal. ``[items, items]``

    unit [items, dim]: rows of length 1; a row of zeros is like nothing.
    """
    n_items, rows = len(unit), []
    chunk = max(SCORES_AT_ONCE // max(n_items, 1), 1)
    for begin in range(0, n_items, chunk):
        block = sharp_cosines(unit[begin : begin + chunk], unit)
        block[np.arange(len(block)), np.arange(begin, begin + len(block))] = 0.0
        if count < n_items:
            far = np.argpartition(-block, count, axis=1)[:, count:]
            np.put_along_axis(block, far, 0.0, axis=1)
        rows.append(sparse.csr_array(block))
    return sparse.csr_array(sparse.vstack(rows)) if rows else sparse.csr_array((0, 0), dtype=np.float32)
