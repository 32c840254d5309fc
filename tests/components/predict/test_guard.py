"""What KServe would answer with a 5xx, or with no place, is refused in one line and counted."""

import http.client
import json
import re
import urllib.request

import grpc
import pytest
from helpers_hand_bundle import write_hand_bundle
from helpers_questions import length_prefixed, v2_asking, v2_document
from kserve.protocol.grpc.grpc_predict_v2_pb2 import ModelInferRequest
from kserve.protocol.grpc.grpc_predict_v2_pb2_grpc import GRPCInferenceServiceStub

from longtail.components.deploy.local_server import running_server
from longtail.system.http import fetch

INFER = "/v2/models/shop/infer"
BINARY = {"Content-Type": "application/octet-stream"}
JSON = {"Content-Type": "application/json"}
TENSOR = {"name": "request", "shape": [1], "datatype": "BYTES"}


@pytest.fixture(scope="module")
def server(tmp_path_factory):
    bundle = write_hand_bundle(tmp_path_factory.mktemp("guarded") / "bundle")
    with running_server(bundle, "shop", 60, tmp_path_factory.mktemp("log") / "server.log") as handle:
        yield handle


def post(server, path, content, headers):
    connection = http.client.HTTPConnection("127.0.0.1", server.http_port, timeout=30)
    connection.request("POST", path, content, headers)
    answer = connection.getresponse()
    status, body = answer.status, answer.read()
    connection.close()
    return status, body


def refused_so_far(server):
    found = re.findall(r'^longtail_requests_total{.*"refused".*} (.*)$', fetch(f"{server.url}/metrics").decode(), re.M)
    return float(*found)


def binary(document):
    head = json.dumps(document).encode()
    return head, BINARY | {"Inference-Header-Content-Length": str(len(head))}


NO_LENGTH = "the body cannot be read: a body that is not JSON needs a header inference-header-content-length of at most its 2 bytes"


@pytest.mark.parametrize(
    ("content", "headers", "message"),
    [
        (b"{}", BINARY, NO_LENGTH),
        (b"{}", BINARY | {"Inference-Header-Content-Length": "3"}, NO_LENGTH),
        (b"{}", BINARY | {"Inference-Header-Content-Length": "-1"}, NO_LENGTH),
        (*binary({}), "the body.inputs: field required"),
        (*binary([]), "the body: input should be a valid dictionary or instance of InferenceRequest"),
        (*binary({"inputs": [TENSOR], "id": [7]}), "the body.id: input should be a valid string"),
        (
            *binary({"inputs": [TENSOR | {"parameters": {"binary_data_size": 9}}]}),
            "the body cannot be read: cannot reshape array of size 0 into shape (1,)",
        ),
        (*binary({"inputs": [TENSOR]}), "the body cannot be read: 'data' field is missing for input 'request'"),
        (b'{"inputs": NaN}', JSON, "the body.inputs: input should be a valid list (given: 'nan')"),
        (b'{"inputs": "\\ud800"}', JSON, "the body.inputs: input should be a valid list (given: '\\ud800')"),
        (b'{"inputs": ', JSON, "the body is not JSON: Expecting value (character 11)"),
        (b"", JSON, "the body: field required"),
    ],
)
def test_a_broken_v2_body_is_refused_and_counted(server, content, headers, message):
    before = refused_so_far(server)
    status, answer = post(server, INFER, content, headers)
    assert (status, json.loads(answer)["error"].startswith(message)) == (400, True), answer
    assert refused_so_far(server) == before + 1


def test_an_output_that_there_is_not_is_refused(server):
    body = json.dumps({"inputs": [TENSOR | {"data": ["{}"]}], "outputs": [{"name": "scores\n"}]}).encode()
    status, answer = post(server, INFER, body, JSON)
    assert (status, json.loads(answer)["error"]) == (400, "Unexpected inference output 'scores ' for model 'shop'")


def test_a_cloud_event_without_json_is_refused(server):
    event = {"ce-specversion": "1.0", "ce-id": "1", "ce-source": "s", "ce-type": "t", "ce-contenttype": "x"}
    status, answer = post(server, "/v1/models/shop:predict", b'{"instances": []}', JSON | event)
    assert (status, json.loads(answer)["error"].startswith("the body cannot be read")) == (400, True)


@pytest.mark.parametrize(
    ("path", "status", "message"),
    [
        ("/v1/models/a%0Ab:predict", 404, "Model with name a b does not exist."),
        ("/v2/models/shop/versions/1/infer", 404, "Model with name shop and version 1/infer does not exist."),
        ("/v1/models/shop:explain", 400, ":explain is not answered here; :predict gives a reason with each item"),
    ],
)
def test_what_is_not_there_is_no_failure_of_the_server(server, path, status, message):
    found, answer = post(server, path, b'{"instances": [{}]}', JSON)
    assert (found, json.loads(answer)["error"]) == (status, message)


@pytest.mark.parametrize("outputs", [[], [{"name": "recommendations"}]])
def test_a_sound_request_in_binary_is_answered(server, outputs):
    raw = length_prefixed(['{"history": ["a"]}', "{}"])
    document = v2_document(["", ""], raw) | {"outputs": outputs}
    asking = v2_asking(INFER, document, raw)
    status, answer = post(server, INFER, asking.content, asking.headers)
    assert status == 200
    first, second = (json.loads(text)["items"] for text in json.loads(answer)["outputs"][0]["data"])
    assert (first[0]["item_id"], second[0]["item_id"]) == ("b", "a")


@pytest.mark.parametrize(
    ("accept", "kind"),
    [
        ("application/openmetrics-text; version=x", "text/plain"),
        ("application/openmetrics-text; version=1.0.0", "application/openmetrics-text"),
        ("*/*", "text/plain"),
    ],
)
def test_metrics_are_told_whatever_version_is_asked_for(server, accept, kind):
    request = urllib.request.Request(f"{server.url}/metrics", headers={"Accept": accept})
    with urllib.request.build_opener(urllib.request.ProxyHandler({})).open(request, timeout=30) as answer:
        assert answer.headers["Content-Type"].startswith(kind)
        assert b"longtail_requests_total" in answer.read()


def test_grpc_names_the_tensor_that_is_needed(server):
    tensor = ModelInferRequest.InferInputTensor(name="x", datatype="bytes", shape=[1])
    before = refused_so_far(server)
    with (
        grpc.insecure_channel(f"127.0.0.1:{server.grpc_port}", [("grpc.enable_http_proxy", 0)]) as channel,
        pytest.raises(grpc.RpcError) as refusal,
    ):
        GRPCInferenceServiceStub(channel).ModelInfer(ModelInferRequest(model_name="shop", inputs=[tensor]), timeout=30)
    assert refusal.value.details() == (
        "one input tensor named 'request' of datatype BYTES is needed; given: 'x' of bytes"
    )
    assert refused_so_far(server) == before + 1
