"""The numbers that the alerts of manifests/overlays/production are about."""

import asyncio
import json

import pytest
from helpers_hand_bundle import write_hand_bundle
from kserve.errors import InvalidInput
from prometheus_client import REGISTRY

from longtail.components.predict.model import RecommendationModel
from longtail.contracts.artifacts import BUNDLE, write_artifact


@pytest.fixture
def model(tmp_path, request):
    """Named after the test, since the process has one registry."""
    model = RecommendationModel(request.node.name, write_hand_bundle(tmp_path / "bundle", text=False))
    model.load()
    return model


def ask(model, *instances):
    return asyncio.run(model.predict({"instances": list(instances)}))


def value(name, model, **labels):
    return REGISTRY.get_sample_value(name, {"model_name": model.name, **labels})


def outcomes(model):
    return tuple(
        value("longtail_requests_total", model, outcome=outcome) for outcome in ("served", "refused", "failed")
    )


def test_every_series_is_there_from_the_start(model):
    assert outcomes(model) == (0, 0, 0)
    assert value("longtail_answers_total", model) == 0
    assert value("longtail_degraded_answers_total", model) == 0


def test_requests_are_counted_by_whose_fault_they_were(model, monkeypatch):
    ask(model, {}, {"history": ["a"]})
    with pytest.raises(InvalidInput):
        ask(model, {"k": 0})
    monkeypatch.setattr(model._recommender, "answers", lambda *_: 1 / 0)
    with pytest.raises(RuntimeError):
        ask(model, {})
    assert outcomes(model) == (1, 1, 1)
    assert value("longtail_answers_total", model) == 2


def test_an_answer_is_degraded_when_nothing_of_the_history_is_known(model):
    ask(model, {"history": ["gone", "away"]}, {"history": ["a", "gone"]}, {"history": []})
    assert value("longtail_degraded_answers_total", model) == 1


def test_the_age_of_the_data_is_the_bundles(tmp_path, request):
    bundle = write_hand_bundle(tmp_path / "bundle")
    facts = json.loads((bundle / "manifest.json").read_text())["facts"]
    dated = tmp_path / "dated"
    with write_artifact(dated, BUNDLE, facts | {"data_until": 1735689600}) as folder:
        for file in bundle.iterdir():
            if file.name != "manifest.json":
                (folder / file.name).write_bytes(file.read_bytes())
    model = RecommendationModel(request.node.name, dated)
    model.load()
    assert value("longtail_data_until_timestamp_seconds", model) == 1735689600


def test_a_bundle_that_does_not_say_has_no_age(model):
    assert value("longtail_data_until_timestamp_seconds", model) is None
