"""What a client may ask: checked strictly, refused with one clear message."""

import json
import math
from collections.abc import Iterable
from datetime import UTC, datetime
from typing import Annotated, Any

from pydantic import (
    BaseModel,
    ConfigDict,
    Discriminator,
    Field,
    StringConstraints,
    Tag,
    ValidationError,
    ValidationInfo,
    field_validator,
    model_validator,
)

from longtail.components.predict.private_logs import unquoted
from longtail.contracts.ids import canonical_id
from longtail.scoring.asked import Asked, Event, Explore, Filters, Likeness, Way
from longtail.system.kserve_sdk import kserve

InvalidInput = kserve.errors.InvalidInput

MAX_INSTANCES = 64  # a request; more belong into several requests
MAX_ATTRIBUTES = 10_000  # far above what one of the data's users has, as the limit below
MAX_INTERESTS = 2000  # characters
MAX_IDS = 10_000  # of candidates, and of what is excluded
MAX_SIMILAR = 100  # items that others are to be like
LONGEST_REFUSAL = 500  # characters
MAX_FILTERS = 100  # attributes, numbers or limits that are named in one place
INPUT_TENSOR = "request"

Text = Annotated[str, StringConstraints(min_length=1, max_length=10_000)]


def refused(message: str, told: str | None = None) -> Any:
    """An ``InvalidInput`` that answers can hold, whatever of the client's it quotes: one line of text, not endless.

    told: what the log says of it, with nothing that the client wrote; where left out, the message up to its first quotation mark.
    """
    line = " ".join(message.encode("utf-8", "backslashreplace").decode().split())
    printed = "".join(letter if letter.isprintable() else repr(letter)[1:-1] for letter in line)
    refusal: Any = InvalidInput(printed if len(printed) <= LONGEST_REFUSAL else f"{printed[: LONGEST_REFUSAL - 1]}…")
    refusal.told = unquoted(printed if told is None else told)
    return refusal


class _Part(BaseModel):
    model_config = ConfigDict(extra="forbid", strict=True, frozen=True)

    @field_validator("*", mode="before")
    @classmethod
    def _null_is_left_out(cls, given: Any, info: ValidationInfo) -> Any:
        for place, item in enumerate(given) if isinstance(given, list) else ():
            if item is None or (isinstance(item, str) and canonical_id(item) is None):
                raise ValueError(f"number {place} is {'null' if item is None else 'blank'}; leave it out")
        return cls.model_fields[str(info.field_name)].get_default() if given is None else given


class Bounds(_Part):
    """Of a number of items, both allowed."""

    min: float | None = Field(None, allow_inf_nan=False)
    max: float | None = Field(None, allow_inf_nan=False)

    @model_validator(mode="after")
    def _something_lies_between(self) -> "Bounds":
        if self.min is None and self.max is None:
            raise ValueError("give min, max or both")
        if self.min is not None and self.max is not None and self.min > self.max:
            raise ValueError(f"min {self.min:g} is above max {self.max:g}")
        return self


class ItemFilters(_Part):
    """What items must say of themselves."""

    all: list[Text] = Field([], max_length=MAX_FILTERS)
    any: list[Text] = Field([], max_length=MAX_FILTERS)
    none: list[Text] = Field([], max_length=MAX_FILTERS)
    ranges: dict[str, Bounds] = Field({}, max_length=MAX_FILTERS)


class Exploration(_Part):
    """How often what is not ranked first is shown."""

    epsilon: float | None = Field(None, ge=0, le=1)
    temperature: float | None = Field(None, ge=0.01, le=100)
    new_items: bool = False
    thompson: bool = False

    @model_validator(mode="after")
    def _one_of_three(self) -> "Exploration":
        if (self.epsilon is not None) + (self.temperature is not None) + self.thompson != 1:
            raise ValueError("give epsilon, temperature or thompson, one of the three")
        if self.new_items and self.epsilon is None:
            raise ValueError("new_items acts with epsilon")
        return self


