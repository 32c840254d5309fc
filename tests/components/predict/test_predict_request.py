import json

import pytest
from kserve import InferInput, InferRequest
from kserve.errors import InvalidInput

from longtail.components.predict.request import MAX_INSTANCES, Instance, instances_of_v1, instances_of_v2
from longtail.scoring.asked import in_order


def v2(data, name="request", datatype="BYTES", shape=None):
    return InferRequest("longtail", [InferInput(name, shape or [len(data)], datatype, data)])


def test_every_key_may_be_left_out():
    assert instances_of_v1({"instances": [{}]}) == [Instance(history=[], attributes=[], interests=None, k=None)]


def test_attributes_as_object_and_as_list_are_the_same():
    given = {"instances": [{"attributes": {"gender": "F", "age": 25}}, {"attributes": ["gender=F", "age=25"]}]}
    first, second = instances_of_v1(given)
    assert first == second
    assert first.attributes == ["gender=F", "age=25"]


def test_whatever_a_user_of_the_data_has_may_be_asked():
    given = {"history": ["x" * 600] * 20_000, "attributes": {f"column {n}": n for n in range(200)}}
    assert len(instances_of_v1({"instances": [given]})[0].history) == 20_000
    assert len(instances_of_v2(v2([json.dumps(given)]))[0].attributes) == 200


def test_null_and_blank_are_as_if_left_out():
    nulls = {"history": None, "attributes": None, "interests": " ", "k": None}
    assert instances_of_v1({"instances": [nulls]}) == [Instance()]


def test_context_is_written_as_attributes_are():
    given = {
        "instances": [
            {"context": {"hour": 20.0, "device": "tv"}},
            {"context": ["hour=20", "device=tv"]},
            {"context": None},
        ]
    }
    assert [one.context for one in instances_of_v1(given)] == [["hour=20", "device=tv"]] * 2 + [[]]
    with pytest.raises(InvalidInput, match=r"instances\[0\].context: hour is null; leave it out"):
        instances_of_v1({"instances": [{"context": {"hour": None}}]})


def test_numbers_of_attributes_are_written_as_preprocess_writes_them():
    given = {"instances": [{"attributes": {"age": 25.0, "half": 0.5, "big": 2**60 + 1, "size": "007"}}]}
    assert instances_of_v1(given)[0].attributes == ["age=25", "half=0.5", f"big={2**60 + 1}", "size=007"]


def test_a_missing_attribute_may_be_said():
    """As users of the data have it, so that golden answers may be asked."""
    assert instances_of_v1({"instances": [{"attributes": ["age=", "gender=F"]}]})[0].attributes == ["age=", "gender=F"]


def test_a_body_without_a_json_content_type_is_read_all_the_same():
    assert instances_of_v1(b'{"instances": [{"history": ["a"]}]}') == [Instance(history=["a"])]
    with pytest.raises(InvalidInput, match="the body is not JSON"):
        instances_of_v1(b"\xff")


def test_v2_elements_are_instances_as_text_or_bytes():
    expected = [Instance(history=["a"], k=3), Instance()]
    assert instances_of_v2(v2(['{"history": ["a"], "k": 3}', "{}"])) == expected
    assert instances_of_v2(v2([b'{"history": ["a"], "k": 3}', b"{}"])) == expected
    assert instances_of_v2(v2(['{"history": ["a"], "k": 3}', "{}"], shape=[2, 1])) == expected


