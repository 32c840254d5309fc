"""Rows as 8-bit integers: how exact they are, and that products read them."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import array_shapes, arrays

from longtail.scoring import int8
from longtail.scoring.int8 import Int8Rows, products

FLOATS = st.floats(-1e3, 1e3, width=32).filter(lambda x: x == 0 or abs(x) > 1e-3)


def test_the_greatest_value_of_a_row_is_kept_and_the_others_are_rounded():
    rows = Int8Rows.of(np.array([[1.0, -0.5, 0.004], [0, 0, 0]], np.float32))
    assert rows.codes.tolist() == [[127, -64, 1], [0, 0, 0]]  # 127 * .5 = 63.5, and halves go to the even number
    assert rows[np.array([0])][0] == pytest.approx([1.0, -64 / 127, 1 / 127])
    assert rows[1:2].tolist() == [[0, 0, 0]]


@given(arrays(np.float32, array_shapes(min_dims=2, max_dims=2, max_side=6), elements=FLOATS))
def test_no_element_is_off_by_more_than_half_a_step(matrix):
    rows = Int8Rows.of(matrix)
    step = np.abs(matrix).max(axis=1, keepdims=True) / 127
    assert (np.abs(rows[:] - matrix) <= step * 0.5001 + 1e-6).all()


def test_products_in_blocks_are_those_of_the_whole_matrix(monkeypatch):
    monkeypatch.setattr(int8, "BLOCK", 4)  # 11 rows: blocks of 4, 4 and 3
    rng = np.random.default_rng(0)
    vectors, matrix = rng.normal(size=(3, 5)).astype(np.float32), rng.normal(size=(11, 5)).astype(np.float32)
    rows = Int8Rows.of(matrix)
    assert products(vectors, rows) == pytest.approx(vectors @ rows[:].T, rel=1e-5, abs=1e-5)
    assert products(vectors, matrix) == pytest.approx(vectors @ matrix.T)
