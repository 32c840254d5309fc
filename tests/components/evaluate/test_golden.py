"""The answers that deploy compares with the served ones."""

import json

import numpy as np
import pytest
from helpers_evaluate_case import Case
from helpers_prepared import leave_last_out

from longtail.scoring.recommender import Recommender


@pytest.fixture(scope="module")
def case(tmp_path_factory):
    found = Case(tmp_path_factory.mktemp("evaluation"))
    found.run()
    return found


def test_golden_answers_are_the_students_over_all_segments(case):
    golden = json.loads(case.artifact.file("golden.json").read_text())
    recommender = Recommender.load(case.bundle)
    lengths = [len(user["history"]) for user in golden]
    assert 0 in lengths and any(1 <= n <= 4 for n in lengths) and any(5 <= n <= 9 for n in lengths)
    for user in golden:
        answer = recommender.recommend(user["history"], user["attributes"], k=10)
        assert user["expected"] == [item.item_id for item in answer.items]
        np.testing.assert_allclose(user["scores"], [item.score for item in answer.items], rtol=1e-5)


def test_golden_answers_without_history_where_nobody_is_cold(tmp_path):
    case = Case(tmp_path, [leave_last_out([user, 9, user + 10, user + 20]) for user in range(8)])
    case.run()
    golden = json.loads(case.artifact.file("golden.json").read_text())
    assert [len(user["history"]) for user in golden] == [0, 0, 0, 0, 3, 3, 3, 3]
