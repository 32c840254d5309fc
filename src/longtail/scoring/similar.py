"""How alike items are to items that somebody looks at: by what users choose alike, and by what their texts mean."""

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from longtail.scoring.int8 import Matrix, products
from longtail.scoring.rows import usual_cosines

ALIKE = 1.64  # likeness from which items are said to be similar: of 95 % of all pairs less is expected


class Similarity:
    """The mean, over kinds of item vectors, of the cosine in deviations of the catalogue's. kinds: unit rows [items, width] each."""

    def __init__(self, kinds: Sequence[Matrix]) -> None:
        self._kinds = [(vectors, *usual_cosines(vectors, len(vectors))) for vectors in kinds]

    def to(self, codes: NDArray[np.integer]) -> NDArray[np.float32]:
        """Likeness of each item to each of ``codes``; 0: as any two items. ``[codes, items]``"""
        kinds = [(products(vectors[codes], vectors) - mean) / deviation for vectors, mean, deviation in self._kinds]
        return np.asarray(np.mean(kinds, axis=0), dtype=np.float32)
