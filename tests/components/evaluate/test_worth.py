"""A student that reads attributes in a known way, so that what each is worth follows by hand."""

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from helpers_prepared import write_tiny_prepared

from longtail.components.evaluate import worth
from longtail.components.evaluate.measure import Measured, measure_test
from longtail.components.evaluate.settings import EvaluateSettings
from longtail.components.evaluate.worth import Exchanged, measure_worth
from longtail.contracts.prepared import PreparedDataset, Split
from longtail.scoring.query import Query

N_USERS, N_ITEMS, SEED = 200, 30, 3
SETTINGS = EvaluateSettings(bootstrap_samples=200)
CHOSEN = {"gender=F": 0, "gender=M": 1, "day=sunday": 0, "day=monday": 1}
# exchanged, the target shares places 2 to 30 with 28 other items at random: only places 2 to 10 count
LOST = 1 - sum(1 / np.log2(1 + place) for place in range(2, 11)) / 29


class Reads:
    """Puts first what its attribute or context says; whoever has shoe=a is shown item 9 before it."""

    def __init__(self, field: str) -> None:
        self.field = field
        self.lengths: set[int] = set()

    def score(self, queries: Sequence[Query]) -> np.ndarray:
        scores = np.zeros((len(queries), N_ITEMS), np.float32)
        for row, query in enumerate(queries):
            self.lengths.add(len(query.history))
            for name in getattr(query, self.field):
                if name in CHOSEN:
                    scores[row, CHOSEN[name]] = 1
            scores[row, 9] = 2 * ("shoe=a" in query.attributes)
        return scores


def measured(folder: Path, student: Reads, *, history: bool = False) -> Measured:
    """Users whose target is item 0 (even ones) or 1; their attributes and contexts say so, their shoes do not."""
    before = [(20, 5, Split.TRAIN)] if history else []
    users = [[*before, (user % 2, 25, Split.TEST), (15, 26, Split.TEST)] for user in range(N_USERS)]
    data = PreparedDataset(write_tiny_prepared(folder, users, n_items=N_ITEMS, protocol="global_time"))
    shoes = np.random.default_rng(0).integers(2, size=N_USERS)
    data.user_attributes = [[("gender=F", "gender=M")[u % 2], ("shoe=a", "shoe=b")[shoes[u]]] for u in range(N_USERS)]
    data.facts |= {"user_attributes": ["gender=F", "gender=M", "shoe=a", "shoe=b"]}
    test = measure_test({"student": student}, data, SETTINGS, SEED)
    days = [[("day=sunday", "day=monday")[user % 2]] for user in range(N_USERS)]
    return replace(test, targets=replace(test.targets, contexts=days))


def by_name(found: list[dict]) -> dict[tuple[str, str], dict]:
    return {(entry["column"], entry["group"]): entry for entry in found}


def test_an_attribute_that_decides_the_choice_helps_and_a_random_one_is_unclear(tmp_path):
    student = Reads("attributes")
    found = by_name(measure_worth(student, measured(tmp_path / "data", student), SETTINGS, SEED))
    assert set(found) == {("gender", "cold"), ("shoe", "cold"), ("gender", "all"), ("shoe", "all")}
    gender, shoe = found["gender", "cold"], found["shoe", "cold"]
    assert (gender["kind"], gender["users"], gender["verdict"]) == ("user attribute", N_USERS, "helps")
    assert gender["interval"][0] < gender["loss"] < gender["interval"][1]
    assert shoe["verdict"] == "unclear" and abs(shoe["loss"]) < 0.05
    assert shoe["interval"][0] < 0 < shoe["interval"][1]


def test_loss_is_that_of_the_users_who_get_another_value(tmp_path):
    student = Reads("attributes")
    test = measured(tmp_path / "data", student)
    test.data.user_attributes = [known[:1] for known in test.data.user_attributes]  # no shoes
    giver = np.random.default_rng(SEED).permutation(N_USERS)
    changed = np.mean(giver % 2 != np.arange(N_USERS) % 2)
    found = by_name(measure_worth(student, test, SETTINGS, SEED))
    assert 0.3 < changed < 0.7
    assert found["gender", "cold"]["loss"] == pytest.approx(changed * LOST)
    assert found["gender", "all"]["loss"] == pytest.approx(changed * LOST)
    assert found["shoe", "all"]["loss"] == 0 and found["shoe", "all"]["verdict"] == "unclear"


def test_what_misleads_the_student_harms(tmp_path):
    student = Reads("attributes")
    test = measured(tmp_path / "data", student)
    test.data.user_attributes = [[("gender=M", "gender=F")[user % 2]] for user in range(N_USERS)]
    assert by_name(measure_worth(student, test, SETTINGS, SEED))["gender", "cold"]["verdict"] == "harms"


def test_columns_of_context_are_exchanged_too(tmp_path):
    student = Reads("context")
    test = measured(tmp_path / "data", student)
    test.data.facts |= {"context": ["day=monday", "day=sunday"]}
    found = by_name(measure_worth(student, test, SETTINGS, SEED))
    assert (found["day", "cold"]["kind"], found["day", "cold"]["verdict"]) == ("context", "helps")
    assert found["gender", "cold"]["loss"] == 0


def test_everybody_is_asked_without_a_history_where_too_few_are_cold(tmp_path):
    student = Reads("attributes")
    test = measured(tmp_path / "data", student, history=True)
    student.lengths.clear()
    found = measure_worth(student, test, SETTINGS, SEED)
    assert [entry["group"] for entry in found] == ["k=0", "k=0", "all", "all"]
    assert student.lengths == {0, 1}


def test_at_most_so_many_users_are_asked(tmp_path, monkeypatch):
    student = Reads("attributes")
    test = measured(tmp_path / "data", student)
    monkeypatch.setattr(worth, "MOST_USERS", {"cold": 90, "all": 60})
    found = by_name(measure_worth(student, test, SETTINGS, SEED))
    assert (found["gender", "cold"]["users"], found["gender", "all"]["users"]) == (90, 60)
    assert found == by_name(measure_worth(student, test, SETTINGS, SEED))


def test_nothing_is_measured_where_nothing_is_known(tmp_path):
    student = Reads("attributes")
    test = measured(tmp_path / "data", student)
    test.data.facts |= {"user_attributes": []}
    assert measure_worth(student, test, SETTINGS, SEED) == []


def test_other_columns_stay_and_a_missing_value_is_handed_on():
    told = []

    class Listens:
        def score(self, queries: Sequence[Query]) -> np.ndarray:
            told.extend(queries)
            return np.zeros((len(queries), 1), np.float32)

    query = Query(np.zeros(0, np.int32), ["age=30", "city=Bonn"], user=7)
    Exchanged(Listens(), "attributes", "age", {7: ["age=50"]}).score([query])
    Exchanged(Listens(), "attributes", "age", {7: []}).score([query])
    Exchanged(Listens(), "attributes", "age", {7: ["age=30"]}).score([query])
    assert [list(one.attributes) for one in told] == [["city=Bonn", "age=50"], ["city=Bonn"], ["age=30", "city=Bonn"]]
    assert told[2] is query
