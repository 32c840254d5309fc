"""Who is in which column, and that the first target alone is to be found, asked with all that came before it."""

import numpy as np
import pytest
from helpers_evaluate_case import QUICK, Case

from longtail.components.evaluate.real_history import length_groups
from longtail.components.evaluate.settings import Rule
from longtail.contracts.prepared import Split
from longtail.scoring.bundle import load_bundle
from longtail.scoring.query import Query
from longtail.scoring.scorer import Scorer

TRAIN, VALIDATION, TEST = Split
CLOCK = {"protocol": "global_time", "split": {"rule": "global_time", "validation_from": 10, "test_from": 20}}
USERS = [
    [(7, 24, TEST), (3, 25, TEST)],
    [(9, 21, TEST)],
    [(5, 3, TRAIN), (0, 25, TEST), (1, 26, TEST), (2, 27, TEST)],
    [(0, 1, TRAIN), (1, 2, TRAIN), (2, 11, VALIDATION), (3, 21, TEST), (4, 22, TEST)],
    [(item, item, TRAIN) for item in range(1, 8)] + [(8, 22, TEST)],
]
HISTORIES = {"0": [0, 1], "1": [2], "2": [], "3": [3], "4": [], "5+": [4]}  # column -> users


def test_columns_of_lengths():
    found = length_groups(np.array([0, 7, 1, 5, 4, 0]), (0, 1, 2, 3, 4))
    assert {name: rows.tolist() for name, rows in found.items()} == {
        "0": [0, 5], "1": [2], "2": [], "3": [], "4": [4], "5+": [1, 3]
    }  # fmt: skip


def test_lengths_that_no_edge_names_belong_to_the_next_one_and_nobody_joins_those_without_a_history():
    found = length_groups(np.array([0, 1, 2, 3, 4, 9]), (5, 2))
    assert {name: rows.tolist() for name, rows in found.items()} == {"0": [0], "1-2": [1, 2], "3-5": [3, 4], "6+": [5]}
    assert {name: rows.tolist() for name, rows in length_groups(np.array([0, 3]), ()).items()} == {"0": [0], "1+": [1]}


@pytest.fixture(scope="module")
def case(tmp_path_factory):
    rules = tuple(Rule(must_be="not_worse", than="tfidf", among=f"history={name}") for name in ("0", "2", "5+"))
    settings = QUICK.model_copy(update={"gate_rules": rules, "gate_min_users": 1})
    found = Case(tmp_path_factory.mktemp("clock"), USERS, settings=settings, **CLOCK)
    found.run()
    return found


def gain(case: Case, user: int) -> float:
    """NDCG@10 of the user's first target, item by item."""
    history = [item for item, _, split in USERS[user] if split != TEST]
    target = next(item for item, _, split in USERS[user] if split == TEST)
    query = Query(np.array(history, dtype=np.int32), case.data.user_attributes[user])
    (scores,) = Scorer(load_bundle(case.bundle)).score([query])
    rank = 1 + sum(scores[item] >= scores[target] for item in range(30) if item not in (*history, target))
    return 1 / np.log2(1 + rank) if rank <= 10 else 0.0


@pytest.mark.parametrize("name", HISTORIES)
def test_first_target_of_every_user_by_real_history(case, name):
    entry = case.result["by_history"][name]["student"]
    assert entry["users"] == len(HISTORIES[name])
    expected = np.mean([gain(case, user) for user in HISTORIES[name]]) if HISTORIES[name] else None
    assert entry["ndcg@10"] == (None if expected is None else pytest.approx(expected))


def test_every_system_has_every_column_with_its_difference(case):
    assert list(case.result["by_history"]) == list(HISTORIES)
    assert all(set(entries) == set(case.result["systems"]) for entries in case.result["by_history"].values())
    entry = case.result["by_history"]["0"]["popularity"]
    assert entry["student_minus"]["ndcg@10_interval"][0] <= entry["student_minus"]["ndcg@10"]


def test_verdicts_and_rules_name_the_columns(case):
    columns = [name for name in case.result["verdicts"] if name.startswith("history=")]
    assert columns == ["history=0", "history=1", "history=3", "history=5+"]
    found = {finding["segment"]: finding for finding in case.result["decision"]["findings"]}
    assert {name: finding["users"] for name, finding in found.items()} == {
        "history=0": 2,
        "history=2": 0,
        "history=5+": 1,
    }
    assert found["history=2"]["verdict"] == "too few users" and not case.passed
