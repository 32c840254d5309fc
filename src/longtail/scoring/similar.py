"""How alike items are to items that somebody looks at: by what users choose alike, and by what their texts mean."""

from collections.abc import Sequence
from functools import lru_cache

import numpy as np
from numpy.typing import NDArray

from longtail.scoring.int8 import Matrix, products
from longtail.scoring.rows import usual_cosines

REMEMBERED = 32_000_000
ALIKE = 1.64  # likeness from which items are said to be similar: of 95 % of all pairs less is expected


class Similarity:
    """The mean, over kinds of item vectors, of the cosine in deviations of the catalogue's. Safe to share between threads.

    kinds: unit rows [items, width] each. The latest items asked for are remembered, as many as fit in ``REMEMBERED`` bytes: product
    pages ask for the same ones again and again.
    """

    def __init__(self, kinds: Sequence[Matrix]) -> None:
        self._kinds = [(vectors, *usual_cosines(vectors, len(vectors))) for vectors in kinds]
        self._of = lru_cache(max(REMEMBERED // (4 * len(kinds[0])), 1))(self._to_one)

    def to(self, codes: NDArray[np.integer]) -> NDArray[np.float32]:
        """Likeness of each item to each of ``codes``; 0: as any two items. ``[codes, items]``"""
        return np.stack([self._of(code) for code in codes.tolist()])

    def _to_one(self, code: int) -> NDArray[np.float32]:
        asked = np.array([code])
        kinds = [(products(vectors[asked], vectors)[0] - mean) / deviation for vectors, mean, deviation in self._kinds]
        return np.asarray(np.mean(kinds, axis=0), dtype=np.float32)
