"""The real server with tokens, limits and private logs, asked over V1, V2 and gRPC."""

import http.client
import json
import re

import grpc
import pytest
from helpers_hand_bundle import write_hand_bundle
from helpers_server import ASKS, OPERATES, http_, put, tokens, until
from kserve import InferInput, InferRequest
from kserve.protocol.grpc import grpc_predict_v2_pb2 as messages
from kserve.protocol.grpc.grpc_predict_v2_pb2_grpc import GRPCInferenceServiceStub

from longtail.components.deploy.local_server import running_server
from longtail.components.predict.access import hash_of
from longtail.components.predict.client import ask
from longtail.contracts.errors import UserError
from longtail.rollout.addresses import at
from longtail.rollout.answers import ask_v2

pytestmark = pytest.mark.slow  # they start the model server

GUEST = "token-of-a-guest"
MAX_BODY = 20_000
PREDICT, INFER = "/v1/models/shop:predict", "/v2/models/shop/infer"
ASKED = json.dumps({"instances": [{"history": ["a"], "k": 1}]})
TENSOR = {"name": "request", "datatype": "BYTES", "shape": [1], "data": ["{}"]}


def infer(server, text, token=None):
    """The code that gRPC ends with, and what it tells beside."""
    request = InferRequest("shop", [InferInput("request", [1], "BYTES", [text.encode()])]).to_grpc()
    metadata = [("authorization", f"Bearer {token}")] if token else None
    with grpc.insecure_channel(f"127.0.0.1:{server.grpc_port}", [("grpc.enable_http_proxy", 0)]) as channel:
        try:
            GRPCInferenceServiceStub(channel).ModelInfer(request, timeout=30, metadata=metadata)
        except grpc.RpcError as error:
            return error.code(), dict(error.trailing_metadata())
    return grpc.StatusCode.OK, {}


@pytest.fixture(scope="module")
def bundle(tmp_path_factory):
    return write_hand_bundle(tmp_path_factory.mktemp("served") / "bundle")


@pytest.fixture
def guarded(bundle, tmp_path):
    """A server with tokens and followed files; ``path``: of the folder that they lie in."""
    put(tmp_path / "tokens.yaml", tokens(page=(ASKS, "ask"), staff=(OPERATES, "ask", "operate")))
    put(tmp_path / "availability.yaml", "sold_out: [a]")
    options = ["--tokens", str(tmp_path / "tokens.yaml"), "--availability", str(tmp_path / "availability.yaml")]
    with running_server(bundle, "shop", 60, tmp_path / "log", [*options, "--max-body", str(MAX_BODY)]) as server:
        yield server


def test_who_has_no_token_gets_no_answer_and_who_has_one_does(guarded, monkeypatch):
    for method, path, body in (
        ("POST", PREDICT, ASKED),
        ("POST", INFER, json.dumps({"inputs": [TENSOR]})),
        ("GET", "/v2/models/shop", None),
        ("GET", "/v1/models", None),
    ):
        for token, challenge in ((None, ""), ("unknown", ', error="invalid_token"')):
            status, headers, answer = http_(guarded, method, path, body, token)
            assert (status, headers["WWW-Authenticate"]) == (401, f'Bearer realm="longtail"{challenge}')
            assert "token" in answer["error"]
        assert http_(guarded, method, path, body, ASKS)[0] == 200
    assert [infer(guarded, "{}", token)[0] for token in (None, "unknown", ASKS)] == [
        grpc.StatusCode.UNAUTHENTICATED,
        grpc.StatusCode.UNAUTHENTICATED,
        grpc.StatusCode.OK,
    ]
    with pytest.raises(UserError, match=r"give a token: Authorization: Bearer TOKEN \(HTTP 401\)"):
        ask(guarded.url, "shop", [{}])
    monkeypatch.setenv("LONGTAIL_TOKEN", ASKS)
    assert ask(guarded.url, "shop", [{}]) and ask_v2(at(guarded.url), "shop", [{}])