class HistoryEvent(_Part):
    """That the user chose an item."""

    item_id: Text
    timestamp: float | str
    event: Text | None = None

    @field_validator("timestamp")
    @classmethod
    def _it_is_a_moment(cls, given: float | str) -> float:
        try:
            moment = datetime.fromisoformat(given).astimezone(UTC) if isinstance(given, str) else None
            zoned = not isinstance(given, str) or datetime.fromisoformat(given).tzinfo is not None
            seconds = moment.timestamp() if moment else float(given)
        except (ValueError, OverflowError):
            zoned, seconds = False, math.nan
        if not zoned or not math.isfinite(seconds):
            raise ValueError("give seconds since 1970, or a time with its zone such as 2026-11-28T09:30:00+01:00")
        return seconds


_ID, _EVENT = "<id>", "<event>"  # what pydantic puts into the place of a fault, and nobody wrote
_Chosen = Annotated[
    Annotated[Text, Tag(_ID)] | Annotated[HistoryEvent, Tag(_EVENT)],
    Discriminator(lambda given: _EVENT if isinstance(given, dict | HistoryEvent) else _ID),
]


class Instance(_Part):
    """One user. Every key may be left out; a user of whom nothing is known gets what newcomers like."""

    history: list[_Chosen] = []  # item ids, oldest first, or events; the recommender says how many are read
    attributes: list[Text] = Field([], max_length=MAX_ATTRIBUTES)  # ``name=value``, or an object of name: value
    context: list[Text] = Field([], max_length=MAX_ATTRIBUTES)  # of the moment, written as attributes are
    interests: str | None = Field(None, max_length=MAX_INTERESTS)
    k: int | None = Field(None, ge=1)
    similar_to: list[Text] = Field([], max_length=MAX_SIMILAR)  # item ids
    candidates: list[Text] | None = Field(None, max_length=MAX_IDS)  # item ids; null: the whole catalogue
    exclude: list[Text] = Field([], max_length=MAX_IDS)  # item ids
    filters: ItemFilters = ItemFilters()
    diversity: float = Field(0.0, ge=0, le=1)
    max_per: dict[str, Annotated[int, Field(ge=1)]] = Field({}, max_length=MAX_FILTERS)
    explore: Exploration | None = None
    explain: bool = True
    fold: bool = False
    diversity_by: Way = "mmr"
    diversity_on: Likeness | None = None

    def asked(self) -> Asked:
        filters, explore = self.filters, self.explore
        ranges = {name: (bounds.min, bounds.max) for name, bounds in filters.ranges.items()}
        apart = ("history", "filters", "explore")
        events = [Event(**vars(one)) for one in self.history if isinstance(one, HistoryEvent)]
        return Asked(
            **{name: getattr(self, name) for name in Instance.model_fields if name not in apart},
            history=events or [one for one in self.history if isinstance(one, str)],
            filters=Filters(filters.all, filters.any, filters.none, ranges),
            explore=Explore(**explore.model_dump()) if explore else None,
        )

    @field_validator("history")
    @classmethod
    def _ids_or_events(cls, given: list[str | HistoryEvent]) -> list[str | HistoryEvent]:
        if len({type(one) for one in given}) > 1:
            raise ValueError("holds ids and objects; give one of both, or it is not known what came first")
        return given

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
        raise refused('the body must be {"instances": [{"history": ["item id", ...], "k": 10}, ...]}')
    unknown = sorted(set(payload) - {"instances"})
    if unknown:
        raise refused(f"the body has the unknown key {unknown[0]!r}; it holds 'instances' alone")
    return _parse(payload["instances"], "instances")


def check_tensors(tensors: list[tuple[str, str]]) -> None:
    """Refuse others than the one that is read. tensors: name and datatype of each."""
    if tensors != [(INPUT_TENSOR, "BYTES")]:
        given = ", ".join(f"{name!r} of {datatype}" for name, datatype in tensors) or "none"
        raise refused(f"one input tensor named {INPUT_TENSOR!r} of datatype BYTES is needed; given: {given}")


