import numpy as np
import pandas as pd
import pytest

from longtail.contracts.errors import UserError
from longtail.policies import asked as module
from longtail.policies.asked import asked_of, read_policy, uniform
from longtail.policies.logs import read_log

LOG = pd.DataFrame(
    {
        "user_id": ["u", "v", "u"],
        "item_id": ["a", "b", "c"],
        "position": [1, 1, 2],
        "reward": [1, 0, 1],
        "propensity": [0.5, 0.25, 0.5],
    }
)


def at(folder, rows, name="policy.csv"):
    path = folder / name
    pd.DataFrame(rows).to_csv(path, index=False)
    return str(path)


@pytest.fixture
def log_of(tmp_path):
    def read(keys=()):
        return read_log(at(tmp_path, LOG, "log.csv"), keys=keys)

    return read


def test_one_policy_for_all_rounds(tmp_path, log_of):
    table = read_policy(at(tmp_path, {"item_id": ["a", "b", "d"], "probability": [0.5, 0.2, 0.3]}))
    asked, log = asked_of(table, log_of())
    assert asked.actions == log.actions == ("a", "b", "c", "d")
    assert asked.of_logged.tolist() == [0.5, 0.2, 0.0]
    assert asked.of_all is not None and asked.of_all.tolist() == [[0.5, 0.2, 0, 0.3]] * 3
    assert log.logged.action.tolist() == [0, 1, 2]


def test_actions_of_the_log_get_the_codes_of_both(tmp_path, log_of):
    table = read_policy(at(tmp_path, {"item_id": ["Z", "b"], "probability": [0.4, 0.6]}))
    asked, log = asked_of(table, log_of())
    assert asked.actions == ("Z", "a", "b", "c")
    assert log.logged.action.tolist() == [1, 2, 3]
    assert asked.of_logged.tolist() == [0, 0.6, 0]


def test_a_policy_by_user_and_position(tmp_path, log_of):
    rows = [("u", 1, "a", 0.9), ("u", 1, "b", 0.1), ("u", 2, "c", 1.0), ("v", 1, "b", 0.3), ("v", 1, "a", 0.7)]
    table = read_policy(at(tmp_path, pd.DataFrame(rows, columns=["user_id", "position", "item_id", "probability"])))
    asked, _ = asked_of(table, log_of(list(table.keys)))
    assert asked.of_logged.tolist() == [0.9, 0.3, 1.0]
    assert asked.of_all is not None
    assert asked.of_all.tolist() == [[0.9, 0.1, 0], [0.7, 0.3, 0], [0, 0, 1]]


@pytest.mark.parametrize("artifact", [False, True])
def test_lists_show_the_item_of_a_rank_at_that_position(tmp_path, log_of, artifact):
    rows = pd.DataFrame([("u", 1, "a"), ("u", 2, "b"), ("v", 1, "b")], columns=["user_id", "rank", "item_id"])
    rows["title"] = "a title"  # more columns are no keys
    if artifact:
        (tmp_path / "lists" / "recommendations").mkdir(parents=True)
        rows.to_parquet(tmp_path / "lists" / "recommendations" / "part-0.parquet")
    table = read_policy(str(tmp_path / "lists") if artifact else at(tmp_path, rows))
    asked, _ = asked_of(table, log_of(list(table.keys)))
    assert table.is_lists and asked.of_logged.tolist() == [1, 1, 0]


def test_too_many_numbers_leave_the_logged_actions(tmp_path, log_of, monkeypatch):
    monkeypatch.setattr(module, "MOST_NUMBERS", 5)
    table = read_policy(at(tmp_path, {"item_id": ["a", "b"], "probability": [0.5, 0.5]}))
    asked, _ = asked_of(table, log_of())
    assert asked.of_all is None and asked.of_logged.tolist() == [0.5, 0.5, 0]
    assert uniform(log_of()).of_all is None


def test_uniform_is_over_the_items_of_the_log(log_of):
    asked = uniform(log_of())
    assert asked.of_logged.tolist() == pytest.approx([1 / 3] * 3)
    np.testing.assert_allclose(asked.of_all, 1 / 3)


@pytest.mark.parametrize(
    ("rows", "message"),
    [
        ({"item_id": ["a", "b"], "probability": [0.5, 0.4]}, "for all rounds probabilities sum to 0.9"),
        ({"item_id": ["a", "b"], "probability": [0.5, 1.4]}, "row 1, column probability: is no probability"),
        ({"item_id": ["a", "b"], "probability": [0.5, None]}, "row 1, column probability: is no probability"),
        ({"item_id": ["a", None], "probability": [0.5, 0.5]}, "row 1, column item_id: is no value"),
        ({"item_id": ["a", "a"], "probability": [0.5, 0.5]}, "a is there twice"),
        ({"item_id": ["a"], "chance": [1.0]}, "has no column probability or rank; it has item_id, chance"),
        ({"item": ["a"], "probability": [1.0]}, "has no column item_id"),
        ({"item_id": ["a"], "rank": [1]}, "lists need the column user_id"),
        ({"user_id": ["u"], "item_id": ["a"], "rank": [0]}, "row 0, column rank: is no rank from 1"),
        (
            {"user_id": ["u", "u"], "item_id": ["a", "b"], "rank": [1, 1]},
            "user_id u, position 1 several items have one rank",
        ),
    ],
)
def test_faults_of_a_policy_are_named(tmp_path, rows, message):
    with pytest.raises(UserError) as raised:
        read_policy(at(tmp_path, rows))
    assert message in str(raised.value)


def test_a_round_of_which_the_policy_says_nothing_is_named(tmp_path, log_of):
    table = read_policy(at(tmp_path, {"user_id": ["u"], "item_id": ["a"], "probability": [1.0]}))
    with pytest.raises(UserError, match=r"says nothing of user_id v \(row 1 of the log, and 0 more\)"):
        asked_of(table, log_of(list(table.keys)))


def test_items_of_another_kind_of_id_are_told(tmp_path, log_of):
    table = read_policy(at(tmp_path, {"item_id": ["SKU1"], "probability": [1.0]}))
    with pytest.raises(UserError, match=r"none of its items \('SKU1', ...\) is one of the log's \('a', ...\)"):
        asked_of(table, log_of())
