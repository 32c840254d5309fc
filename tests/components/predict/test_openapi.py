"""/openapi.json of the real server: every key is described, and examples and answers are as it says."""

import json

import jsonschema
import pytest
from fastapi import FastAPI
from helpers_hand_bundle import write_hand_bundle
from helpers_questions import ATTRIBUTES, PRICES, answerable, instance, wild
from hypothesis import given, settings
from pydantic import ValidationError

from longtail.components.deploy.local_server import running_server
from longtail.components.predict.client import ask
from longtail.components.predict.openapi import PREDICT, describe, schemas
from longtail.components.predict.request import Instance
from longtail.contracts.errors import UserError
from longtail.system.http import call

OWN = schemas()


def faults(name, document, of=OWN):
    schema = {"$ref": f"#/components/schemas/{name}", "components": {"schemas": of}}
    return [error.message for error in jsonschema.Draft202012Validator(schema).iter_errors(document)]


@pytest.fixture(scope="module")
def server(tmp_path_factory):
    bundle = write_hand_bundle(tmp_path_factory.mktemp("told") / "bundle", attributes=ATTRIBUTES, numbers=PRICES)
    with running_server(bundle, "shop", 60, tmp_path_factory.mktemp("log") / "server.log") as handle:
        yield handle


@pytest.fixture(scope="module")
def told(server):
    return call(f"{server.url}/openapi.json")


def test_the_server_tells_what_it_may_be_asked(told):
    assert told["openapi"].startswith("3.1")  # whose schemas are JSON Schema 2020-12
    operation = told["paths"][PREDICT]["post"]
    asked = operation["requestBody"]["content"]["application/json"]["schema"]
    answered = operation["responses"]["200"]["content"]["application/json"]["schema"]
    assert asked == {"$ref": "#/components/schemas/Questions"}
    assert answered == {"$ref": "#/components/schemas/Answers"}
    assert told["components"]["schemas"].items() >= OWN.items()
    assert {"/v2/models/{model_name}/infer", "/v2/models/{model_name}/ready"} <= told["paths"].keys()


def test_every_key_is_described():
    jsonschema.Draft202012Validator.check_schema({"$defs": OWN})
    assert OWN["Instance"]["properties"].keys() == Instance.model_fields.keys()
    assert len(OWN) == 10
    for name, schema in OWN.items():
        assert schema["description"], name
        for key, said in schema["properties"].items():
            assert said["description"].endswith("."), (name, key)


def test_every_example_is_answered_as_told(server, told):
    operation = told["paths"][PREDICT]["post"]
    examples = operation["requestBody"]["content"]["application/json"]["examples"]
    used = set()
    for example in examples.values():
        assert example["summary"] and not faults("Questions", example["value"])
        answers = ask(server.url, "shop", example["value"]["instances"])
        assert all(answer["items"] for answer in answers)
        assert not faults("Answers", {"predictions": answers})
        used |= {key for one in example["value"]["instances"] for key in one}
    assert used == Instance.model_fields.keys()


def test_the_example_of_an_answer_is_the_servers_own(server, told):
    shown = told["paths"][PREDICT]["post"]["responses"]["200"]["content"]["application/json"]["example"]
    assert not faults("Answers", shown)
    (given,) = call(
        f"{server.url}/v1/models/shop:predict",
        {"instances": [{"history": ["a", "z"], "k": 1}]},
        headers={"X-Request-Id": "order-7"},
    )["predictions"]
    (example,) = shown["predictions"]
    assert given | {"bundle_version": ""} == example | {"bundle_version": ""}


def test_a_refusal_is_as_told(server):
    with pytest.raises(UserError, match="input should be greater"):
        ask(server.url, "shop", [{"k": 0}])
    assert faults("Questions", {"instances": [{"k": 0}]})
    assert faults("Questions", {"instances": [{"user": "u"}]})
    assert faults("Questions", {"instances": []})


@settings(max_examples=500)
@given(instance | wild | answerable)
def test_what_the_server_takes_is_allowed_by_the_schema(asked):
    try:
        Instance.model_validate(json.loads(json.dumps(asked)))
    except ValidationError:
        return
    assert not faults("Instance", asked)


def test_the_document_is_made_once():
    app = FastAPI()
    app.add_api_route(PREDICT, lambda model_name: None, methods=["POST"])
    describe(app)
    assert app.openapi() is app.openapi()
