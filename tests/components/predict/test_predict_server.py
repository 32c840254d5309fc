"""The real server, as a process of its own, on loopback."""

import json
import os
import signal
import socket
import subprocess
import sys
import time
import urllib.error
import urllib.request
from concurrent.futures import ThreadPoolExecutor

import grpc
import numpy as np
import pytest
from helpers_hand_bundle import write_hand_bundle
from kserve import InferInput, InferRequest, InferResponse
from kserve.protocol.grpc.grpc_predict_v2_pb2_grpc import GRPCInferenceServiceStub

from longtail.components.deploy.local_server import running_server
from longtail.components.predict.client import ask
from longtail.components.predict.server import main
from longtail.contracts.errors import PORT_EXIT_CODE, UserError
from longtail.registry.bundles import bundle_id
from longtail.rollout.addresses import at
from longtail.rollout.answers import ask_v2
from longtail.scoring.recommender import Recommender
from longtail.system.http import call, fetch
from longtail.system.machine import free_ports

# history a: q = (1.1, .2), see test_scorer: b = 1.05, c = .97, d = -1.2
AFTER_A = [("b", "Blue lamp", 1.05), ("c", None, 0.97), ("d", "Chair", -1.2)]


@pytest.fixture(scope="module")
def bundle(tmp_path_factory):
    return write_hand_bundle(tmp_path_factory.mktemp("served") / "bundle")


@pytest.fixture(scope="module")
def server(bundle, tmp_path_factory):
    with running_server(bundle, "shop", 60, tmp_path_factory.mktemp("log") / "server.log") as handle:
        yield handle


def post(url, body):
    """Status and JSON of a raw body."""
    request = urllib.request.Request(url, body, {"Content-Type": "application/json"})
    try:
        with urllib.request.build_opener(urllib.request.ProxyHandler({})).open(request, timeout=30) as answer:
            return answer.status, json.loads(answer.read())
    except urllib.error.HTTPError as error:
        return error.code, json.loads(error.read())


def ask_grpc(server, texts, raw):
    tensor = InferInput("request", [len(texts)], "BYTES", [text.encode() for text in texts])
    if raw:
        tensor.set_data_from_numpy(np.array([text.encode() for text in texts], dtype=np.object_), binary_data=True)
    with grpc.insecure_channel(f"127.0.0.1:{server.grpc_port}", [("grpc.enable_http_proxy", 0)]) as channel:
        message = GRPCInferenceServiceStub(channel).ModelInfer(InferRequest("shop", [tensor]).to_grpc(), timeout=30)
    return [json.loads(text) for text in InferResponse.from_grpc(message).outputs[0].as_numpy()]


def shown(prediction):
    return [(item["item_id"], item["title"], pytest.approx(item["score"])) for item in prediction["items"]]


def test_v1_answers_with_titles_scores_and_reasons(server):
    (prediction,) = ask(server.url, "shop", [{"history": ["a"], "k": 3}])
    assert shown(prediction) == AFTER_A
    assert [item["reason"] for item in prediction["items"]] == [
        "because of Red lamp in your history",
        "because of Red lamp in your history",
        "fits your history as a whole",
    ]
    assert (prediction["segment"], prediction["unknown_items"], prediction["unknown_attributes"]) == ("tail", [], [])


def test_v1_each_instance_has_its_own_k_and_segment(server):
    cold, tail, torso = ask(server.url, "shop", [{"k": 1}, {"history": ["a"], "k": 2}, {"history": ["a"] * 5}])
    assert [item["item_id"] for item in cold["items"]] == ["a"]
    assert shown(tail) == AFTER_A[:2]
    assert [item["item_id"] for item in torso["items"]] == ["b", "c", "d"]  # all but the history
    assert [cold["segment"], tail["segment"], torso["segment"]] == ["cold", "tail", "torso"]


def test_unknown_items_and_attributes_are_listed_and_change_nothing(server):
    asked = {"history": ["z", "a", "y"], "attributes": {"gender": "F", "shoe": 42}, "k": 3}
    plain, unknown = ask(server.url, "shop", [{"history": ["a"], "attributes": ["gender=F"], "k": 3}, asked])
    assert (unknown["unknown_items"], unknown["unknown_attributes"]) == (["z", "y"], ["shoe=42"])
    assert unknown["items"] == plain["items"]
    assert unknown["segment"] == "tail"


def test_a_history_of_thousands_is_answered_as_evaluated(server, bundle):
    history = [*(["d", "c", "z"] * 4000), "a"]
    (prediction,) = ask(server.url, "shop", [{"history": history, "k": 3}])
    evaluated = Recommender.load(bundle).recommend(history, k=3)
    assert shown(prediction) == [(item.item_id, item.title, pytest.approx(item.score)) for item in evaluated.items]
    assert [item["item_id"] for item in prediction["items"]] == ["b"]
    assert set(prediction["unknown_items"]) == {"z"}


