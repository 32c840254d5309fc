"""The real server under 10,500 generated requests on its three ways in: never a 5xx, and every answer is a sound one."""

import http.client
import json

import grpc
import pytest
from helpers_hand_bundle import write_hand_bundle
from helpers_questions import (
    ATTRIBUTES,
    PRICES,
    asking_v1,
    asking_v2,
    broken,
    check_answer,
    check_refusal,
    instance,
    length_prefixed,
    tensor_texts,
    v2_asking,
    v2_document,
)
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from kserve import InferResponse
from kserve.protocol.grpc.grpc_predict_v2_pb2 import InferParameter, ModelInferRequest
from kserve.protocol.grpc.grpc_predict_v2_pb2_grpc import GRPCInferenceServiceStub

from longtail.components.deploy.local_server import running_server

NAME = "shop"
many = settings(suppress_health_check=list(HealthCheck), database=None)
pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def server(tmp_path_factory):
    """At its end the log shows no failure that a client was not told of."""
    bundle = write_hand_bundle(tmp_path_factory.mktemp("any") / "bundle", attributes=ATTRIBUTES, numbers=PRICES)
    log = tmp_path_factory.mktemp("log") / "server.log"
    with running_server(bundle, NAME, 60, log) as handle:
        yield handle
    text = log.read_text()
    found = [line for line in ("Traceback", "a request failed") if line in text]
    assert not found, text[text.index(found[0]) - 2000 :][:6000]


@pytest.fixture(scope="module")
def send(server):
    """Sends an ``Asking`` over one connection; status and body."""
    connection = http.client.HTTPConnection("127.0.0.1", server.http_port, timeout=30)

    def sent(asking):
        given = {name: value.encode("latin-1") for name, value in asking.headers.items()}
        connection.request("POST", asking.path, asking.content, given)
        answer = connection.getresponse()
        return answer.status, answer.read()

    yield sent
    connection.close()


def check_status(status, body):
    assert status < 500, body
    if status >= 400:
        said = json.loads(body)
        check_refusal(said.get("error") or said["detail"])
    else:
        assert status == 200


@settings(many, max_examples=4000)
@given(asking=asking_v1(NAME))
def test_v1(send, asking):
    status, body = send(asking)
    check_status(status, body)
    if status == 200 and asking.instances is not None:
        predictions = json.loads(body)["predictions"]
        assert len(predictions) == len(asking.instances)
        for prediction, asked in zip(predictions, asking.instances):
            check_answer(prediction, asked)


@settings(many, max_examples=4000)
@given(asking=asking_v2(NAME))
def test_v2(send, asking):
    check_status(*send(asking))


@settings(many, max_examples=1000)
@given(instances=st.lists(instance, min_size=1, max_size=3), binary=st.booleans())
def test_v2_answers_each_element(send, instances, binary):
    texts = [json.dumps(one) for one in instances]
    raw = length_prefixed(texts) if binary else b""
    status, body = send(v2_asking(f"/v2/models/{NAME}/infer", v2_document(texts, raw), raw))
    check_status(status, body)
    if status == 200:
        check_elements(json.loads(body)["outputs"][0]["data"], instances)


def check_elements(texts, instances):
    assert len(texts) == len(instances)
    for text, asked in zip(texts, instances):
        check_answer(json.loads(text), asked)


@pytest.fixture(scope="module")
def infer(server):
    with grpc.insecure_channel(f"127.0.0.1:{server.grpc_port}", [("grpc.enable_http_proxy", 0)]) as channel:
        yield GRPCInferenceServiceStub(channel).ModelInfer


texts_of_grpc = st.text(max_size=6) | st.sampled_from(["request", NAME])
parameter = st.one_of(
    st.booleans().map(lambda value: InferParameter(bool_param=value)),
    st.integers(-(2**63), 2**63 - 1).map(lambda value: InferParameter(int64_param=value)),
    texts_of_grpc.map(lambda value: InferParameter(string_param=value)),
    st.just(InferParameter()),
)
some_parameters = st.dictionaries(st.sampled_from(["binary_data", "binary_data_output", "x"]), parameter, max_size=2)


@st.composite
def messages(draw):
    """A message, mostly well made, and the instances that it asks for where it is."""
    Tensor, Output = ModelInferRequest.InferInputTensor, ModelInferRequest.InferRequestedOutputTensor
    instances = draw(st.lists(instance, min_size=1, max_size=3))
    texts = [json.dumps(one).encode() for one in instances]
    raw, odd = draw(st.booleans()), draw(st.booleans())
    if odd:
        texts, instances = [text.encode("utf-8", "replace") for text in draw(tensor_texts)], None
    tensor = Tensor(name="request", datatype="BYTES", shape=[len(texts)])
    content = length_prefixed(texts)
    if not raw:
        tensor.contents.bytes_contents.extend(texts)
    message = ModelInferRequest(model_name=NAME, inputs=[tensor], raw_input_contents=[content] if raw else [])
    if odd:
        given = message.inputs[0]
        given.name = draw(st.just("request") | texts_of_grpc)
        given.datatype = draw(st.sampled_from(["BYTES", "BYTES", "bytes", "INT32", "FP16", "BOOL", "X", ""]))
        given.shape[:] = draw(st.sampled_from([given.shape[:], [], [-1], [7], [1, 1], [2**62, 2**62], [-3]]))
        if draw(st.booleans()):
            given.contents.int_contents.append(3)
        message.raw_input_contents[:] = draw(
            st.just(message.raw_input_contents[:]) | st.lists(broken(content) | st.binary(max_size=9), max_size=2)
        )
        message.model_name = draw(st.sampled_from([NAME] * 8 + ["", "n\no", "ä"]))
        message.id, message.model_version = draw(texts_of_grpc), draw(texts_of_grpc)
        if draw(st.booleans()):
            message.inputs.append(given)
        for name, value in draw(some_parameters).items():
            message.parameters[name].CopyFrom(value)
            given.parameters[name].CopyFrom(value)
        for name in draw(st.lists(st.sampled_from(["recommendations", "x"]), max_size=2)):
            message.outputs.append(Output(name=name))
    return message, instances


sent_along = st.fixed_dictionaries(
    {}, optional={"traceparent": st.sampled_from(["00-0", ""]), "x-request-id": st.just("7"), "x-bin": st.binary()}
)


@settings(many, max_examples=1500)
@given(asked=messages(), metadata=sent_along)
def test_grpc(infer, asked, metadata):
    message, instances = asked
    try:
        answer = infer(message, timeout=30, metadata=list(metadata.items()))
    except grpc.RpcError as refusal:
        assert refusal.code() in (grpc.StatusCode.INVALID_ARGUMENT, grpc.StatusCode.NOT_FOUND), refusal
        check_refusal(refusal.details())
        return
    if instances is not None:
        check_elements(InferResponse.from_grpc(answer).outputs[0].as_numpy(), instances)
