"""Submitting, against a small stand-in for the pipelines API that speaks HTTP."""

import json
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import pytest

from longtail.contracts.errors import UserError
from longtail.contracts.machine import free_ports
from longtail.contracts.settings import RunSettings
from longtail.pipelines.cluster import submit
from longtail.pipelines.parameters import arguments

INPUTS = arguments("s3://shop/log.parquet", "s3://shop/items.parquet", None, RunSettings())


class Api(BaseHTTPRequestHandler):
    """Knows one experiment and starts every run; ``status`` other than 200 refuses everything."""

    status = 200
    refuse_runs = False
    runs: list[dict] = []  # noqa: RUF012
    tokens: set[str | None] = set()  # noqa: RUF012

    def answer(self, document):
        body = json.dumps(document).encode()
        self.tokens.add(self.headers["Authorization"])
        self.send_response(403 if self.refuse_runs and self.path.endswith("/runs") else self.status)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def do_GET(self):
        self.answer({"multi_user": False, "experiment_id": "e1", "display_name": "longtail", "experiments": [
            {"experiment_id": "e1", "display_name": "longtail"}]})  # fmt: skip

    def do_POST(self):
        body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
        if self.path.endswith("/runs"):
            self.runs.append(body)
            self.answer({"run_id": "r1", "experiment_id": "e1"})
        else:
            self.answer({"experiment_id": "e1", "display_name": "longtail"})

    def log_message(self, *_):
        pass


@pytest.fixture
def api(monkeypatch, tmp_path):
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.setenv("no_proxy", "127.0.0.1")
    monkeypatch.setattr(Api, "status", 200)
    monkeypatch.setattr(Api, "runs", [])
    monkeypatch.setattr(Api, "tokens", set())
    server = ThreadingHTTPServer(("127.0.0.1", 0), Api)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    yield f"http://127.0.0.1:{server.server_port}"
    server.shutdown()
    server.server_close()


def test_run_is_started_with_the_pipeline_and_its_parameters(api):
    assert submit(api, "kubeflow", INPUTS) == f"{api}/#/runs/details/r1"
    (run,) = Api.runs
    assert run["runtime_config"]["parameters"] == INPUTS
    spec = run["pipeline_spec"]
    assert spec.get("pipeline_spec", spec)["pipelineInfo"]["name"] == "longtail-activation"


def test_refusal_names_host_and_status(api, monkeypatch):
    monkeypatch.setattr(Api, "status", 403)
    with pytest.raises(UserError, match=rf"^{api}/apis/.*HTTP 403\).*KFP_TOKEN"):
        submit(api, "kubeflow", INPUTS)


def test_host_that_nobody_listens_on(monkeypatch, tmp_path):
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.setenv("no_proxy", "127.0.0.1")
    host = f"http://127.0.0.1:{free_ports(1)[0]}"
    with pytest.raises(UserError, match=rf"^{host}/apis/.*no answer .*refused.*port-forward"):
        submit(host, "kubeflow", INPUTS)


def test_refusal_of_the_run_itself(api, monkeypatch):
    monkeypatch.setattr(Api, "refuse_runs", True)
    with pytest.raises(UserError, match=rf"^{api}: the pipelines API refused \(403 Forbidden\); check --host"):
        submit(api, "kubeflow", INPUTS)


def test_token_is_sent(api):
    submit(api, "kubeflow", INPUTS, token="secret")
    assert Api.tokens == {"Bearer secret"}


def test_local_paths_are_refused_before_anything_is_sent(api):
    local = arguments("log.parquet", "s3://shop/items.parquet", None, RunSettings())
    with pytest.raises(UserError, match=r"--interactions log\.parquet: is a path on this machine"):
        submit(api, "kubeflow", local)
    assert Api.runs == []
