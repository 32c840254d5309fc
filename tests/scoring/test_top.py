"""The best items of a row, against a stable sort of all of them."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from longtail.scoring.top import _BLOCK, top_items

NONE = np.zeros(0, np.int64)


def by_full_sort(scores: list[float], k: int, excluded: list[int]) -> list[int]:
    """Python's sort is stable, so items of equal scores stay in the order of their codes."""
    left = set(excluded)
    allowed = [code for code, score in enumerate(scores) if code not in left and score != -np.inf]
    return sorted(allowed, key=lambda code: -scores[code])[:k]


@st.composite
def asked(draw):
    """Rows from a few items to dozens of blocks, with few and with many different scores, and with items to leave out."""
    n = draw(st.one_of(st.integers(1, 40), st.integers(1, 30 * _BLOCK)))
    rng = np.random.default_rng(draw(st.integers(0, 2**32 - 1)))
    kind = draw(st.sampled_from(["ties", "all equal", "distinct", "some -inf", "one high block"]))
    scores = {
        "ties": rng.integers(-3, 3, n).astype(np.float32),
        "all equal": np.full(n, 0.5, np.float32),
        "distinct": rng.permutation(n).astype(np.float32),
        "some -inf": np.where(rng.random(n) < 0.5, -np.inf, rng.integers(0, 4, n)).astype(np.float32),
        "one high block": np.where(np.arange(n) < _BLOCK, 9, rng.integers(0, 4, n)).astype(np.float32),
    }[kind]
    excluded = rng.choice(n, size=draw(st.integers(0, n)), replace=draw(st.booleans()))  # repeats, as in a history
    return scores, draw(st.integers(1, 60)), excluded


@given(asked())
@settings(max_examples=300)
def test_the_best_are_those_of_a_full_sort(case):
    scores, k, excluded = case
    before = scores.copy()
    assert top_items(scores, k, excluded).tolist() == by_full_sort(scores.tolist(), k, excluded.tolist())
    assert np.array_equal(scores, before)  # the caller's row is left as it is


def test_by_hand():
    scores = np.array([0.5, 0.9, 0.5, -0.1, 0.9], np.float32)
    assert top_items(scores, 3, NONE).tolist() == [1, 4, 0]
    assert top_items(scores, 3, np.array([4, 1])).tolist() == [0, 2, 3]
    assert top_items(scores, 9, np.array([2])).tolist() == [1, 4, 0, 3]
    assert top_items(scores, 2, np.arange(5)).tolist() == []


@pytest.mark.parametrize("n", [3, 20 * _BLOCK])
def test_a_score_that_is_no_number_is_refused(n):
    scores = np.zeros(n, np.float32)
    scores[2] = np.nan
    with pytest.raises(ValueError, match="item 2 has the score nan"):
        top_items(scores, 1, NONE)
    assert top_items(scores, 1, np.array([2])).tolist() == [0]  # nobody looks at what is left out
