"""Every setting of evaluate changes what is measured or decided: none is there for nothing."""

from typing import Any

import pytest
from helpers_evaluate_case import Case
from helpers_settings import settings_with

from longtail.components.evaluate.settings import DEFAULT_RULES, EvaluateSettings, Rule
from longtail.contracts.settings_base import leaves

pytestmark = pytest.mark.slow  # they run the stage for every setting

RULE: dict[str, Any] = {"must_be": "not_worse", "than": "tfidf"}
BASE: dict[str, Any] = {"bootstrap_samples": 100, "gate_min_users": 5, "gate_rules": [RULE]}
CHANGES: dict[str, Any] = {  # setting -> its changed value
    "cutoffs": [3],
    "revealed": [0, 2],
    "bootstrap_samples": 150,
    "confidence": 0.8,
    "gate_rules": [{"must_be": "better", "than": "popularity"}],
    "gate_margin": 77.0,
    "gate_min_users": 10_000,
}
OF_A_RULE: dict[str, tuple[dict[str, Any], Any]] = {  # of a rule -> the others beside it, and its changed value
    "must_be": ({}, "better"),
    "than": ({}, "popularity"),
    "among": ({}, "tail"),
    "metric": ({}, "recall@10"),
    "margin": ({}, 77.0),
    "if_absent": ({"than": "incumbent"}, "skip"),
    "needs_attributes": ({}, True),
}


def test_no_setting_is_forgotten() -> None:
    assert set(CHANGES) == set(leaves(EvaluateSettings))
    assert set(OF_A_RULE) == set(leaves(Rule))
    assert len(DEFAULT_RULES) > 1


@pytest.fixture(scope="module")
def case(tmp_path_factory: pytest.TempPathFactory) -> Case:
    return Case(tmp_path_factory.mktemp("evaluate"), user_attributes=[])


def measured(case: Case, **changes: Any) -> dict[str, Any]:
    """evaluation.json, without the settings and their digest."""
    case.settings = settings_with(EvaluateSettings, BASE, changes)
    result = case.run(f"evaluation{len(list(case.folder.iterdir()))}")
    del result["decision"]["settings"]
    stated = set(changes) & {"bootstrap_samples", "confidence", "cutoffs"}
    return {name: value for name, value in result.items() if name not in stated}


def test_the_same_settings_measure_the_same(case: Case) -> None:
    assert measured(case) == measured(case)


@pytest.mark.parametrize("setting", CHANGES)
def test_a_changed_setting_changes_what_is_measured_or_decided(case: Case, setting: str) -> None:
    before = measured(case)
    after = measured(case, **{setting: CHANGES[setting]})
    assert {name: before[name] for name in after} != after


@pytest.mark.parametrize("part", OF_A_RULE)
def test_a_changed_part_of_a_rule_changes_the_decision(case: Case, part: str) -> None:
    beside, value = OF_A_RULE[part]
    before = measured(case, gate_rules=[RULE | beside])["decision"]
    assert before != measured(case, gate_rules=[RULE | beside | {part: value}])["decision"]
