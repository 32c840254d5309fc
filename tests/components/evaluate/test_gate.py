"""May the student be deployed?"""

import pytest

from longtail.components.evaluate.gate import decide
from longtail.components.evaluate.settings import EvaluateSettings
from longtail.contracts.errors import UserError
from longtail.contracts.settings_base import from_json


def rival(minus: float, half: float) -> dict:
    return {"student_minus": {"ndcg@10": minus, "ndcg@10_interval": [minus - half, minus + half]}}


@pytest.mark.parametrize(
    ("minus", "half", "tolerance", "passed", "verdict"),
    [
        (0.02, 0.01, 0, True, "better than"),
        (-0.02, 0.03, 0, True, "not clearly different"),
        (-0.02, 0.01, 0, False, "worse than"),
        (-0.02, 0.01, 0.02, True, ""),
        (-0.04, 0.01, 0.02, False, "worse than"),
    ],
)
def test_gate_fails_where_the_student_is_significantly_worse(minus, half, tolerance, passed, verdict):
    settings = EvaluateSettings(gate_baselines=("tfidf",), gate_tolerance=tolerance)
    gate = decide({"student": {}, "tfidf": rival(minus, half)}, settings)
    assert gate["passed"] is passed
    assert len(gate["reasons"]) == 1 and "tfidf" in gate["reasons"][0] and verdict in gate["reasons"][0]


def test_gate_asks_of_a_champion_without_being_told():
    settings = EvaluateSettings(gate_baselines=())
    assert decide({"student": {}, "champion": rival(-0.2, 0.1)}, settings)["passed"] is False
    assert decide({"student": {}, "champion": rival(0.2, 0.1)}, settings)["passed"] is True
    assert decide({"student": {}, "tfidf": rival(-0.2, 0.1)}, settings)["passed"] is True


def test_a_baseline_that_does_not_exist_is_named_before_anything_runs():
    with pytest.raises(UserError, match=r"gate_baselines\.1.*'popularity'.*given: 'itemcf'"):
        from_json(EvaluateSettings, '{"gate_baselines": ["tfidf", "itemcf"]}')
