"""What a client may ask: checked strictly, refused with one clear message."""

import json
from typing import Annotated, Any

from pydantic import BaseModel, ConfigDict, Field, StringConstraints, ValidationError, field_validator

from longtail.contracts.ids import canonical_id
from longtail.system.kserve_sdk import kserve

InvalidInput = kserve.errors.InvalidInput

MAX_INSTANCES = 64  # a request; more belong into several requests
MAX_ATTRIBUTES = 10_000  # far above what one of the data's users has, as the limit below
MAX_INTERESTS = 2000  # characters
INPUT_TENSOR = "request"

Text = Annotated[str, StringConstraints(min_length=1, max_length=10_000)]


class Instance(BaseModel):
    """One user. Every key may be left out; a user of whom nothing is known gets what newcomers like."""

    model_config = ConfigDict(extra="forbid", strict=True, frozen=True)

    history: list[Text] = []  # item ids, oldest first; the recommender says how many are read
    attributes: list[Text] = Field([], max_length=MAX_ATTRIBUTES)  # ``name=value``, or an object of name: value
    context: list[Text] = Field([], max_length=MAX_ATTRIBUTES)  # of the moment, written as attributes are
    interests: str | None = Field(None, max_length=MAX_INTERESTS)
    k: int | None = Field(None, ge=1)

    @field_validator("history", "attributes", "context", mode="before")
    @classmethod
    def _null_is_left_out(cls, given: Any) -> Any:
        for place, item in enumerate(given) if isinstance(given, list) else ():
            if item is None or (isinstance(item, str) and canonical_id(item) is None):
                raise ValueError(f"number {place} is {'null' if item is None else 'blank'}; leave it out")
        return [] if given is None else given

    @field_validator("attributes", "context", mode="before")
    @classmethod
    def _object_becomes_list(cls, given: Any) -> Any:
        if not isinstance(given, dict):
            return given
        return [f"{name}={_value(name, value)}" for name, value in given.items()]

    @field_validator("interests")
    @classmethod
    def _blank_is_none(cls, given: str | None) -> str | None:
        return given if given and given.strip() else None


def _value(name: str, value: Any) -> str:
    """An attribute's value as preprocess writes it: 2.0 is 2."""
    if value is None or (isinstance(value, str) and not value.strip()):
        raise ValueError(f"{name} is {'null' if value is None else 'blank'}; leave it out")
    if isinstance(value, bool) or not isinstance(value, str | int | float) or canonical_id(value) is None:
        raise ValueError(f"{name} must be a text or a number")
    return value if isinstance(value, str) else str(canonical_id(value))


def instances_of_v1(payload: Any) -> list[Instance]:
    """The instances of a V1 body ``{"instances": [...]}``, also of one sent without a JSON content type."""
    if isinstance(payload, bytes):
        payload = _json("the body", payload)
    if not isinstance(payload, dict) or not isinstance(payload.get("instances"), list):
        raise InvalidInput('the body must be {"instances": [{"history": ["item id", ...], "k": 10}, ...]}')
    unknown = sorted(set(payload) - {"instances"})
    if unknown:
        raise InvalidInput(f"the body has the unknown key {unknown[0]!r}; it holds 'instances' alone")
    return _parse(payload["instances"], "instances")


def instances_of_v2(request: kserve.InferRequest) -> list[Instance]:
    """The instances of a V2 request: one BYTES tensor ``request``, a JSON object in each element."""
    names = [tensor.name for tensor in request.inputs]
    if names != [INPUT_TENSOR] or request.inputs[0].datatype != "BYTES":
        raise InvalidInput(
            f"one input tensor named {INPUT_TENSOR!r} of datatype BYTES is needed; given: "
            + (", ".join(f"{tensor.name!r} of {tensor.datatype}" for tensor in request.inputs) or "none")
        )
    try:
        elements = request.inputs[0].as_numpy().ravel()
    except Exception as error:  # noqa: BLE001  (numpy and struct raise many kinds on malformed bytes)
        raise InvalidInput(f"{INPUT_TENSOR}: the data do not fit shape {request.inputs[0].shape} ({error})") from None
    return _parse([_json(f"{INPUT_TENSOR}[{row}]", element) for row, element in enumerate(elements)], INPUT_TENSOR)


def _json(place: str, text: Any) -> Any:
    try:
        return json.loads(text)
    except (ValueError, TypeError, RecursionError) as error:
        raise InvalidInput(f"{place} is not JSON: {error}") from None


def _parse(rows: list[Any], source: str) -> list[Instance]:
    if not 1 <= len(rows) <= MAX_INSTANCES:
        raise InvalidInput(f"{source} holds {len(rows)} users; give 1 to {MAX_INSTANCES} in a request")
    instances = []
    for number, row in enumerate(rows):
        if not isinstance(row, dict):
            raise InvalidInput(
                f"{source}[{number}] is {'null' if row is None else f'a {type(row).__name__}'}; give an object such as {{'history': []}}"
            )
        try:
            instances.append(Instance.model_validate(row))
        except ValidationError as error:
            raise InvalidInput(_explain(f"{source}[{number}]", error.errors()[0])) from None
    return instances


def _explain(place: str, fault: Any) -> str:
    key, *more = fault["loc"]
    if fault["type"] == "extra_forbidden":
        return f"{place} has the unknown key {key!r}; known: {', '.join(sorted(Instance.model_fields))}"
    index = f"[{more[0]}]" if more else ""
    given = "" if isinstance(fault["input"], list | dict) else f" (given: {str(fault['input'])[:50]!r})"
    message = fault["msg"].removeprefix("Value error, ")
    return f"{place}.{key}{index}: {message[0].lower() + message[1:]}{given}"
