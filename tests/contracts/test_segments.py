"""Who is cold, tail, torso or head."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from longtail.contracts.segments import SEGMENTS, SegmentRule


def test_the_default_bounds():
    lengths = np.array([0, 1, 4, 5, 9, 10, 5000])
    assert SegmentRule().assign(lengths).tolist() == ["cold", "tail", "tail", "torso", "torso", "head", "head"]


def test_bounds_of_ones_own():
    assert SegmentRule(1, 2).assign(np.array([0, 1, 2, 3])).tolist() == ["cold", "tail", "torso", "head"]
    assert SegmentRule(3, 3).assign(np.array([3, 4])).tolist() == ["tail", "head"]  # nobody is torso


def test_nobody_is_assigned_nothing():
    assert SegmentRule().assign(np.array([], dtype=np.int64)).tolist() == []


@pytest.mark.parametrize(
    ("lengths", "rule"),
    [
        (range(1, 11), SegmentRule(5, 8)),  # places 4.5 and 7.2 of 0 to 9, the lower of each: 5 and 8
        ([0, 0, 0, *range(1, 11)], SegmentRule(5, 8)),  # the cold do not count
        ([2, 2, 2, 2], SegmentRule(2, 2)),
        ([7], SegmentRule(7, 7)),
        ([1, 100], SegmentRule(1, 1)),
        ([0, 0], SegmentRule()),  # nobody to take quantiles of
        ([], SegmentRule()),
    ],
)
def test_quantiles_of_the_histories_that_are_not_empty(lengths, rule):
    assert SegmentRule.from_quantiles(np.array(lengths, dtype=np.int64)) == rule


def test_other_quantiles():
    assert SegmentRule.from_quantiles(np.arange(1, 12), 0.1, 0.3) == SegmentRule(2, 4)  # places 1 and 3 of 0 to 10


@given(st.lists(st.integers(0, 300), max_size=80))
def test_every_user_has_one_segment_and_longer_histories_never_a_lower_one(lengths):
    rule = SegmentRule.from_quantiles(np.array(lengths, dtype=np.int64))
    assigned = rule.assign(np.array(sorted(lengths), dtype=np.int64)).tolist()
    places = [SEGMENTS.index(name) for name in assigned]
    assert places == sorted(places)
    assert assigned.count("cold") == lengths.count(0)
    active = [length for length in lengths if length]
    assert 2 * sum(length <= rule.tail_max for length in active) >= len(active)  # half of them at least are tail
