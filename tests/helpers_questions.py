"""Questions that a client may send, sound and not, and what must hold of every answer and refusal."""

import json
import math
import re
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

from hypothesis import strategies as st

from longtail.components.predict.request import LONGEST_REFUSAL

ATTRIBUTES = (("lamp", "brand: Lux"), ("lamp", "brand: Sol"), ("chair",), ("chair", "brand: Lux", "oak"))
PRICES = {"price": [19.99, 5, None, 40]}
COUNT = len(ATTRIBUTES)  # items of the bundle that is asked

anything = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=8),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=8), inner, max_size=3),
    max_leaves=6,
)
ids = st.lists(st.sampled_from(["a", "b", "c", "d", "z", " a ", "\x00", "ä", "\ud800", "x\ny"]), max_size=4)
moments = (
    st.integers(-5, 2_000_000_000) | st.floats() | st.sampled_from(["2026-11-28T09:30:00+01:00", "2026-11-28", "?"])
)
events = st.lists(
    st.fixed_dictionaries(
        {"item_id": st.sampled_from(["a", "b", "z", "\ud800"])},
        optional={"timestamp": moments, "event": st.sampled_from(["view", "gift", ""]), "x": st.none()},
    ),
    max_size=3,
)
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
    "history": ids | events,
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
    "explain": st.booleans(),
    "fold": st.booleans(),
    "diversity_by": st.sampled_from(["mmr", "dpp", "other"]),
    "diversity_on": st.sampled_from(["vectors", "attributes", "both", ""]),
    "max_per": st.dictionaries(st.sampled_from(["brand", "lamp", "y", "", "\udfff"]), st.integers(-1, 3), max_size=2),
}
instance = st.fixed_dictionaries({}, optional={key: value | st.none() for key, value in sound.items()})
wild = st.fixed_dictionaries({}, optional={**dict.fromkeys(sound, anything), "other": anything, "\ud800\n": anything})
answerable = st.fixed_dictionaries(  # nothing here is refused
    {},
    optional={
        "history": ids,
        "interests": st.sampled_from(["red lamp", "lamp and chair, not red", "?!", " "]),
        "k": st.integers(1, COUNT),
        "similar_to": ids,
        "candidates": ids,
        "exclude": ids,
        "filters": st.fixed_dictionaries({}, optional={"any": st.just(["lamp", "oak"]), "none": st.just(["oak"])}),
        "max_per": st.just({"brand": 1}),
        "diversity": st.floats(0, 1),
    },
)
body = (
    st.fixed_dictionaries({"instances": st.lists(instance, min_size=1, max_size=3)})
    | st.fixed_dictionaries({"instances": st.lists(answerable, min_size=1, max_size=3)})
    | st.fixed_dictionaries({"instances": st.lists(wild, max_size=2) | anything})
    | anything
)

ODD_BYTES = [  # no JSON, or none that many readers would take
    b"",
    b"{",
    b"null",
    b"[" * 100_000,
    b'{"instances": ' * 5000,
    b'{"instances": [' + b"[" * 900 + b"]" * 900 + b"]}",
    b'{"instances": [{"k": 1e999}]}',
    b'{"instances": [{"k": ' + b"9" * 5000 + b"}]}",
    b'{"instances": [{"diversity": 0.' + b"3" * 5000 + b"}]}",
    b'{"instances": [{"k": 1, "k": 2}]}',
    json.dumps({"instances": [{}] * 65}).encode(),
    json.dumps({"instances": [{"candidates": ["a"] * 10_001}]}).encode(),
    json.dumps({"instances": [{"history": ["a"] * 20_000, "interests": "lamp " * 500}] * 3}).encode(),
    b'{"instances": [{"interests": "\xff\xfe"}]}',
    b'{"instances": [{"interests": "\\ud800"}]}',
    "\ufeff{}".encode(),
    '{"instances": [{}]}'.encode("utf-16"),
]