def instances_of_v2(request: kserve.InferRequest) -> list[Instance]:
    """The instances of a V2 request: one BYTES tensor ``request``, a JSON object in each element."""
    check_tensors([(tensor.name, tensor.datatype) for tensor in request.inputs])
    try:
        elements = request.inputs[0].as_numpy().ravel()
    except Exception as error:  # noqa: BLE001  (numpy and struct raise many kinds on malformed bytes)
        told = f"{INPUT_TENSOR}: the data do not fit the shape"
        raise refused(f"{INPUT_TENSOR}: the data do not fit shape {request.inputs[0].shape} ({error})", told) from None
    return _parse([_json(f"{INPUT_TENSOR}[{row}]", element) for row, element in enumerate(elements)], INPUT_TENSOR)


def _json(place: str, text: Any) -> Any:
    try:
        return json.loads(text)
    except (ValueError, TypeError, RecursionError) as error:
        raise refused(f"{place} is not JSON: {error}", f"{place} is not JSON") from None


def _parse(rows: list[Any], source: str) -> list[Instance]:
    if not 1 <= len(rows) <= MAX_INSTANCES:
        raise refused(f"{source} holds {len(rows)} users; give 1 to {MAX_INSTANCES} in a request")
    instances = []
    for number, row in enumerate(rows):
        if not isinstance(row, dict):
            raise refused(
                f"{source}[{number}] is {'null' if row is None else f'a {type(row).__name__}'}; give an object such as {{'history': []}}"
            )
        try:
            instances.append(Instance.model_validate(row))
        except ValidationError as error:
            fault, place = error.errors()[0], f"{source}[{number}]"
            raise refused(explain(place, fault), tell(place, fault)) from None
    return instances


def explain(place: str, fault: Any) -> str:
    """What pydantic found wrong (one of ``errors()``), with where it is and what was given."""
    where = _written(fault["loc"])
    if fault["type"] == "extra_forbidden":
        of, known = _holder(where)
        return f"{place}{of} has the unknown key {where[-1]!r}; known: {', '.join(sorted(known))}"
    path = "".join(f"[{part}]" if isinstance(part, int) else f".{part}" for part in where)
    given = "" if isinstance(fault["input"], list | dict) else f" (given: {str(fault['input'])[:50]!r})"
    message = fault["msg"].removeprefix("Value error, ")
    return f"{place}{path}: {message[0].lower() + message[1:]}{given}"


def tell(place: str, fault: Any) -> str:
    """The place as far as its names are ours, and the kind of fault."""
    parts = (Instance, HistoryEvent, ItemFilters, Exploration, Bounds)
    known = {name for part in parts for name in part.model_fields}
    path = "".join(
        f"[{part}]" if isinstance(part, int) else f".{part if part in known else '…'}"
        for part in _written(fault["loc"])
    )
    return f"{place}{path}: {fault['type'].replace('_', ' ')}"


def _written(where: tuple[Any, ...]) -> tuple[Any, ...]:
    """Of the place of a fault what the client wrote; ``float`` and ``str`` are the kinds of a timestamp."""
    kept = tuple(part for part in where if part not in (_ID, _EVENT))
    return kept[:-1] if kept[-2:-1] == ("timestamp",) else kept


def _holder(where: tuple[Any, ...]) -> tuple[str, Iterable[str]]:
    """The object in which an unknown key stands, and the keys that it may have."""
    if len(where) == 1:
        return "", Instance.model_fields
    if where[0] == "history":
        return f".history[{where[1]}]", HistoryEvent.model_fields
    part = Exploration if where[0] == "explore" else ItemFilters if len(where) == 2 else Bounds
    return "." + ".".join(map(str, where[:-1])), part.model_fields
