"""The numbers that the alerts of manifests/overlays/production are about."""

import asyncio
import itertools
import time
from typing import get_args

import pytest
from helpers_hand_bundle import write_dated_bundle, write_hand_bundle
from kserve.errors import InvalidInput
from prometheus_client import REGISTRY

from longtail.components.predict.model import RecommendationModel
from longtail.components.predict.monitoring import PHASES
from longtail.contracts.segments import SEGMENTS
from longtail.scoring.reasons import Source


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


def answers(model):
    return {
        (segment, degraded): value("longtail_answers_total", model, segment=segment, degraded=degraded)
        for segment in SEGMENTS
        for degraded in ("yes", "no")
    }


def told(counts):
    return {key: count for key, count in counts.items() if count}


def series(model):
    return {
        (sample.name, *sample.labels.items())
        for metric in REGISTRY.collect()
        for sample in metric.samples
        if sample.labels.get("model_name") == model.name
    }


def test_every_series_is_there_from_the_start(model):
    assert outcomes(model) == (0, 0, 0)
    assert answers(model) == dict.fromkeys(itertools.product(SEGMENTS, ("yes", "no")), 0)
    assert all(value("longtail_items_total", model, source=source) == 0 for source in get_args(Source))
    assert all(value("longtail_phase_seconds_count", model, phase=phase) == 0 for phase in PHASES)
    assert value("longtail_fewer_than_k_total", model) == value("longtail_first_score_count", model) == 0


def test_requests_are_counted_by_whose_fault_they_were(model, monkeypatch):
    ask(model, {}, {"history": ["a"]})
    with pytest.raises(InvalidInput):
        ask(model, {"k": 0})
    monkeypatch.setattr(model._service.now.recommender, "answers", lambda *_: 1 / 0)
    with pytest.raises(RuntimeError):
        ask(model, {})
    assert outcomes(model) == (1, 1, 1)
    assert sum(answers(model).values()) == 2


def test_an_answer_is_degraded_when_nothing_of_the_history_is_known(model):
    ask(model, {"history": ["gone", "away"]}, {"history": ["a", "gone"]}, {"history": []})
    assert told(answers(model)) == {("cold", "yes"): 1, ("tail", "no"): 1, ("cold", "no"): 1}


def test_answers_are_counted_by_segment(model):
    ask(model, {}, {"history": ["a"]}, {"history": ["a"] * 5}, {"history": ["a", "b", "c"] * 20})
    assert told(answers(model)) == {(segment, "no"): 1 for segment in ("cold", "tail", "torso", "head")}


def test_items_are_counted_by_what_brought_them(model):
    """After a: b and c are chosen after it, d fits the history as a whole; newcomers get what is popular."""
    ask(model, {"history": ["a"], "k": 3}, {"k": 2})
    sources = {source: value("longtail_items_total", model, source=source) for source in get_args(Source)}
    assert told(sources) == {"co-occurrence": 2, "history": 1, "popularity": 2}


def test_the_first_score_is_in_its_bucket(model):
    """1.05 after a and 2.1 of a newcomer (test_scorer); an empty answer has none."""
    ask(model, {"history": ["a"]}, {}, {"candidates": []})
    buckets = {le: value("longtail_first_score_bucket", model, le=le) for le in ("0.0", "2.0", "4.0", "+Inf")}
    assert buckets == {"0.0": 0, "2.0": 1, "4.0": 2, "+Inf": 2}
    assert value("longtail_first_score_sum", model) == pytest.approx(1.05 + 2.1)


def test_who_gets_fewer_than_asked_for_is_counted(model):
    ask(model, {"candidates": ["a"], "k": 2}, {"k": 4}, {"history": ["a"], "k": 3}, {"history": ["a"], "k": 4})
    assert value("longtail_fewer_than_k_total", model) == 2


def test_the_phases_of_a_served_request_add_up(model, monkeypatch):
    """By a clock that goes a second further at each look."""
    seconds = itertools.count()
    monkeypatch.setattr(time, "perf_counter", lambda: float(next(seconds)))
    ask(model, {})
    spent = {phase: value("longtail_phase_seconds_sum", model, phase=phase) for phase in PHASES}
    assert spent == {"reading": 1, "waiting": 1, "scoring": 1, "whole": 4}
    with pytest.raises(InvalidInput):
        ask(model, {"k": 0})
    assert all(value("longtail_phase_seconds_count", model, phase=phase) == 1 for phase in PHASES)


def test_labels_are_of_what_was_known_before(model):
    """Nothing that a client sends becomes a series."""
    before = series(model)
    ask(model, {"history": ["x y", "a"], "interests": None, "attributes": ["new=1"], "explore": {"epsilon": 1}})
    assert series(model) == before


def test_the_age_of_the_data_is_the_bundles(tmp_path, request):
    dated = write_dated_bundle(tmp_path / "dated", 1735689600, tmp_path / "bundle")
    model = RecommendationModel(request.node.name, dated)
    model.load()
    assert value("longtail_data_until_timestamp_seconds", model) == 1735689600


def test_a_bundle_that_does_not_say_has_no_age(model):
    assert value("longtail_data_until_timestamp_seconds", model) is None
