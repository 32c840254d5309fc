"""How alike items' texts are in the sparse term, kept so that a later item gets what training would have given it."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, fields, replace
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray
from safetensors.numpy import load_file, save_file

from longtail.scoring.rows import SparseRows, inverse_norms, sharp_cosines, unit_vectors


@dataclass(frozen=True)
class Likeness:
    """Texts give entry (i, j) of the sparse term ``word_row[i] * cosine of TF-IDF rows + text_row[i] * sharp_cosines``."""

    text_vectors: NDArray[np.float32]  # [items, width], adapted, of length 1, rounded to 16 bits
    word_row: NDArray[np.float32]  # [items]
    text_row: NDArray[np.float32]  # [items]
    shares: NDArray[np.float32]  # [2], the length of a row's words and of its text vectors

    @classmethod
    def of(
        cls, text_vectors: NDArray[np.float32], words: SparseRows, texts: SparseRows, shares: Sequence[float]
    ) -> "Likeness":
        """text_vectors: ``stored``. words, texts [items, items]: both kinds of likeness, the greatest of each row."""
        lengths = np.array(shares, dtype=np.float32)
        word_row, text_row = (share * inverse_norms(part) for share, part in zip(lengths, (words, texts)))
        return cls(text_vectors, word_row, text_row, lengths)

    @classmethod
    def load(cls, path: Path) -> "Likeness":
        return cls.from_arrays(load_file(path))

    @classmethod
    def from_arrays(cls, arrays: Mapping[str, NDArray[Any]]) -> "Likeness":
        """From the ``arrays`` of one, maybe with others beside them."""
        return cls(**{field.name: arrays[field.name].astype(np.float32) for field in fields(cls)})

    def arrays(self) -> dict[str, NDArray[Any]]:
        """What a file holds."""
        return vars(self) | {"text_vectors": self.text_vectors.astype(np.float16)}

    def save(self, path: Path) -> None:
        save_file(self.arrays(), path)

    def with_items(self, text_vectors: NDArray[np.float32], codes: NDArray[np.int64]) -> "Likeness":
        """Items ``codes``, of this catalogue or right behind it, with text vectors [codes, text_dim], not compared yet."""
        return replace(
            self,
            text_vectors=put(self.text_vectors, codes, stored(self.adapted(text_vectors))),
            word_row=put(self.word_row, codes, 0.0),
            text_row=put(self.text_row, codes, 0.0),
        )

    def adapted(self, text_vectors: NDArray[np.float32]) -> NDArray[np.float32]:
        """The part of text vectors [n, text_dim] that is compared, the last one, of length 1. ``[n, width]``"""
        return unit_vectors(text_vectors[:, text_vectors.shape[1] - self.text_vectors.shape[1] :])

    def to_items(self, adapted: NDArray[np.float32]) -> NDArray[np.float32]:
        """``sharp_cosines`` of unit vectors [n, width] and the items' text vectors. ``[n, items]``"""
        return sharp_cosines(adapted, self.text_vectors)

    def nearest(self, adapted: NDArray[np.float32], count: int) -> tuple[NDArray[np.intp], NDArray[np.float32]]:
        """The items most like a unit vector [width], and their ``sharp_cosines``; only those are made sharp. ``[count]`` each"""
        cosines = self.text_vectors @ adapted
        columns = np.argpartition(-cosines, min(count, len(cosines) - 1))[:count]
        return columns, sharp_cosines(adapted[None], self.text_vectors[columns])[0]


def stored(text_vectors: NDArray[np.float32]) -> NDArray[np.float32]:
    """Rows [items, width] of length 1, rounded as files hold them, so that who reads them compares the same numbers."""
    return unit_vectors(text_vectors).astype(np.float16).astype(np.float32)


def put(array: NDArray[Any], codes: NDArray[np.int64], values: ArrayLike) -> NDArray[Any]:
    """The array with ``values`` in rows ``codes``, which may lie right behind its end."""
    longer = max(int(codes.max(initial=-1)) + 1 - len(array), 0)
    result = np.concatenate([array, np.zeros((longer, *array.shape[1:]), array.dtype)])
    result[codes] = values
    return result
