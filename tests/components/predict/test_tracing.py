"""Traces reach a collector on loopback, as children of the client's own span."""

import http.server
import json
import os
import queue
import subprocess
import sys
import threading

import grpc
import pytest
from helpers_hand_bundle import write_hand_bundle
from kserve import InferInput, InferRequest
from kserve.protocol.grpc.grpc_predict_v2_pb2_grpc import GRPCInferenceServiceStub
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest
from opentelemetry.proto.trace.v1.trace_pb2 import Span, Status

from longtail.components.deploy.local_server import running_server
from longtail.components.predict.server import main
from longtail.components.predict.tracing import traces_from_environment
from longtail.contracts.errors import UserError
from longtail.registry.bundles import bundle_id
from longtail.system.http import call

pytestmark = pytest.mark.slow  # they start the model server

TRACE, PARENT = "0af7651916cd43dd8448eb211c80319c", "b7ad6b7169203331"
OF_CLIENT = f"00-{TRACE}-{PARENT}-01"


@pytest.fixture(autouse=True)
def no_settings_of_this_machine(monkeypatch):
    for name in [name for name in os.environ if name.startswith("OTEL_")]:
        monkeypatch.delenv(name)


class Collector:
    """What OTLP's receiver is: takes protobuf at /v1/traces."""

    def __init__(self):
        collector, self.requests = self, queue.Queue()

        class Handler(http.server.BaseHTTPRequestHandler):
            def do_POST(self):
                body = self.rfile.read(int(self.headers["Content-Length"]))
                collector.requests.put((self.path, self.headers["Content-Type"], body))
                self.send_response(200)
                self.send_header("Content-Length", "0")
                self.end_headers()

            def log_message(self, *_):
                pass

        self._server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.url = f"http://127.0.0.1:{self._server.server_port}"
        threading.Thread(target=self._server.serve_forever, daemon=True).start()

    def close(self):
        self._server.shutdown()
        self._server.server_close()

    def spans(self):
        """Of all that has come: (service, spans)."""
        services, spans = set(), []
        while not self.requests.empty():
            path, kind, body = self.requests.get()
            assert (path, kind) == ("/v1/traces", "application/x-protobuf")
            for resource in ExportTraceServiceRequest.FromString(body).resource_spans:
                services |= {
                    one.value.string_value for one in resource.resource.attributes if one.key == "service.name"
                }
                spans += [span for scope in resource.scope_spans for span in scope.spans]
        return services, spans


@pytest.fixture
def collector():
    collector = Collector()
    yield collector
    collector.close()


@pytest.fixture
def bundle(tmp_path):
    return write_hand_bundle(tmp_path / "bundle")


def attributes(span):
    kinds = {
        "string_value": str,
        "int_value": int,
        "array_value": lambda many: [one.string_value for one in many.values],
    }
    return {
        one.key: kinds[kind](getattr(one.value, kind))
        for one in span.attributes
        for kind in [one.value.WhichOneof("value")]
    }


def test_a_request_is_a_child_of_the_clients_span(bundle, tmp_path, collector, monkeypatch):
    """The server sends what is left when it ends."""
    monkeypatch.setenv("OTEL_EXPORTER_OTLP_ENDPOINT", collector.url)
    monkeypatch.setenv("OTEL_SERVICE_NAME", "the-shop")
    monkeypatch.setenv("NO_PROXY", "127.0.0.1")
    asked = [{"history": ["a"], "interests": "secret words", "k": 3}, {"k": 2}]
    with running_server(bundle, "shop", 60, tmp_path / "log") as server:
        address = f"{server.url}/v1/models/shop:predict"
        call(address, {"instances": asked}, headers={"traceparent": OF_CLIENT})
        with pytest.raises(UserError, match="input should be greater"):
            call(address, {"instances": [{"k": 0}]})
        tensor = InferInput("request", [1], "BYTES", [json.dumps({"history": ["b"]}).encode()])
        with grpc.insecure_channel(f"127.0.0.1:{server.grpc_port}", [("grpc.enable_http_proxy", 0)]) as channel:
            message = InferRequest("shop", [tensor]).to_grpc()
            metadata = [("traceparent", OF_CLIENT)]
            GRPCInferenceServiceStub(channel).ModelInfer(message, timeout=30, metadata=metadata)
    services, spans = collector.spans()
    assert services == {"the-shop"}
    rest, refused, by_grpc = sorted(
        (span for span in spans if span.name == "recommend"), key=lambda span: span.start_time_unix_nano
    )
    version = bundle_id((bundle / "manifest.json").read_bytes())
    told = {"longtail.model": "shop", "longtail.outcome": "served", "longtail.bundle_version": version}
    assert attributes(rest) == told | {"longtail.users": 2, "longtail.k": 3, "longtail.segments": ["cold", "tail"]}
    assert attributes(by_grpc) == told | {"longtail.users": 1, "longtail.k": 10, "longtail.segments": ["tail"]}
    assert attributes(refused) == {"longtail.model": "shop", "longtail.outcome": "refused"}
    for span in (rest, by_grpc):
        assert (span.trace_id.hex(), span.parent_span_id.hex()) == (TRACE, PARENT)
        assert span.kind == Span.SPAN_KIND_SERVER
    assert refused.trace_id.hex() != TRACE and not refused.parent_span_id
    check_children(rest, spans)
    assert not any(word in str(spans) for word in ("secret", '"a"', "lamp"))


