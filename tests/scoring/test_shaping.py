"""Shaping, by hand and against the definition of MMR."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from longtail.scoring.rows import unit_vectors
from longtail.scoring.shaping import Limit, shaped

SCORES = np.array([1.0, 0.9, 0.8, 0.0], dtype=np.float32)
VECTORS = np.array([[1, 0], [1, 0], [0, 1], [-1, 0]], dtype=np.float32)


@pytest.mark.parametrize(
    ("diversity", "order"),
    [
        (0.0, [0, 1, 2, 3]),
        # behind 0, item 1 has .7 * .9 - .3 * 1 = .33, item 2 .7 * .8 = .56, item 3 0
        (0.3, [0, 2, 1, 3]),
        # .5 * .9 - .5 = -.05, less than the 0 of item 3, whose cosine of -1 counts as 0
        (0.5, [0, 2, 3, 1]),
        (1.0, [0, 2, 3, 1]),
    ],
)
def test_mmr_by_hand(diversity, order):
    assert shaped(SCORES, 4, VECTORS, diversity) == order


def test_of_equals_the_first_is_taken():
    assert shaped(np.zeros(3, np.float32), 3, np.eye(3, dtype=np.float32), 0.5) == [0, 1, 2]


def test_an_empty_pool_gives_nothing():
    assert shaped(np.zeros(0, np.float32), 3, np.zeros((0, 2), np.float32), 0.5) == []


@pytest.mark.parametrize(
    ("brands", "news", "order"),
    [
        (1, 9, [0, 2, 3]),  # one of each brand; 3 has none
        (2, 9, [0, 1, 2, 3]),
        (2, 1, [0, 1, 2]),
        (1, 1, [0, 2]),
    ],
)
def test_no_more_of_a_group_than_asked(brands, news, order):
    b, c, new = Limit("brand=b", brands), Limit("brand=c", brands), Limit("new", news)
    assert shaped(SCORES, 4, VECTORS, 0, [[b], [b], [c, new], [new]]) == order


@given(st.integers(1, 12), st.integers(1, 12), st.sampled_from([0.1, 0.4, 0.9]), st.integers(0, 999))
def test_mmr_is_what_its_definition_says(count, k, diversity, seed):
    rng = np.random.default_rng(seed)
    scores = -np.sort(-rng.standard_normal(count)).astype(np.float32)
    vectors = unit_vectors(rng.standard_normal((count, 3)))
    span = max(float(scores[0] - scores[-1]), 1e-12)
    expected: list[int] = []
    while len(expected) < min(k, count):
        value = {
            place: (1 - diversity) * float(scores[place] - scores[-1]) / span
            - diversity * max([0.0, *(float(vectors[place] @ vectors[other]) for other in expected)])
            for place in range(count)
            if place not in expected
        }
        expected.append(max(value, key=lambda place: (round(value[place], 5), -place)))
    found = shaped(scores, k, vectors, diversity)
    assert len(found) == len(expected) and len(set(found)) == len(found)
    if not _near_tie(scores, vectors, diversity, expected, span):
        assert found == expected


def _near_tie(scores, vectors, diversity, order, span):
    """Whether somewhere two items lie within rounding of each other."""
    for length in range(len(order)):
        before = order[:length]
        values = sorted(
            (1 - diversity) * float(scores[place] - scores[-1]) / span
            - diversity * max([0.0, *(float(vectors[place] @ vectors[other]) for other in before)])
            for place in range(len(scores))
            if place not in before
        )
        if any(b - a < 1e-4 for a, b in zip(values[-2:], values[-1:])):
            return True
    return False
