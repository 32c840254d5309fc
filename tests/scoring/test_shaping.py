"""Shaping, by hand and against the definitions of MMR and of a determinantal point process."""

from collections import Counter

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from longtail.scoring.rows import unit_vectors
from longtail.scoring.shaping import (
    Before,
    Dpp,
    Limit,
    Mmr,
    by_attributes,
    by_both,
    by_vectors,
    relevance,
    shaped,
)

SCORES = np.array([1.0, 0.9, 0.8, 0.0], dtype=np.float32)
VECTORS = np.array([[1, 0], [1, 0], [0, 1], [-1, 0]], dtype=np.float32)


def mmr(scores, k, vectors, diversity):
    return shaped(Mmr(relevance(scores), diversity, by_vectors(vectors)), len(scores), k).chosen


def plain(k, pool=4, **more):
    """In the order of SCORES."""
    return shaped(Mmr(relevance(SCORES[:pool]), 0.0, by_vectors(VECTORS[:pool])), pool, k, **more)


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
    assert mmr(SCORES, 4, VECTORS, diversity) == order


def test_of_equals_the_first_is_taken():
    assert mmr(np.zeros(3, np.float32), 3, np.eye(3, dtype=np.float32), 0.5) == [0, 1, 2]


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
    assert plain(4, limits=[[b], [b], [c, new], [new]]).chosen == order


def test_limits_say_that_they_kept_an_item_out():
    b, c = Limit("brand=b", 1, "brand"), Limit("lamp", 2, "lamp")
    assert plain(4, limits=[[b], [b, c], [c], [c]]).full == {"brand"}
    assert plain(4, limits=[[c], [c], [c], [b]]).full == {"lamp"}
    assert plain(1, limits=[[b], [b], [c], [c]]).full == set()  # the list was complete before
    assert plain(4, limits=[[c], [c], [], []]).full == set()
    assert plain(4, limits=[[b], [], [], []], before=Before(Counter({"brand=b": 1}), frozenset())) == (
        [1, 2, 3],
        {"brand"},
    )


@pytest.mark.parametrize(
    ("same", "before", "order"),
    [
        (["x", "x", "y", None], [], [0, 2, 3]),  # the best of each; None is like nothing
        ([None, None, "y", "y"], [], [0, 1, 2]),
        (["x", "y", "x", "y"], ["y"], [0]),  # one of y is there already
    ],
)
def test_near_duplicates_are_given_once(same, before, order):
    assert plain(4, same=same, before=Before(Counter(), frozenset(before))).chosen == order


def test_where_a_limit_keeps_the_best_near_duplicate_out_the_next_may_come():
    b = Limit("brand=b", 1, "brand")
    assert plain(4, limits=[[b], [b], [], [b]], same=["x", "y", "y", "y"]).chosen == [0, 2]
    assert plain(4, limits=[[b], [b], [b], []], same=["x", "y", "y", "y"]).chosen == [0, 3]


@pytest.mark.parametrize(
    ("due", "k", "order"),
    [
        ({3: 4}, 4, [0, 1, 2, 3]),
        ({3: 3}, 3, [0, 1, 3]),
        ({3: 1}, 3, [3, 0, 1]),
        ({3: 2, 2: 2}, 3, [2, 3, 0]),
        ({3: 2, 2: 3}, 3, [0, 3, 2]),
        ({0: 3}, 3, [0, 1, 2]),
    ],
)
def test_what_is_due_comes_in_time_and_otherwise_by_value(due, k, order):
    assert plain(k, due=due).chosen == order


def test_limits_and_near_duplicates_count_what_is_due():
    b = Limit("brand=b", 1, "brand")
    assert plain(3, limits=[[b], [], [], [b]], due={3: 3}).chosen == [1, 2, 3]
    assert plain(3, same=["x", None, None, "x"], due={3: 3}).chosen == [1, 2, 3]


def test_likeness_of_attributes_by_hand():
    alike = by_attributes([["lamp", "red"], ["lamp", "blue"], ["lamp", "red"], ["chair"], []])
    assert alike(0).tolist() == pytest.approx([1, 1 / 3, 1, 0, 0])
    assert alike(4).tolist() == [0, 0, 0, 0, 0]
    both = by_both(VECTORS, [["a"], ["b"], ["a", "b"], []])
    assert both(0).tolist() == pytest.approx([1, 0.5, 0.25, -0.5])


@given(st.integers(1, 10), st.integers(1, 10), st.sampled_from([0.1, 0.5, 0.9, 1.0]), st.integers(0, 999))
def test_dpp_adds_the_most_to_the_determinant(count, k, diversity, seed):
    """Each item against all that could have come in its stead, by the determinant of the kernel of score and likeness."""
    rng = np.random.default_rng(seed)
    scores = -np.sort(-rng.standard_normal(count)).astype(np.float32)
    vectors = unit_vectors(rng.standard_normal((count, 12)))
    weight = Dpp.weight(diversity)
    order = Dpp(relevance(scores), weight, by_vectors(vectors))
    chosen = shaped(order, count, k).chosen
    assert len(chosen) == min(k, count) and len(set(chosen)) == len(chosen)
    quality = np.exp(weight * relevance(scores).astype(np.float64) / 2)
    kernel = quality[:, None] * (1 + vectors.astype(np.float64) @ vectors.T) / 2 * quality
    kernel[np.diag_indices(count)] = quality**2
    for length, item in enumerate(chosen):
        before = chosen[:length]
        volumes = {
            other: np.linalg.slogdet(kernel[np.ix_([*before, other], [*before, other])])[1]
            for other in range(count)
            if other not in before
        }
        assert volumes[item] >= max(volumes.values()) - 1e-4


def test_dpp_goes_on_by_score_where_nothing_new_is_left():
    scores = np.array([3, 2, 1, 0], dtype=np.float32)
    alike = by_vectors(np.ones((4, 1), np.float32))
    assert shaped(Dpp(relevance(scores), Dpp.weight(0.5), alike), 4, 4).chosen == [0, 1, 2, 3]


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
    found = mmr(scores, k, vectors, diversity)
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
