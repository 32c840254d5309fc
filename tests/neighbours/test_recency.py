"""Popularity by recency, by hand; and that validation takes it where it helps, and only where there is a clock."""

import numpy as np
import pytest
from helpers_prepared import write_tiny_prepared

from longtail.contracts.columns import DAY
from longtail.contracts.prepared import PreparedDataset, Split
from longtail.neighbours.recency import choose_half_life, recent_counts
from longtail.neighbours.usual import FEWEST
from longtail.neighbours.validation_cases import ValidationCases

TRAIN, VALIDATION, TEST = Split


def data(path, users, rule="global_time"):
    return PreparedDataset(write_tiny_prepared(path / "prepared", users, n_items=4, split={"rule": rule}))


def test_an_event_counts_half_for_every_half_life_before_the_last_training_event(tmp_path):
    users = [
        [(0, 0, TRAIN), (1, 10 * DAY, TRAIN), (1, 20 * DAY, TRAIN), (2, 90 * DAY, VALIDATION), (3, 99 * DAY, TEST)]
    ]
    prepared = data(tmp_path, users)
    assert recent_counts(prepared, 10.0) == pytest.approx([0.25, 1.5, 0, 0])
    assert recent_counts(prepared, None).tolist() == [1, 2, 0, 0]


def fashion(rule, path):
    """Item 0 was chosen by thirty users long ago, item 1 by ten lately; all that the newcomers want is item 1."""
    old = [[(0, day * DAY, TRAIN)] for day in range(30)]
    new = [[(1, (1000 + day) * DAY, TRAIN)] for day in range(10)]
    come = [[(1, 1011 * DAY, VALIDATION), (2, 1020 * DAY, TEST)] for _ in range(FEWEST)]
    return data(path, [*old, *new, *come], rule)


def test_validation_takes_a_half_life_that_ranks_what_is_chosen_now(tmp_path):
    prepared = fashion("global_time", tmp_path)
    half_life = choose_half_life(prepared, ValidationCases.of(prepared))
    assert half_life is not None
    counts = recent_counts(prepared, half_life)
    assert counts[1] > counts[0]


def test_without_a_common_clock_all_events_count_alike(tmp_path):
    prepared = fashion("leave_last_out", tmp_path)
    assert choose_half_life(prepared, ValidationCases.of(prepared)) is None


def test_where_age_says_nothing_all_events_count_alike(tmp_path):
    users = [[(item, 0, TRAIN), (3, DAY, VALIDATION), (2, 2 * DAY, TEST)] for item in (0, 0, 1)]
    prepared = data(tmp_path, users)
    assert choose_half_life(prepared, ValidationCases.of(prepared)) is None
    assert np.array_equal(recent_counts(prepared, None), recent_counts(prepared, 5.0))