def test_interests_are_read(server):
    (prediction,) = ask(server.url, "shop", [{"interests": "red lamp", "k": 1}])
    # behaviour 1.8, 1.11, 1.17 and -.8 stands 1.01 deviations above its mean, and relevance to it is 3.455 (test_scorer)
    (item,) = prediction["items"]
    assert (item["item_id"], item["score"]) == ("a", pytest.approx(1.005 + 2.5 * 3.455, abs=5e-3))
    assert item["reason"] == "near your interest in red lamp"
    assert not prediction["nothing_fits"]
    (prediction,) = ask(server.url, "shop", [{"interests": "a table"}])
    assert prediction["nothing_fits"]


def test_what_may_be_given_is_asked_for(server, bundle):
    asked = {"candidates": ["d", "c", "a"], "exclude": ["a"], "filters": {"all": ["x"]}, "k": 3}
    (prediction,) = ask(server.url, "shop", [asked])
    assert [item["item_id"] for item in prediction["items"]] == ["c", "d"]
    assert prediction["fewer_than_k"] == "of 4 items, 3 are candidates, 2 are not excluded"
    assert prediction["bundle_version"] == bundle_id((bundle / "manifest.json").read_bytes())


@pytest.mark.parametrize(
    ("asked", "message"),
    [
        ({"filters": {"none": ["y"]}}, "instance 0: filters.none: no item has the attribute 'y'"),
        ({"filters": {"ranges": {"price": {"min": 1}}}}, "instance 0: filters.ranges: items have no number 'price'"),
        ({"max_per": {"brand": 1}}, "instance 0: max_per: no item has the attribute 'brand'"),
    ],
)
def test_what_no_item_has_is_refused(server, asked, message):
    status, answer = post(f"{server.url}/v1/models/shop:predict", json.dumps({"instances": [asked]}).encode())
    assert (status, answer["error"].startswith(message)) == (400, True)


def test_v2_and_grpc_answer_as_v1_does(server):
    instances = [{"history": ["b", "a"]}, {}, {"history": ["ä"], "k": 2}, {"similar_to": ["a"], "diversity": 0.5}]
    instances.append({"history": ["a"], "explain": False})
    expected = ask(server.url, "shop", instances)
    texts = [json.dumps(instance) for instance in instances]
    assert expected[2]["unknown_items"] == ["ä"]
    assert [item["source"] for item in expected[-1]["items"]] == [None] * 3
    (number,) = {prediction.pop("request_id") for prediction in expected}
    for answers in (
        ask_v2(at(server.url), "shop", instances),
        ask_grpc(server, texts, raw=False),
        ask_grpc(server, texts, raw=True),
    ):
        (other,) = {prediction.pop("request_id") for prediction in answers}
        assert answers == expected and other != number


@pytest.mark.parametrize(
    ("given", "same"), [("order-7:a.b_c", True), ("", False), ("two words", False), ("x" * 129, False)]
)
def test_an_answer_carries_the_id_of_its_request(server, given, same):
    body, headers = b'{"instances": [{}, {}]}', {"Content-Type": "application/json", "X-Request-Id": given}
    answer = json.loads(fetch(f"{server.url}/v1/models/shop:predict", body, headers=headers))
    (number,) = {prediction["request_id"] for prediction in answer["predictions"]}
    assert (number == given) is same and len(number) in (len(given), 32)


@pytest.mark.parametrize(("given", "returned"), [({"id": "7"}, "7"), ({}, "")])
def test_v2_returns_the_id_of_the_request(server, given, returned):
    tensor = {"name": "request", "datatype": "BYTES", "shape": [1], "data": ["{}"]}
    answer = call(f"{server.url}/v2/models/shop/infer", {"inputs": [tensor], **given})
    assert answer["id"] == returned
    number = json.loads(answer["outputs"][0]["data"][0])["request_id"]
    assert number == returned if returned else len(number) == 32


def test_v2_metadata_names_the_tensors(server):
    metadata = call(f"{server.url}/v2/models/shop")
    assert metadata["inputs"] == [{"name": "request", "datatype": "BYTES", "shape": [-1]}]
    assert metadata["outputs"] == [{"name": "recommendations", "datatype": "BYTES", "shape": [-1]}]


