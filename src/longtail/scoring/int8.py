"""Matrices whose rows are held as 8-bit integers with one scale each: a quarter of the memory of float32."""

from dataclasses import dataclass
from typing import TypeAlias

import numpy as np
from numpy.typing import NDArray

LARGEST = 127
CACHED = 1024  # rows that are floats at one time where few are read: 1 MB at 256 numbers
BLOCK = 4096  # rows that are floats at one time: 4 MB at 256 numbers


@dataclass(frozen=True)
class Int8Rows:
    """Row i stands for ``scale[i] * codes[i]``; an element is off by half a step, ``scale[i] / 2``, at most."""

    codes: NDArray[np.int8]  # [rows, dim]
    scale: NDArray[np.float32]  # [rows]

    @classmethod
    def of(cls, matrix: NDArray[np.float32]) -> "Int8Rows":
        """Symmetric quantisation: the greatest absolute value of a row becomes 127."""
        scale = np.abs(matrix).max(axis=1, initial=0.0) / LARGEST
        codes = np.rint(matrix / np.where(scale > 0, scale, 1.0)[:, None])
        return cls(codes.astype(np.int8), scale.astype(np.float32))

    def __len__(self) -> int:
        return len(self.codes)

    def __getitem__(self, rows: slice | NDArray[np.integer]) -> NDArray[np.float32]:
        return self.codes[rows].astype(np.float32) * self.scale[rows, None]

    def times(self, rows: NDArray[np.integer], vector: NDArray[np.float32]) -> NDArray[np.float32]:
        """``self[rows] @ vector``, with the scales last, in pieces that stay in the processor's cache. ``[rows]``"""
        found = np.empty(len(rows), dtype=np.float32)
        for begin in range(0, len(rows), CACHED):
            part = slice(begin, begin + CACHED)
            np.matmul(self.codes.take(rows[part], axis=0).astype(np.float32), vector, out=found[part])
        found *= self.scale[rows]
        return found


Matrix: TypeAlias = NDArray[np.float32] | Int8Rows


def products(vectors: NDArray[np.float32], matrix: Matrix) -> NDArray[np.float32]:
    """``vectors @ matrix.T``; an int8 matrix is never float as a whole. ``[n, dim], [rows, dim] -> [n, rows]``"""
    if not isinstance(matrix, Int8Rows):
        return vectors @ matrix.T
    result = np.empty((len(vectors), len(matrix)), dtype=np.float32)
    for begin in range(0, len(matrix), BLOCK):
        rows = slice(begin, begin + BLOCK)
        np.matmul(vectors, matrix.codes[rows].T.astype(np.float32), out=result[:, rows])
    result *= matrix.scale
    return result
