"""Bands of numbers."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from longtail.components.preprocess.profiles import bands


@pytest.mark.parametrize(
    ("edges", "low", "high", "whole", "names"),
    [
        ([23, 29, 35, 44], 7, 73, True, ["7-23", "24-29", "30-35", "36-44", "45-73"]),
        ([0, 0, 3, 9], 0, 9, True, ["0", "1-3", "4-9"]),  # two fifths are 0; the last edge is the highest value
        ([0.5, 1, 2.25, 4], 0.1, 8, False, ["0.1-0.5", "0.5-1", "1-2.25", "2.25-4", "4-8"]),
    ],
)
def test_bands_by_hand(edges, low, high, whole, names):
    assert [name for _, name in bands(edges, low, high, whole)] == names


@given(st.lists(st.integers(0, 1000), min_size=21, unique=True))
def test_every_value_falls_into_one_band(values):
    values.sort()
    edges = [values[len(values) * fifth // 5] for fifth in range(1, 5)]
    uppers = [upper for upper, _ in bands(edges, values[0], values[-1], True)]
    assert uppers == sorted(set(uppers))
    assert uppers[-1] == values[-1]
