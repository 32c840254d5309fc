"""The Prepared data set as later stages read it, by hand: who may see which event."""

import hashlib

import numpy as np
import pyarrow as pa
import pytest
from helpers_prepared import write_tiny_prepared

from longtail.contracts.errors import UserError
from longtail.contracts.prepared import PreparedDataset, Split
from longtail.contracts.segments import SegmentRule

TRAIN, VALIDATION, TEST = Split
USERS = [
    [(3, 10, TRAIN), (1, 20, TRAIN), (2, 30, VALIDATION), (1, 40, TEST)],
    [(0, 15, TEST)],  # cold, and tested
    [],  # known by the table of users alone
    [(2, 5, TRAIN), (0, 6, VALIDATION), (3, 6, VALIDATION), (4, 9, TEST), (0, 9, TEST), (4, 9, TEST)],
]


@pytest.fixture
def prepared(tmp_path):
    return PreparedDataset(write_tiny_prepared(tmp_path / "prepared", USERS, n_items=5))


def codes(arrays):
    return [array.tolist() for array in arrays]


def test_columns_and_facts(prepared):
    assert prepared.user_codes.tolist() == [0] * 4 + [1] + [3] * 6
    assert prepared.item_codes.tolist() == [3, 1, 2, 1, 0, 2, 0, 3, 4, 0, 4]
    assert prepared.timestamps.tolist() == [10, 20, 30, 40, 15, 5, 6, 6, 9, 9, 9]
    assert prepared.item_ids == ["i000", "i001", "i002", "i003", "i004"]
    assert prepared.user_ids == ["u000", "u001", "u002", "u003"]
    assert prepared.user_attributes[1] == ["gender=F"]
    assert prepared.train_counts.tolist() == [0, 1, 1, 1, 0]
    assert (prepared.numeric.shape, prepared.numeric.dtype) == ((5, 0), np.float32)
    assert prepared.segment_rule == SegmentRule(4, 9)


def test_a_history_holds_the_events_of_lower_splits_oldest_first(prepared):
    assert codes(prepared.history(0, split) for split in Split) == [[], [3, 1], [3, 1, 2]]
    assert codes(prepared.history(3, split) for split in Split) == [[], [2], [2, 0, 3]]
    for empty in (1, 2):
        assert codes(prepared.history(empty, split) for split in Split) == [[], [], []]


def test_training_sequences_are_one_a_user(prepared):
    assert codes(prepared.train_sequences()) == [[3, 1], [], [], [2]]


def test_targets_are_every_item_of_the_split_once(prepared):
    test = prepared.targets(TEST)
    assert test.users.tolist() == [0, 1, 3]
    assert codes(test.items) == [[1], [0], [4, 0]]  # in order of time, not of codes
    assert codes(test.histories) == [[3, 1, 2], [], [2, 0, 3]]
    assert test.history_lengths.tolist() == [3, 0, 3]
    assert len(test) == 3
    validation = prepared.targets(VALIDATION)
    assert (validation.users.tolist(), codes(validation.items)) == ([0, 3], [[2], [0, 3]])


def test_targets_that_are_known_already_cannot_be_measured(prepared):
    targets, dropped = prepared.measurable_targets(TEST)
    # user 0's only target 1 and user 3's target 0 lie in their histories
    assert (targets.users.tolist(), codes(targets.items), dropped) == ([1, 3], [[0], [4]], 2)
    assert codes(targets.histories) == [[], [2, 0, 3]]


def test_targets_have_the_context_of_the_first_of_them(prepared):
    contexts = [
        [f"n={event}"] if event != 4 else None for event in range(11)
    ]  # of the events in order of user and time
    prepared._contexts = pa.array(contexts, pa.list_(pa.string()))
    test = prepared.targets(TEST)
    assert test.contexts == [["n=3"], [], ["n=8"]]
    assert test.of(np.array([2, 0])).contexts == [["n=8"], ["n=3"]]
    assert prepared.targets(VALIDATION).contexts == [["n=2"], ["n=6"]]
    measurable, _ = prepared.measurable_targets(TEST)
    assert (measurable.users.tolist(), measurable.contexts) == ([1, 3], [[], ["n=8"]])
    assert prepared.contexts_of(np.array([10, 4])) == [["n=10"], []]


def test_the_context_of_a_target_that_is_left_out_is_not_that_of_the_next(tmp_path):
    """The user's first test event is item 1 again, which cannot be measured; the question is asked at the second."""
    users = [[(1, 1, TRAIN), (2, 2, VALIDATION), (1, 3, TEST), (0, 4, TEST)]]
    prepared = PreparedDataset(write_tiny_prepared(tmp_path / "again", users, n_items=3))
    prepared._contexts = pa.array([["n=0"], ["n=1"], ["n=2"], ["n=3"]])
    assert prepared.targets(TEST).contexts == [["n=2"]]
    targets, dropped = prepared.measurable_targets(TEST)
    assert (codes(targets.items), targets.contexts, dropped) == ([[0]], [["n=3"]], 1)


def test_where_repeats_were_kept_all_targets_are_measured(tmp_path):
    kept = PreparedDataset(write_tiny_prepared(tmp_path / "kept", USERS, n_items=5, repeats="keep"))
    assert not kept.exclude_history
    targets, dropped = kept.measurable_targets(TEST)
    assert (targets.users.tolist(), dropped) == ([0, 1, 3], 0)


def test_nothing_to_measure_is_said(tmp_path):
    known = [[(0, 1, TRAIN), (0, 2, VALIDATION), (0, 3, TEST)]]
    prepared = PreparedDataset(write_tiny_prepared(tmp_path / "known", known, n_items=5))
    assert prepared.exclude_history
    with pytest.raises(UserError, match="no test user has a target that is new to them"):
        prepared.measurable_targets(TEST)


def test_the_training_digest_is_that_of_the_training_events_alone(prepared, tmp_path):
    users, items, times = np.array([0, 0, 3], "<i4"), np.array([3, 1, 2], "<i4"), np.array([10, 20, 5], "<i8")
    expected = hashlib.sha256(users.tobytes() + items.tobytes() + times.tobytes()).hexdigest()
    assert prepared.train_digest() == expected
    later = [*USERS[:3], [(2, 5, TRAIN), (1, 99, TEST)]]
    assert PreparedDataset(write_tiny_prepared(tmp_path / "later", later, n_items=5)).train_digest() == expected
    earlier = [*USERS[:3], [(2, 4, TRAIN)]]
    assert PreparedDataset(write_tiny_prepared(tmp_path / "earlier", earlier, n_items=5)).train_digest() != expected
