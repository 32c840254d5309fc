"""Whatever a client sends is answered or refused with its place: nothing fails inside."""

import asyncio
import json

import orjson
import pytest
from helpers_hand_bundle import write_hand_bundle
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from longtail.components.predict.model import RecommendationModel
from longtail.components.predict.request import LONGEST_REFUSAL, InvalidInput

ATTRIBUTES = (("lamp", "brand: Lux"), ("lamp", "brand: Sol"), ("chair",), ("chair", "brand: Lux", "oak"))
PRICES = {"price": [19.99, 5, None, 40]}


@pytest.fixture(scope="module")
def model(tmp_path_factory):
    path = tmp_path_factory.mktemp("any") / "bundle"
    model = RecommendationModel("shop", write_hand_bundle(path, attributes=ATTRIBUTES, numbers=PRICES))
    model.load()
    return model


anything = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=8),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=8), inner, max_size=3),
    max_leaves=6,
)
ids = st.lists(st.sampled_from(["a", "b", "c", "d", "z", " a ", "\x00", "ä", "\ud800", "x\ny"]), max_size=4)
words = st.lists(st.sampled_from(["lamp", "chair", "oak", "brand: Lux", "brand", "y"]), max_size=2)
numbers = st.none() | st.integers(-5, 50) | st.floats()
bounds = st.fixed_dictionaries({}, optional={"min": numbers, "max": numbers})
filters = st.fixed_dictionaries(
    {},
    optional={
        "all": words,
        "any": words,
        "none": words,
        "ranges": st.dictionaries(st.sampled_from(["price", "x"]), bounds),
    },
)
sound = {
    "history": ids,
    "attributes": st.lists(st.sampled_from(["gender=F", "age=3", "", "x"]), max_size=2)
    | st.dictionaries(st.sampled_from(["gender", "age"]), st.text(max_size=3) | st.integers(), max_size=2),
    "context": st.dictionaries(st.sampled_from(["occasion"]), st.sampled_from(["party", 3]), max_size=1),
    "interests": st.sampled_from(["red lamp", "lamp and chair, not red", "?!", " ", "\x00"]) | st.text(max_size=12),
    "k": st.integers(-1, 6),
    "similar_to": ids,
    "candidates": ids,
    "exclude": ids,
    "filters": filters,
    "diversity": st.floats(-0.1, 1.1),
    "explore": st.fixed_dictionaries(
        {}, optional={"epsilon": st.floats(-0.1, 1.1), "temperature": st.floats(0, 9), "new_items": st.booleans()}
    ),
    "max_per": st.dictionaries(st.sampled_from(["brand", "lamp", "y", "", "\udfff"]), st.integers(-1, 3), max_size=2),
}
instance = st.fixed_dictionaries({}, optional={key: value | st.none() for key, value in sound.items()})
wild = st.fixed_dictionaries({}, optional={**dict.fromkeys(sound, anything), "other": anything, "\ud800\n": anything})
body = (
    st.fixed_dictionaries({"instances": st.lists(instance, min_size=1, max_size=3)})
    | st.fixed_dictionaries({"instances": st.lists(wild, max_size=2) | anything})
    | anything
)


@settings(max_examples=3000, deadline=None, suppress_health_check=list(HealthCheck))
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
        given_ids = [item["item_id"] for item in prediction["items"]]
        assert len(set(given_ids)) == len(given_ids)
        out = {name.strip() for key in ("history", "exclude", "similar_to") for name in one.get(key) or []}
        assert not out & set(given_ids)
        wanted = one.get("k") or 4
        assert (prediction["fewer_than_k"] is not None) == (len(given_ids) < wanted)