@pytest.mark.parametrize(
    ("body", "message"),
    [
        ([], "the body must be"),
        ({"inputs": []}, "the body must be"),
        ({"instances": {}}, "the body must be"),
        ({"instances": [{}], "k": 5}, "unknown key 'k'; it holds 'instances' alone"),
        ({"instances": []}, "instances holds 0 users; give 1 to 64"),
        ({"instances": [{}] * (MAX_INSTANCES + 1)}, "instances holds 65 users; give 1 to 64"),
        ({"instances": ["a"]}, r"instances\[0\] is a str; give an object"),
        (
            {"instances": [{}, {"histroy": []}]},
            r"instances\[1\] has the unknown key 'histroy'; known: attributes, candidates, context, diversity, diversity_by, diversity_on, exclude, explain, "
            "explore, filters, fold, history, interests, k, max_per, similar_to",
        ),
        ({"instances": [{"history": "a"}]}, r"instances\[0\].history: input should be a valid list \(given: 'a'\)"),
        (
            {"instances": [{"history": ["a", 7]}]},
            r"instances\[0\].history\[1\]: input should be a valid string \(given: '7'\)",
        ),
        (
            {"instances": [{"history": ["a"] * 1001 + [7]}]},
            r"instances\[0\].history\[1001\]: input should be a valid string",
        ),
        ({"instances": [{"attributes": {"a": [1]}}]}, r"instances\[0\].attributes: a must be a text or a number"),
        ({"instances": [{"history": ["a", None]}]}, r"instances\[0\].history: number 1 is null; leave it out"),
        ({"instances": [{"history": [" "]}]}, r"instances\[0\].history: number 0 is blank; leave it out"),
        ({"instances": [{"attributes": {"age": None}}]}, r"instances\[0\].attributes: age is null; leave it out"),
        ({"instances": [{"attributes": {"age": " "}}]}, r"instances\[0\].attributes: age is blank; leave it out"),
        ({"instances": [{"attributes": ["a=b", None]}]}, r"instances\[0\].attributes: number 1 is null"),
        ({"instances": [{"attributes": {"age": float("nan")}}]}, "age must be a text or a number"),
        ({"instances": [{"attributes": {"age": True}}]}, "age must be a text or a number"),
        ({"instances": [None]}, r"instances\[0\] is null; give an object"),
        ({"instances": [{"attributes": "a=b"}]}, r"instances\[0\].attributes: input should be a valid list"),
        ({"instances": [{"interests": 5}]}, r"instances\[0\].interests: input should be a valid string \(given: '5'\)"),
        (
            {"instances": [{"interests": "x" * 2001}]},
            r"instances\[0\].interests: string should have at most 2000 characters",
        ),
        ({"instances": [{"k": 0}]}, r"instances\[0\].k: input should be greater than or equal to 1 \(given: '0'\)"),
        ({"instances": [{"k": "10"}]}, r"instances\[0\].k: input should be a valid integer \(given: '10'\)"),
        ({"instances": [{"k": True}]}, r"instances\[0\].k: input should be a valid integer"),
        ({"instances": [{"k": 1.5}]}, r"instances\[0\].k: input should be a valid integer"),
        ({"instances": [{"candidates": ["a", " "]}]}, r"instances\[0\].candidates: number 1 is blank; leave it out"),
        ({"instances": [{"exclude": "a"}]}, r"instances\[0\].exclude: input should be a valid list \(given: 'a'\)"),
        ({"instances": [{"exclude": ["a"] * 10_001}]}, r"instances\[0\].exclude: list should have at most 10000 items"),
        (
            {"instances": [{"filters": {"some": ["a"]}}]},
            r"instances\[0\].filters has the unknown key 'some'; known: all, any, none, ranges",
        ),
        (
            {"instances": [{"filters": {"ranges": {"price": {"below": 3}}}}]},
            r"instances\[0\].filters.ranges.price has the unknown key 'below'; known: max, min",
        ),
        ({"instances": [{"filters": {"any": [None]}}]}, r"instances\[0\].filters.any: number 0 is null; leave it out"),
        ({"instances": [{"filters": {"ranges": {"p": {}}}}]}, r"filters.ranges.p: give min, max or both"),
        (
            {"instances": [{"filters": {"ranges": {"p": {"min": 3, "max": 2}}}}]},
            r"filters.ranges.p: min 3 is above max 2",
        ),
        (
            {"instances": [{"filters": {"ranges": {"p": {"min": float("nan")}}}}]},
            r"filters.ranges.p.min: input should be a finite number",
        ),
        (
            {"instances": [{"explore": {}}]},
            r"instances\[0\].explore: give epsilon, temperature or thompson, one of the three",
        ),
        (
            {"instances": [{"explore": {"epsilon": 0.1, "temperature": 1}}]},
            "give epsilon, temperature or thompson, one of the three",
        ),
        ({"instances": [{"explore": {"temperature": 1, "new_items": True}}]}, "new_items acts with epsilon"),
        ({"instances": [{"explore": {"temperature": 0}}]}, r"explore.temperature: input should be greater"),
        (
            {"instances": [{"explore": {"eps": 0.1}}]},
            r"instances\[0\].explore has the unknown key 'eps'; known: epsilon, new_items, temperature, thompson",
        ),
        ({"instances": [{"explain": "no"}]}, r"instances\[0\].explain: input should be a valid boolean"),
        ({"instances": [{"fold": 1}]}, r"instances\[0\].fold: input should be a valid boolean"),
        ({"instances": [{"diversity_by": "xquad"}]}, r"instances\[0\].diversity_by: input should be 'mmr' or 'dpp'"),
        (
            {"instances": [{"diversity_on": "price"}]},
            r"diversity_on: input should be 'vectors', 'attributes' or 'both'",
        ),
        ({"instances": [{"diversity": 1.5}]}, r"instances\[0\].diversity: input should be less than or equal to 1"),
        ({"instances": [{"max_per": {"brand": 0}}]}, r"instances\[0\].max_per.brand: input should be greater"),
        ({"instances": [{"max_per": ["brand"]}]}, r"instances\[0\].max_per: input should be a valid dictionary"),
    ],
)
def test_bad_v1_bodies_are_refused_with_the_place(body, message):
    with pytest.raises(InvalidInput, match=message):
        instances_of_v1(body)