def test_probes_and_metrics_are_open(guarded):
    paths = ("/", "/v2/health/live", "/v2/health/ready", "/v1/models/shop", "/v2/models/shop/ready", "/metrics")
    assert {path: http_(guarded, "GET", path)[0] for path in paths} == dict.fromkeys(paths, 200)
    with grpc.insecure_channel(f"127.0.0.1:{guarded.grpc_port}", [("grpc.enable_http_proxy", 0)]) as channel:
        assert GRPCInferenceServiceStub(channel).ModelReady(messages.ModelReadyRequest(name="shop"), timeout=30).ready
    text = http_(guarded, "GET", "/metrics")[2]
    assert 'longtail_kept_out_total{model_name="shop",status="401"} 0.0' in text


def test_a_scope_that_is_not_there_is_a_403(guarded):
    for path in ("/v1/models/shop/availability", "/v1/models/shop/rules", "/v2/repository/models/shop/unload"):
        method = "POST" if "unload" in path else "GET"
        status, headers, _ = http_(guarded, method, path, token=ASKS)
        assert (status, "insufficient_scope" in headers["WWW-Authenticate"]) == (403, True), path
        assert http_(guarded, method, path, token=OPERATES)[0] != 403
    with grpc.insecure_channel(f"127.0.0.1:{guarded.grpc_port}", [("grpc.enable_http_proxy", 0)]) as channel:
        call = GRPCInferenceServiceStub(channel).RepositoryModelUnload
        request = messages.RepositoryModelUnloadRequest(model_name="shop")
        with pytest.raises(grpc.RpcError) as caught:
            call(request, timeout=30, metadata=[("authorization", f"Bearer {ASKS}")])
    assert caught.value.code() == grpc.StatusCode.PERMISSION_DENIED


def test_tokens_change_while_serving_and_a_bad_file_keeps_the_last_good_ones(guarded, tmp_path):
    def let_in():
        return [http_(guarded, "POST", PREDICT, ASKED, token)[0] for token in (ASKS, "token-of-next-year")]

    def taken():
        lines = http_(guarded, "GET", "/metrics")[2].splitlines()
        (line,) = [line for line in lines if line.startswith("longtail_file_taken{") and 'file="tokens"' in line]
        return line.rpartition(" ")[2]

    assert (let_in(), taken()) == ([200, 401], "1.0")
    put(tmp_path / "tokens.yaml", tokens(page=(ASKS, "ask"), next=("token-of-next-year", "ask")))
    until(let_in, [200, 200])
    put(tmp_path / "tokens.yaml", tokens(next=("token-of-next-year", "ask")))
    until(let_in, [401, 200])
    put(tmp_path / "tokens.yaml", f"tokens: [{{name: page, sha256: {ASKS}, scopes: [ask]}}]")
    until(taken, "0.0")
    assert let_in() == [401, 200]
    (prediction,) = http_(guarded, "POST", PREDICT, ASKED, "token-of-next-year")[2]["predictions"]
    assert prediction["degraded"] is None  # answers are as good as ever
    assert ASKS not in (tmp_path / "log").read_text()


def test_more_than_a_tokens_rate_is_a_429(bundle, tmp_path):
    entry = {"name": "guest", "sha256": hash_of(GUEST), "scopes": ["ask"], "per_second": 0.001}
    put(tmp_path / "tokens.yaml", json.dumps({"tokens": [entry]}))
    with running_server(bundle, "shop", 60, tmp_path / "log", ["--tokens", str(tmp_path / "tokens.yaml")]) as server:
        assert http_(server, "POST", PREDICT, ASKED, GUEST)[0] == 200
        status, headers, answer = http_(server, "POST", PREDICT, ASKED, GUEST)
        assert status == 429 and 900 < int(headers["Retry-After"]) <= 1000
        assert answer["error"].startswith("over the 0.001 requests a second of this token")
        code, metadata = infer(server, "{}", GUEST)
        assert code == grpc.StatusCode.RESOURCE_EXHAUSTED and 900 < int(metadata["retry-after"]) <= 1000
        assert http_(server, "GET", "/v2/models/shop/ready", token=GUEST)[0] == 200
        assert 'longtail_kept_out_total{model_name="shop",status="429"} 2.0' in http_(server, "GET", "/metrics")[2]