def check_children(span, spans):
    """One after the other, within the whole."""
    children = sorted(
        (one for one in spans if one.parent_span_id == span.span_id), key=lambda one: one.start_time_unix_nano
    )
    assert [child.name for child in children] == ["reading", "waiting", "scoring"]
    moment = span.start_time_unix_nano
    for child in children:
        assert child.trace_id == span.trace_id
        assert child.start_time_unix_nano == moment <= child.end_time_unix_nano
        moment = child.end_time_unix_nano
    assert moment <= span.end_time_unix_nano


def test_who_is_turned_away_is_an_error_without_scores(bundle, tmp_path, collector, monkeypatch):
    monkeypatch.setenv("OTEL_EXPORTER_OTLP_TRACES_ENDPOINT", f"{collector.url}/v1/traces")
    monkeypatch.setenv("NO_PROXY", "127.0.0.1")
    great = [{"history": ["a", "b", "c", "d"] * 2000}] * 64
    with (
        running_server(bundle, "shop", 60, tmp_path / "log", ["--max-seconds", "0.000001"]) as server,
        pytest.raises(UserError, match="overloaded"),
    ):
        call(f"{server.url}/v1/models/shop:predict", {"instances": great})
    services, spans = collector.spans()
    assert services == {"shop"}  # the model's name, where none is given
    (span,) = [span for span in spans if span.name == "recommend"]
    assert span.status.code == Status.STATUS_CODE_ERROR
    assert attributes(span)["longtail.outcome"] == "turned_away"
    assert {"reading"} <= {one.name for one in spans} - {"recommend"}


@pytest.mark.parametrize("settings", [{}, {"OTEL_EXPORTER_OTLP_ENDPOINT": "http://x", "OTEL_SDK_DISABLED": "true"}])
def test_nothing_is_imported_where_nothing_is_configured(bundle, settings):
    code = (
        "import sys\nfrom longtail.components.predict.model import RecommendationModel\n"
        "model = RecommendationModel('shop', sys.argv[1])\nmodel.load()\n"
        "print(model._traces, 'opentelemetry.sdk' in sys.modules)"
    )
    done = subprocess.run(
        [sys.executable, "-c", code, str(bundle)], capture_output=True, text=True, env=os.environ | settings
    )
    assert done.stdout == "None False\n", done.stderr


def test_missing_packages_end_the_server_with_one_clear_line(bundle, monkeypatch, capsys):
    monkeypatch.setenv("OTEL_EXPORTER_OTLP_ENDPOINT", "http://127.0.0.1:4318")
    monkeypatch.setitem(sys.modules, "opentelemetry.sdk.trace", None)
    assert main(["--bundle", str(bundle)]) == 2
    said = capsys.readouterr().err.strip()
    assert said.startswith("error: OTEL_EXPORTER_OTLP_ENDPOINT is set, but traces need packages that are not installed")
    assert said.endswith("pip install 'longtail[tracing]', or unset it") and "\n" not in said


def test_another_protocol_is_refused(monkeypatch):
    monkeypatch.setenv("OTEL_EXPORTER_OTLP_ENDPOINT", "http://127.0.0.1:4317")
    monkeypatch.setenv("OTEL_EXPORTER_OTLP_PROTOCOL", "grpc")
    with pytest.raises(
        UserError, match="OTEL_EXPORTER_OTLP_PROTOCOL is grpc, but traces are sent by http/protobuf alone"
    ):
        traces_from_environment("shop")