@pytest.mark.parametrize(
    ("request_", "message"),
    [
        (v2(["{}"], name="history"), "one input tensor named 'request' of datatype BYTES.*given: 'history' of BYTES"),
        (v2([1.0], datatype="FP32"), "given: 'request' of FP32"),
        (InferRequest("longtail", []), "given: none"),
        (v2(["{}"], shape=[3]), r"request: the data do not fit shape \[3\]"),
        (v2(["{}", "{"]), r"request\[1\] is not JSON"),
        (v2([5]), r"request\[0\] is not JSON"),
        (v2(["5"]), r"request\[0\] is a int; give an object"),
        (v2(['{"k": -1}']), r"request\[0\].k: input should be greater"),
        (v2(["[" * 100_000]), r"request\[0\] is not JSON"),
    ],
)
def test_bad_v2_requests_are_refused_with_the_place(request_, message):
    with pytest.raises(InvalidInput, match=message):
        instances_of_v2(request_)


def test_a_history_may_be_events_in_any_order():
    events = [
        {"item_id": "late", "timestamp": "2026-11-28T10:00:00+01:00", "event": "purchase"},
        {"item_id": "early", "timestamp": 1764320000},
        {"item_id": "too", "timestamp": "2026-11-28T09:00:00Z"},
    ]
    (instance,) = instances_of_v1({"instances": [{"history": events}]})
    found = instance.asked().history
    assert in_order(found) == ["early", "late", "too"]  # of one moment in the order given
    assert [one.event for one in found] == ["purchase", None, None]


@pytest.mark.parametrize(
    ("history", "message"),
    [
        (["a", {"item_id": "b", "timestamp": 1}], "history: holds ids and objects"),
        ([{"item_id": "b"}], r"history\[0\].timestamp: field required"),
        (
            [{"item_id": "b", "timestamp": "2026-11-28T09:00:00"}],
            r"history\[0\].timestamp: give seconds since 1970, or a time",
        ),
        ([{"item_id": "b", "timestamp": "soon"}], r"history\[0\].timestamp: give seconds"),
        ([{"item_id": "b", "timestamp": float("nan")}], r"history\[0\].timestamp: give seconds"),
        ([{"item_id": "b", "timestamp": [1]}], r"history\[0\].timestamp: input should be a valid number"),
        ([{"item_id": 7, "timestamp": 1}], r"history\[0\].item_id: input should be a valid string"),
        (
            [{"item_id": "b", "timestamp": 1, "kind": "x"}],
            r"history\[0\] has the unknown key 'kind'; known: event, item_id",
        ),
        ([7], r"history\[0\]: input should be a valid string"),
    ],
)
def test_faults_of_events_name_their_place(history, message):
    with pytest.raises(InvalidInput, match=message):
        instances_of_v1({"instances": [{"history": history}]})