@pytest.mark.parametrize("path", [PREDICT, INFER])
def test_a_body_that_is_too_long_is_not_read_to_its_end(guarded, path):
    """The rest of it is never sent, and the answer is there all the same."""
    message = "the body is longer than 20,000 bytes; ask for fewer users in a request, or give fewer ids"
    for headers, sent in (
        ({"Content-Length": str(MAX_BODY + 1)}, b"{"),
        ({"Transfer-Encoding": "chunked"}, b"5000\r\n" + b" " * 0x5000 + b"\r\n"),
    ):
        connection = http.client.HTTPConnection("127.0.0.1", guarded.http_port, timeout=30)
        connection.putrequest("POST", path)
        for name, value in {"Authorization": f"Bearer {ASKS}", "Content-Type": "application/json", **headers}.items():
            connection.putheader(name, value)
        connection.endheaders()
        connection.send(sent)
        answer = connection.getresponse()
        assert (answer.status, json.loads(answer.read())) == (413, {"error": message})
        connection.close()


@pytest.mark.parametrize("encode_chunked", [False, True])
def test_a_body_at_the_limit_is_read(guarded, encode_chunked):
    body = ASKED.encode().ljust(MAX_BODY)
    headers = {"Authorization": f"Bearer {ASKS}", "Content-Type": "application/json"}
    for longer, expected in ((b"", 200), (b" ", 413)):
        connection = http.client.HTTPConnection("127.0.0.1", guarded.http_port, timeout=30)
        sent = iter([body, longer]) if encode_chunked else body + longer
        connection.request("POST", PREDICT, sent, headers, encode_chunked=encode_chunked)
        assert connection.getresponse().status == expected
        connection.close()


def test_a_message_of_grpc_has_the_same_limit(guarded):
    assert infer(guarded, "{}".ljust(MAX_BODY - 100), ASKS)[0] == grpc.StatusCode.OK
    assert infer(guarded, "{}".ljust(MAX_BODY), ASKS)[0] == grpc.StatusCode.RESOURCE_EXHAUSTED


SECRET = "user-4711-bought-this"


def test_what_a_client_writes_is_not_in_the_log(bundle, tmp_path):
    log, key = tmp_path / "log", tmp_path / "key"
    key.write_text("0123456789abcdef")
    wrong = [
        {"filters": {"any": [SECRET]}},
        {"filters": {"ranges": {SECRET: {"min": 1}}}},
        {"filters": {"ranges": {SECRET: {"min": SECRET}}}},
        {"max_per": {SECRET: 1}},
        {"k": SECRET},
        {SECRET: 1},
        {"attributes": {SECRET: [SECRET]}},
        {"attributes": {SECRET: ""}},
        {"interests": SECRET * 200},
    ]
    with running_server(bundle, "shop", 60, log, ["--log-key", str(key)]) as server:
        assert http_(server, "POST", PREDICT, json.dumps({"instances": [{"history": [SECRET]}]}))[0] == 200
        for one in wrong:
            status, _, answer = http_(server, "POST", PREDICT, json.dumps({"instances": [one]}))
            assert (status, "error" in answer) == (400, True), one
            assert infer(server, json.dumps(one))[0] == grpc.StatusCode.INVALID_ARGUMENT
        for body in (f'{{"instances": [{SECRET}]}}', json.dumps({SECRET: 1}), json.dumps([SECRET]), SECRET):
            assert http_(server, "POST", PREDICT, body)[0] == 400
            assert http_(server, "POST", PREDICT, body, **{"Content-Type": "text/plain"})[0] == 400
        assert http_(server, "POST", f"/v1/models/{SECRET}:predict", ASKED)[0] == 404
        for tensor in ({"name": SECRET}, {"datatype": SECRET}, {"shape": [2], "data": [SECRET]}, {"data": [SECRET]}):
            assert http_(server, "POST", INFER, json.dumps({"inputs": [TENSOR | tensor]}))[0] >= 400
        http_(server, "POST", PREDICT, ASKED, **{"X-Request-Id": SECRET})
    text = log.read_text()
    assert SECRET not in text and SECRET[:12] not in text
    assert re.search(r"refused a request: instance 0: filters\.any: no item has the attribute … \([0-9a-f]{12}\)", text)
    assert "refused a request: instances[0].k: int type (" in text
    assert re.search(r"refused a request: instances\[0\]\.filters\.ranges\.….min: float type \(", text)