@st.composite
def broken(draw: st.DrawFn, whole: bytes) -> bytes:
    """Cut off, or with a byte changed."""
    place = draw(st.integers(0, max(len(whole) - 1, 0)))
    return draw(st.sampled_from([whole[:place], whole[:place] + b"\x00" + whole[place + 1 :], whole + b"}"]))


CONTENT_TYPES = [
    "application/json",
    "application/json; charset=utf-8",
    "application/json; charset=latin-1",
    "application/octet-stream",
    "application/cloudevents+json",
    "application/ld+json",
    "application/xml",
    "multipart/form-data; boundary=x",
    "multipart/form-data",
    "application/x-www-form-urlencoded",
    "text/plain",
    "",
    ";",
    "é",
]
headers = st.fixed_dictionaries(
    {},
    optional={
        "X-Request-Id": st.sampled_from(["7", "", "a b", "x" * 300, "é"]),
        "Accept": st.sampled_from(["*/*", "text/html", ";;"]),
        "traceparent": st.sampled_from(["00-" + "1" * 32 + "-" + "2" * 16 + "-01", "00-0-0-00", "é", ""]),
        "ce-specversion": st.sampled_from(["1.0", "0.3", "9", "é"]),
        "ce-id": st.sampled_from(["1", ""]),
        "ce-source": st.just("s"),
        "ce-type": st.just("t"),
        "ce-time": st.sampled_from(["now", "2026-01-01T00:00:00Z"]),
        "ce-contenttype": st.sampled_from(["application/json", "x"]),
        "Inference-Header-Content-Length": st.sampled_from(["0", "1", "-1", "x", "9" * 30, "1.5", ""]),
    },
)


@dataclass(frozen=True)
class Asking:
    """A request over HTTP. ``instances``: those of a body that is plain JSON; a 200 must then answer each."""

    path: str
    content: bytes
    headers: dict[str, str] = field(default_factory=dict)
    instances: list[Any] | None = None


@st.composite
def asking_v1(draw: st.DrawFn, name: str) -> Asking:
    document = draw(body)
    content = json.dumps(document).encode()
    path = f"/v1/models/{name}:predict"
    if draw(st.integers(0, 3)):  # most requests differ from a sound one in their body alone
        known = document.get("instances") if isinstance(document, dict) else None
        return Asking(path, content, {"Content-Type": "application/json"}, known if isinstance(known, list) else None)
    cloud_event = {"specversion": "1.0", "id": "1", "type": "t", "source": "s", "time": "x", "data": document}
    content = draw(
        st.just(content)
        | st.sampled_from(ODD_BYTES)
        | broken(content)
        | st.binary(max_size=40)
        | st.just(json.dumps(cloud_event).encode())
    )
    others = [f"/v1/models/{name}:explain", "/v1/models/n%0Ao%00%C3%A4:predict"]
    given = draw(headers) | {"Content-Type": draw(st.sampled_from(CONTENT_TYPES))}
    return Asking(draw(st.sampled_from([path] * 8 + others)), content, given)


tensor_texts = st.lists(
    (answerable | instance | wild | anything).map(json.dumps) | st.text(max_size=8) | st.sampled_from(["", "{", "[]"]),
    max_size=3,
)
shapes = st.sampled_from([[1], [2], [-1], [], [0], [1, 1], [-5], [2**62, 4], [10**30], [1.5], ["1"], None, 3])
datatypes = st.sampled_from(["BYTES", "bytes", "INT32", "FP16", "FP32", "BOOL", "X", "", 7, None])
parameters = anything | st.sampled_from(
    [{"binary_data_output": True}, {"binary_data_output": "x"}, {"binary_data_size": 3}, {"binary_data": True}, {}]
)
requested = st.lists(
    st.fixed_dictionaries({"name": st.sampled_from(["recommendations", "x"])}, optional={"parameters": parameters}),
    max_size=2,
)


def length_prefixed(texts: Sequence[str | bytes]) -> bytes:
    """A BYTES tensor as V2 writes it in binary."""
    parts = [text.encode("utf-8", "surrogatepass") if isinstance(text, str) else text for text in texts]
    return b"".join(len(part).to_bytes(4, "little") + part for part in parts)