@pytest.mark.parametrize(
    ("body", "message"),
    [
        (b'{"instances": [{"k": 5}]}', "instance 0: k is 5, but the catalogue holds 4 items; ask for fewer"),
        (b'{"instances": [{}, {"k": 101}]}', "instance 1: k is 101, but at most 100 items are given; ask for fewer"),
        (b'{"instances": [{}, {"k": 0}]}', "instances[1].k: input should be greater than or equal to 1 (given: '0')"),
        (
            b'{"instances": [{"user": "u"}]}',
            "instances[0] has the unknown key 'user'; known: attributes, candidates, context, diversity, diversity_by, diversity_on, exclude, explain, explore, filters, fold, history, interests, k, max_per, similar_to",
        ),
        (b'{"instances": []}', "instances holds 0 users; give 1 to 64 in a request"),
        (b"[1]", 'the body must be {"instances": [{"history": ["item id", ...], "k": 10}, ...]}'),
    ],
)
def test_bad_input_is_a_400_with_one_clear_message(server, body, message):
    assert post(f"{server.url}/v1/models/shop:predict", body) == (400, {"error": message})


def test_a_body_that_is_no_json_is_a_400(server):
    status, answer = post(f"{server.url}/v1/models/shop:predict", b"{")
    assert status == 400
    assert "Unrecognized request format" in answer["error"]


def test_bad_v2_input_is_a_400_over_http_and_invalid_argument_over_grpc(server):
    tensor = {"name": "history", "datatype": "BYTES", "shape": [1], "data": ["a"]}
    status, answer = post(f"{server.url}/v2/models/shop/infer", json.dumps({"inputs": [tensor]}).encode())
    assert status == 400
    assert answer["error"].startswith("one input tensor named 'request'")
    with pytest.raises(grpc.RpcError) as caught:
        ask_grpc(server, ['{"k": -1}'], raw=False)
    assert caught.value.code() == grpc.StatusCode.INVALID_ARGUMENT
    assert caught.value.details().startswith("request[0].k: input should be greater")


def test_the_client_tells_what_the_server_refused(server):
    with pytest.raises(UserError, match=r"k is 9, but the catalogue holds 4 items; ask for fewer \(HTTP 400\)"):
        ask(server.url, "shop", [{"k": 9}])
    with pytest.raises(UserError, match=r"Model with name sh does not exist. \(HTTP 404\)"):
        ask(server.url, "sh", [{}])


def test_no_client_can_unload_the_model(server):
    for action in ("unload", "load"):
        status, answer = post(f"{server.url}/v2/repository/models/shop/{action}", b"")
        assert (status, answer["error"]) == (
            400,
            "this server's model is fixed; start another server for another bundle",
        )
    assert ask(server.url, "shop", [{}])


def test_parallel_clients_get_the_answers_of_sequential_ones(server):
    rng = np.random.default_rng(0)
    asked = [{"history": list(rng.choice(["a", "b", "c", "z"], size=rng.integers(0, 12))), "k": 1} for _ in range(120)]
    asked = [json.loads(json.dumps(one, default=str)) for one in asked]

    def answer(one):
        (prediction,) = ask(server.url, "shop", [one])
        return prediction.pop("request_id"), prediction

    ids, one_by_one = zip(*map(answer, asked))
    with ThreadPoolExecutor(8) as clients:
        others, at_once = zip(*clients.map(answer, asked))
    assert at_once == one_by_one
    assert len({*ids, *others}) == 2 * len(asked)


@pytest.mark.slow
def test_the_server_ends_quietly_on_sigterm_after_bad_and_good_requests(bundle, tmp_path):
    log = tmp_path / "server.log"
    with running_server(bundle, "shop", 60, log) as handle:
        ask(handle.url, "shop", [{}])
        with pytest.raises(UserError):
            ask(handle.url, "shop", [{"k": 9}])
        os.kill(handle.pid, signal.SIGTERM)
        assert wait_until_gone(handle.http_port)
    text = log.read_text()
    assert "Traceback" not in text
    assert text.count("refused a request: instance 0: k is 9") == 1
    assert len(text.splitlines()) <= 4, text


def wait_until_gone(port, seconds=20):
    deadline = time.monotonic() + seconds
    while time.monotonic() < deadline:
        with socket.socket() as probe:
            if probe.connect_ex(("127.0.0.1", port)):
                return True
        time.sleep(0.1)
    return False


GATED_SERVER = """
import pathlib, sys, time
from longtail.scoring.scorer import Scorer
score, gate = Scorer.score, pathlib.Path(sys.argv.pop(1))
def gated(self, queries):
    if len(queries) == 2:
        print("in flight", flush=True)
        while not gate.exists():
            time.sleep(0.05)
    return score(self, queries)
Scorer.score = gated
from longtail.components.predict.server import main
sys.exit(main(sys.argv[1:]))
"""


