"""Whole histories of everybody."""

import numpy as np
import pyarrow as pa
import pytest
from helpers_prepared import write_tiny_prepared
from hypothesis import given
from hypothesis import strategies as st

from longtail.contracts.artifacts import manifest_digest
from longtail.contracts.histories import Histories, Ragged
from longtail.contracts.prepared import PreparedDataset


@given(st.lists(st.lists(st.integers(0, 3), max_size=4), max_size=6), st.integers(0, 6), st.integers(0, 6))
def test_ragged_lists_are_those_of_their_rows(lists: list[list[int]], begin: int, more: int):
    owners = np.repeat(np.arange(len(lists)), [len(row) for row in lists])
    ragged = Ragged.by_row(owners, np.array([code for row in lists for code in row], np.int64), len(lists))
    rows = slice(min(begin, len(lists)), min(begin + more, len(lists)))
    found = ragged.texts(rows, pa.array(["a", "b", "c", "d"]))
    assert found.to_pylist() == [["abcd"[code] for code in row] for row in lists[rows]]


def test_those_of_a_prepared_data_set_are_whole(tmp_path):
    """Also what validates and tests: today's user knows it."""
    prepared = PreparedDataset(write_tiny_prepared(tmp_path / "prepared", n_users=20))
    found = Histories.of(prepared)
    table = found.table(slice(3, 7))
    assert table["user_id"].to_pylist() == prepared.user_ids[3:7]
    assert table["attributes"].to_pylist() == prepared.user_attributes[3:7]
    for user, history in zip(range(3, 7), table["history"].to_pylist()):
        codes = prepared.item_codes[prepared.user_codes == user].tolist()
        assert history == [prepared.item_ids[code] for code in codes]
        assert prepared.whole_history(user).tolist() == codes
    assert (len(found), found.digest) == (20, manifest_digest(tmp_path / "prepared"))


@pytest.mark.parametrize("users", [[[], []], [[]]])
def test_users_without_events_have_empty_histories(users):
    ragged = Ragged.by_row(np.zeros(0, np.int64), np.zeros(0, np.int64), len(users))
    assert ragged.texts(slice(0, len(users)), pa.array(["a"])).to_pylist() == users