def v2_document(texts: list[str], raw: bytes) -> dict[str, Any]:
    """JSON of a V2 request. raw: the tensor in binary, which then follows the JSON; empty: it is part of it."""
    tensor: dict[str, Any] = {"name": "request", "shape": [len(texts)], "datatype": "BYTES"}
    return {"inputs": [tensor | ({"parameters": {"binary_data_size": len(raw)}} if raw else {"data": texts})]}


def v2_asking(path: str, document: Any, raw: bytes) -> Asking:
    head = json.dumps(document).encode()
    if not raw:
        return Asking(path, head, {"Content-Type": "application/json"})
    lengths = {"Inference-Header-Content-Length": str(len(head)), "Content-Type": "application/octet-stream"}
    return Asking(path, head + raw, lengths)


@st.composite
def asking_v2(draw: st.DrawFn, name: str) -> Asking:
    """Tensors in JSON or in binary, mostly well made."""
    texts = draw(tensor_texts)
    raw = length_prefixed(texts) if draw(st.booleans()) else b""
    path = f"/v2/models/{name}/infer"
    document: Any = v2_document(texts, raw)
    document |= draw(st.fixed_dictionaries({}, optional={"id": st.text(max_size=5), "outputs": requested}))
    if draw(st.booleans()):
        return v2_asking(path, document, raw)
    (tensor,) = document["inputs"]
    odd = {"name": st.sampled_from(["request", "x", 3, None]), "shape": shapes, "datatype": datatypes}
    odd |= {"data": anything, "parameters": parameters | st.just({"binary_data_size": 2**40}), "more": anything}
    tensor |= draw(st.fixed_dictionaries({}, optional=odd))
    tensor.pop(draw(st.sampled_from(["", "", "", "name", "shape", "datatype", "data", "parameters"])), None)
    top = {"id": anything, "parameters": parameters, "outputs": anything, "inputs": anything, "other": anything}
    document |= draw(st.fixed_dictionaries({}, optional=top) | st.just({}) | st.just({"inputs": [tensor, tensor]}))
    asking = v2_asking(path, draw(st.sampled_from([document] * 8 + [[], None, 3, "x"])), raw)
    given = asking.headers | draw(st.just({}) | headers)
    given["Content-Type"] = draw(st.sampled_from([asking.headers["Content-Type"]] * 9 + CONTENT_TYPES))
    content = draw(st.sampled_from([asking.content] * 28 + ODD_BYTES) | broken(asking.content))
    return Asking(draw(st.sampled_from([path] * 20 + [f"/v2/models/{name}/versions/1/infer"])), content, given)


PLACES = re.compile(
    r"instances|instance \d|request|the body|input|output|parameters|Model with name|header|version|explain|cloud ?event",
    re.IGNORECASE,
)


def check_refusal(text: str) -> None:
    """One line that a person can read, and that names a place."""
    assert text.isprintable(), text
    assert 0 < len(text) <= LONGEST_REFUSAL, text
    assert PLACES.search(text), text


def check_answer(prediction: dict[str, Any], asked: dict[str, Any]) -> None:
    """What holds of an answer to ``asked`` whatever the model; the shop has no rules."""
    items = [item["item_id"] for item in prediction["items"]]
    wanted = asked.get("k") or COUNT
    assert len(set(items)) == len(items) <= wanted
    chosen = [one["item_id"] if isinstance(one, dict) else one for one in asked.get("history") or []]
    others = [name for key in ("exclude", "similar_to") for name in asked.get(key) or []]
    left_out = {name.strip() for name in (*chosen, *others)}
    assert not left_out & set(items)
    if asked.get("candidates") is not None:
        assert set(items) <= {name.strip() for name in asked["candidates"]}
    assert (prediction["fewer_than_k"] is not None) == (len(items) < wanted)
    scores = [item["score"] for item in prediction["items"]]
    assert all(math.isfinite(score) for score in scores)
    if not asked.get("diversity") and asked.get("explore") is None:
        assert scores == sorted(scores, reverse=True)