@pytest.mark.slow
def test_a_long_request_blocks_nobody_and_finishes_after_sigterm(bundle, tmp_path):
    http_port, grpc_port = free_ports(2)
    url, gate = f"http://127.0.0.1:{http_port}", tmp_path / "gate"
    options = ["--bundle", str(bundle), "--http-port", str(http_port), "--grpc-port", str(grpc_port)]
    process = subprocess.Popen(
        [sys.executable, "-c", GATED_SERVER, str(gate), *options], stdout=subprocess.PIPE, text=True
    )
    try:
        wait_until_ready(f"{url}/v2/models/longtail/ready")
        with ThreadPoolExecutor(1) as client:
            long = client.submit(ask, url, "longtail", [{}, {}])
            assert process.stdout.readline() == "in flight\n"
            assert call(f"{url}/v2/health/live", timeout_seconds=20) == {"live": True}
            process.terminate()
            assert wait_until_gone(http_port)  # takes no new connections
            assert not long.done()
            gate.touch()
            assert len(long.result(30)) == 2
        assert process.wait(30) == 0
    finally:
        gate.touch()
        process.kill()
        process.wait()
        process.stdout.close()


def wait_until_ready(url, seconds=60):
    deadline = time.monotonic() + seconds
    while True:
        try:
            return call(url)
        except UserError:
            if time.monotonic() > deadline:
                raise
            time.sleep(0.1)


@pytest.mark.parametrize("option", ["--http-port", "--grpc-port"])
def test_a_port_in_use_is_named_with_the_remedy(bundle, option, capsys):
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = taken.getsockname()[1]
        assert main(["--bundle", str(bundle), option, str(port)]) == PORT_EXIT_CODE
    assert capsys.readouterr().err == (
        f"error: port {port} is in use; stop what listens there, or give {option} another port (0 chooses a free one)\n"
    )


@pytest.mark.slow
@pytest.mark.parametrize("option", ["--http-port", "--grpc-port"])
def test_a_port_that_is_taken_while_the_model_is_loaded_is_named_too(bundle, option):
    """As between the look at the port and listening on it, which take seconds apart."""
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = taken.getsockname()[1]
        blind = "from longtail.components.predict import server; server.port_in_use = lambda port: False; "
        command = [sys.executable, "-c", blind + "raise SystemExit(server.main())"]
        ended = subprocess.run(
            [*command, "--bundle", str(bundle), option, str(port)], capture_output=True, text=True, timeout=60
        )
    assert ended.returncode == PORT_EXIT_CODE
    assert f"error: port {port} is in use; stop what listens there, or give {option} another port" in ended.stderr


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (["--http-port", "70000"], "--http-port 70000: is no port; take 1 to 65535"),
        (["--http-port", "-1"], "--http-port -1: is no port"),
    ],
)
def test_bad_ports_are_refused(options, message, capsys):
    assert main(options) == 2
    assert message in capsys.readouterr().err


def test_fewer_items_than_are_given_unasked_are_no_limit(bundle, capsys):
    assert main(["--bundle", str(bundle), "--max-k", "9"]) == 2
    assert capsys.readouterr().err == "error: max_k is 9, but who names no k gets 10 items; give at least that\n"


def test_both_ports_must_differ(capsys):
    port = str(free_ports(1)[0])
    assert main(["--http-port", port, "--grpc-port", port]) == 2
    assert f"--http-port and --grpc-port are both {port}" in capsys.readouterr().err


@pytest.mark.slow
def test_overload_is_said_with_when_to_come_back(bundle, tmp_path):
    """A limit that the answer to a great request does not keep."""
    great = [{"history": ["a", "b", "c", "d"] * 2000}] * 64
    with running_server(bundle, "shop", 60, tmp_path / "log", ["--max-seconds", "0.000001"]) as server:
        request = urllib.request.Request(
            f"{server.url}/v1/models/shop:predict",
            json.dumps({"instances": great}).encode(),
            {"Content-Type": "application/json"},
        )
        with pytest.raises(urllib.error.HTTPError) as refused:
            urllib.request.build_opener(urllib.request.ProxyHandler({})).open(request, timeout=30)
        assert (refused.value.code, refused.value.headers["Retry-After"]) == (503, "1")
        assert "overloaded: no answer within" in refused.value.read().decode()
        with pytest.raises(grpc.RpcError) as unavailable:
            ask_grpc(server, [json.dumps(one) for one in great], raw=False)
        assert unavailable.value.code() is grpc.StatusCode.UNAVAILABLE
        assert 'outcome="turned_away"} 2.0' in fetch(f"{server.url}/metrics").decode()
