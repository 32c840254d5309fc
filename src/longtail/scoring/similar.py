"""How alike items are to items that somebody looks at: by what users choose alike, and by what their texts mean."""

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from longtail.scoring.int8 import Matrix, products
from longtail.scoring.rows import usual_cosines


class Similarity:
    """The mean, over kinds of item vectors, of the cosine in deviations of the catalogue's. kinds: unit rows [items, width] each."""

    def __init__(self, kinds: Sequence[Matrix]) -> None:
        self._kinds = [(vectors, *usual_cosines(vectors, len(vectors))) for vectors in kinds]

    def to(self, codes: NDArray[np.integer]) -> NDArray[np.float32]:
        """Likeness of each item to the most alike of ``codes``, of which there is one at least; 0: as any two items. ``[items]``"""
        kinds = [
            (products(vectors[codes], vectors).max(axis=0) - mean) / deviation
            for vectors, mean, deviation in self._kinds
        ]
        return np.asarray(np.mean(kinds, axis=0), dtype=np.float32)
