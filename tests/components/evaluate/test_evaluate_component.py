"""The KFP component of the stage."""

import json

import pytest
from helpers_evaluate_case import QUICK, Case

from longtail.components.evaluate.component import evaluate as component


@pytest.fixture(scope="module")
def case(tmp_path_factory):
    found = Case(tmp_path_factory.mktemp("evaluation"))
    found.run()
    return found


def test_component_hands_over_paths_and_the_gate(tmp_path, case):
    from kfp import dsl

    evaluation, metrics = dsl.Artifact(uri=str(tmp_path / "evaluation")), dsl.Metrics(uri=str(tmp_path / "metrics"))
    returned = component.python_func(
        dsl.Dataset(uri=str(case.prepared)),
        dsl.Model(uri=str(case.teacher)),
        dsl.Model(uri=str(case.bundle)),
        QUICK.canonical(),
        3,
        "",
        "",
        "",
        evaluation,
        metrics,
    )
    assert (returned if isinstance(returned, bool) else returned[0]) is case.passed
    assert json.loads((tmp_path / "evaluation/evaluation.json").read_text()) == case.result
    assert metrics.metadata and all(isinstance(value, float) for value in metrics.metadata.values())


def test_component_reports_a_users_fault(tmp_path, case, capsys):
    from kfp import dsl

    output = dsl.Artifact(uri=str(tmp_path / "evaluation"))
    paths = (dsl.Dataset(uri=str(case.prepared)), dsl.Model(uri=str(case.teacher)), dsl.Model(uri=str(case.bundle)))
    with pytest.raises(SystemExit) as stopped:
        component.python_func(*paths, '{"cutofs": [5]}', 3, "", "", "", output, dsl.Metrics(uri=str(tmp_path / "m")))
    assert stopped.value.code == 2
    assert "there is no setting 'cutofs'" in capsys.readouterr().err
