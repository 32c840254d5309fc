"""Whatever a client sends is answered or refused with its place: nothing fails inside."""

import asyncio
import json

import orjson
import pytest
from helpers_hand_bundle import write_hand_bundle
from helpers_questions import ATTRIBUTES, PRICES, body, check_answer
from hypothesis import HealthCheck, given, settings

from longtail.components.predict.model import RecommendationModel
from longtail.components.predict.request import LONGEST_REFUSAL, InvalidInput


@pytest.fixture(scope="module")
def model(tmp_path_factory):
    path = tmp_path_factory.mktemp("any") / "bundle"
    model = RecommendationModel("shop", write_hand_bundle(path, attributes=ATTRIBUTES, numbers=PRICES))
    model.load()
    return model


@pytest.mark.slow
@settings(max_examples=3000, suppress_health_check=list(HealthCheck))
@given(body)
def test_every_body_is_answered_or_refused(model, asked):
    try:
        answer = asyncio.run(model.predict(json.loads(json.dumps(asked))))
    except InvalidInput as refusal:
        assert str(refusal).isprintable() and len(str(refusal)) <= LONGEST_REFUSAL
        return
    predictions = answer["predictions"]
    assert len(predictions) == len(asked["instances"])
    orjson.dumps(predictions)  # as kserve writes it; not every text of Python can be written
    for prediction, one in zip(predictions, asked["instances"]):
        check_answer(prediction, one)
