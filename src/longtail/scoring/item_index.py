"""Finds the best items of a large catalogue without scoring all of them.

What a score owes to the item alone is one product: of the query's vector and the item's, of popularity's weight and how popular
it is, of the attributes' weights and how usual it is. An index over these products (product quantisation of two numbers each to 4 bits, scanned
as a whole: Andre, Kermarrec & Le Scouarnec 2015, of the library faiss) finds more items than are wanted, and those that the sparse
terms touch come beside them; exact scores then order them. So only what the index itself misses can be missed.
"""

import logging
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from longtail.contracts.errors import UserError
from longtail.scoring.bundle import Tensors
from longtail.scoring.int8 import Int8Rows
from longtail.scoring.scores import NOBODY
from longtail.scoring.top import top_items
from longtail.system.machine import available_cores

log = logging.getLogger(__name__)

INDEX = "item_index.faiss"
INDEXED_FROM = 50_000  # items; below, scoring all of them is as fast (benchmarks/catalogue.py)
LEAST_RECALL = 0.98  # of the 10 best, among ``FOUND``; an index that has less is not used
FOUND = 500  # items for a query
POPULAR = 500  # items that are looked at whatever is asked, as the index knows popularity roughly
BITS = 4
TRAINED_ON = 65_536  # items
BLOCK = 50_000  # items whose vectors are floats at one time
CHECKED = 100  # queries by which recall is measured


class ItemIndex:
    """Safe to share between threads. threads: of one search; 0 takes all cores."""

    def __init__(self, index: Any, tensors: Tensors, threads: int = 0) -> None:
        self._index, self._tensors, self._threads = index, tensors, threads
        most = min(POPULAR, len(tensors.log_popularity))
        popular = np.argpartition(-tensors.log_popularity, most - 1)[:most]
        added = np.arange(index.ntotal, len(tensors.log_popularity))  # since the index was made
        self.always = np.concatenate([popular, added])  # codes that are looked at whatever is asked

    @classmethod
    def build(cls, tensors: Tensors) -> "ItemIndex | None":
        """None where it would not find enough of the best items."""
        faiss = _faiss()
        width = tensors.start.shape[0] + 2
        index = faiss.IndexPQFastScan(width + width % 2, (width + 1) // 2, BITS, faiss.METRIC_INNER_PRODUCT)
        count = len(tensors.log_popularity)
        sample = np.sort(np.random.default_rng(0).choice(count, min(TRAINED_ON, count), replace=False))
        index.train(_even(linear_rows(tensors, sample)))
        for rows in _blocks(tensors):
            index.add(_even(rows))
        made = cls(index, tensors)
        recall = made.recall()
        log.info("an index over %d items finds %.3f of the 10 best", count, recall)
        if recall < LEAST_RECALL:
            log.warning("that is less than %g: all items are scored instead, which takes longer", LEAST_RECALL)
            return None
        return made

    @classmethod
    def load(cls, path: Path, tensors: Tensors, threads: int = 0) -> "ItemIndex":
        index = _faiss().read_index(str(path))
        if index.ntotal > len(tensors.log_popularity):
            raise UserError(
                f"{path}: is of {index.ntotal} items, not {len(tensors.log_popularity)}; make the bundle again"
            )
        return cls(index, tensors, threads)

    def save(self, path: Path) -> None:
        _faiss().write_index(self._index, str(path))

    def find(self, queries: NDArray[np.float32]) -> NDArray[np.int64]:
        """Codes of items that score well. queries [queries, dim + 2]: see ``linear_query``. ``[queries, FOUND]``"""
        faiss = _faiss()
        faiss.omp_set_num_threads(self._threads or available_cores())
        most = min(FOUND, self._index.ntotal)
        _, codes = self._index.search(_even(queries), most)
        found = np.asarray(codes, dtype=np.int64)
        for row in np.flatnonzero(~queries[:, :-2].any(axis=1)):  # two numbers of each item alone: no need to guess
            own = queries[row, -2] * self._tensors.log_popularity + queries[row, -1] * self._tensors.trait_base
            found[row] = top_items(own, most, NOBODY)
        return found

    def recall(self) -> float:
        """Share of the 10 best items that are found, for the means of three random items each, weighed as histories of three are."""
        tensors, rng = self._tensors, np.random.default_rng(1)
        near = rng.integers(len(tensors.log_popularity), size=(CHECKED, 3))
        vectors = np.stack([tensors.item_matrix[items].mean(axis=0) for items in near])
        vectors /= np.maximum(np.linalg.norm(vectors, axis=1, keepdims=True), 1e-9)
        queries = linear_query(tensors, vectors, np.full(CHECKED, 3), np.zeros(CHECKED, dtype=np.float32))
        best = _exact(tensors, queries, 10)
        found = self.find(queries)
        return float(np.mean([np.isin(wanted, (*row, *self.always)).mean() for wanted, row in zip(best, found)]))


def linear_query(
    tensors: Tensors, vectors: NDArray[np.float32], buckets: NDArray[np.integer], trait_scales: NDArray[np.float32]
) -> NDArray[np.float32]:
    """What an item's own numbers count for. vectors [queries, dim]; buckets [queries]; trait_scales [queries]: sums of ``trait_scale`` over what is
    known of each. ``[queries, dim + 2]``"""
    return np.column_stack(
        [
            tensors.dense_weight[buckets, None] * vectors,
            tensors.popularity_weight[buckets],
            -tensors.trait_weight[buckets] * trait_scales,
        ]
    ).astype(np.float32)


def linear_rows(tensors: Tensors, items: NDArray[np.integer] | slice) -> NDArray[np.float32]:
    """The items' side of that product. ``[items, dim + 2]``"""
    own = (tensors.item_matrix[items], tensors.log_popularity[items], tensors.trait_base[items])
    return np.column_stack(own).astype(np.float32, copy=False)


def linear_scores(tensors: Tensors, items: NDArray[np.integer], query: NDArray[np.float32]) -> NDArray[np.float32]:
    """``linear_rows(tensors, items) @ query``. ``[items]``"""
    matrix, dense = tensors.item_matrix, query[:-2]
    scores: NDArray[np.float32] = matrix.times(items, dense) if isinstance(matrix, Int8Rows) else matrix[items] @ dense
    scores += query[-2] * tensors.log_popularity[items]
    return scores + query[-1] * tensors.trait_base[items] if query[-1] else scores


def _even(rows: NDArray[np.float32]) -> NDArray[np.float32]:
    """With a column of zeros where two numbers each do not come out even."""
    return np.ascontiguousarray(np.pad(rows, ((0, 0), (0, 1))) if rows.shape[1] % 2 else rows)


def _blocks(tensors: Tensors) -> Iterator[NDArray[np.float32]]:
    for begin in range(0, len(tensors.log_popularity), BLOCK):
        yield linear_rows(tensors, slice(begin, begin + BLOCK))


def _exact(tensors: Tensors, queries: NDArray[np.float32], k: int) -> NDArray[np.intp]:
    """Codes of the ``k`` greatest products. ``[queries, k]``"""
    products = [queries @ rows.T for rows in _blocks(tensors)]
    return np.argpartition(-np.concatenate(products, axis=1), k - 1, axis=1)[:, :k]


def _faiss() -> Any:
    logging.getLogger("faiss.loader").setLevel(logging.WARNING)  # it tells which instructions it tries
    try:
        import faiss
    except ImportError as error:
        raise UserError(
            f"catalogues from {INDEXED_FROM:,} items on need the package faiss-cpu ({error}); pip install faiss-cpu"
        ) from None
    return faiss
