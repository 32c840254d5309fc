"""The sparse term of the scores: items that are chosen together, and items that read alike."""

import logging
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from safetensors.numpy import load_file, save_file
from scipy import sparse

from longtail.retrieval.bundle import sparse_arrays, sparse_matrix
from longtail.retrieval.neighbours import (
    SparseRows,
    cosine_cooccurrence,
    history_matrix,
    keep_top,
    row_norms,
    tfidf_similarity,
    unit_rows,
)

log = logging.getLogger(__name__)
DECAYS = (0.5, 0.7, 0.85, 0.95)
LEXICAL_SHARES = (0.2, 0.4, 0.5, 0.6, 0.7, 0.8)
CHUNK = 500


@dataclass(frozen=True)
class ItemToItem:
    """``sum over the history of decay ** age * neighbours[item, :]``.

    neighbours [items, items]; one training history that holds i and j adds ``own_row[i] * own_column[j]`` to
    ``neighbours[i, j]``, both [items].
    """

    neighbours: SparseRows
    decay: float
    own_row: NDArray[np.float32]
    own_column: NDArray[np.float32]

    def scores(self, histories: Sequence[NDArray[np.int32]]) -> NDArray[np.float32]:
        """The term of each history. ``[histories, items]``"""
        matrix = history_matrix(histories, self.neighbours.shape[0], self.decay) @ self.neighbours
        return np.asarray(matrix.toarray(), dtype=np.float32)

    def save(self, path: Path) -> None:
        arrays = sparse_arrays(self.neighbours) | {
            "decay": np.array([self.decay], dtype=np.float64),
            "own_row": self.own_row,
            "own_column": self.own_column,
        }
        save_file(arrays, path)

    @classmethod
    def load(cls, path: Path) -> "ItemToItem":
        arrays = load_file(path)
        return cls(sparse_matrix(arrays), float(arrays["decay"][0]), arrays["own_row"], arrays["own_column"])


def item_to_item(
    sequences: Sequence[NDArray[np.int32]],
    texts: Sequence[str],
    count: int,
    histories: Sequence[NDArray[np.int32]],
    targets: Sequence[NDArray[np.int32]],
    exclude_history: bool,
    seed: int,
    lexical: bool = True,
    cooccurrence: bool = True,
    sample: int = 3000,
) -> ItemToItem:
    """Co-occurrence and TF-IDF similarity, rows of length 1 each, mixed. Validation chooses share and decay, for the term alone.

    Args:
        sequences: training items of each user.
        count: entries a row keeps.
        histories, targets: the validation users'.
        lexical, cooccurrence: which of the two parts there are.
    """
    n_items = len(texts)
    empty = sparse.csr_array((n_items, n_items), dtype=np.float32)
    together = cosine_cooccurrence(sequences, n_items) if cooccurrence else empty
    alike = unit_rows(tfidf_similarity(texts, count)) if lexical else empty
    norms = row_norms(together)
    shares = LEXICAL_SHARES if lexical and cooccurrence else (1.0,) if lexical else (0.0,)
    share, decay = _best_mixture(unit_rows(together), alike, shares, histories, targets, exclude_history, seed, sample)
    counts = np.bincount(np.concatenate([*sequences, np.zeros(0, np.int32)]), minlength=n_items)
    column = 1 / np.sqrt(np.maximum(counts, 1))
    row = (1 - share) * column / np.maximum(norms, 1e-12) if cooccurrence else np.zeros(n_items)
    mixed = sparse.csr_array((1 - share) * unit_rows(together) + share * alike)
    return ItemToItem(keep_top(mixed, count), decay, row.astype(np.float32), column.astype(np.float32))


def _best_mixture(
    together: SparseRows,
    alike: SparseRows,
    shares: Sequence[float],
    histories: Sequence[NDArray[np.int32]],
    targets: Sequence[NDArray[np.int32]],
    exclude_history: bool,
    seed: int,
    sample: int,
) -> tuple[float, float]:
    """Lexical share and decay with the greatest validation NDCG@10 (of each user's first target)."""
    known = np.array([row for row, history in enumerate(histories) if len(history)], dtype=np.int64)
    known = np.sort(np.random.default_rng(seed).permutation(known)[:sample])
    grid = [(share, decay) for share in shares for decay in DECAYS]
    gains = np.zeros(len(grid))
    for begin in range(0, len(known), CHUNK):
        rows = known[begin : begin + CHUNK]
        asked = [histories[row] for row in rows]
        wanted = np.array([targets[row][0] for row in rows], dtype=np.int64)
        for decay in DECAYS:
            weights = history_matrix(asked, together.shape[0], decay)
            parts = [(weights @ part).toarray() for part in (together, alike)]
            for place, (share, tried) in enumerate(grid):
                if tried == decay:
                    scores = (1 - share) * parts[0] + share * parts[1]
                    gains[place] += ndcg_at_10(scores, wanted, asked if exclude_history else []).sum()
    share, decay = grid[int(gains.argmax())]
    if len(known):
        log.info("sparse term: lexical share %.2f, decay %.2f: NDCG@10 %.4f", share, decay, gains.max() / len(known))
    return share, decay


def ndcg_at_10(
    scores: NDArray[np.float32], targets: NDArray[np.int64], excluded: Sequence[NDArray[np.int32]]
) -> NDArray[np.float64]:
    """NDCG@10 of one target a row; a tie counts against it. scores [n, items] are changed: excluded items get -inf. ``[n]``"""
    wanted = scores[np.arange(len(targets)), targets].copy()[:, None]
    for row, items in enumerate(excluded):
        scores[row, items] = -np.inf
    ranks = (scores >= wanted).sum(axis=1)
    return np.where(ranks <= 10, 1 / np.log2(1 + np.maximum(ranks, 1)), 0.0)
