"""A real HTTP server on loopback that speaks the paths of the Kubernetes API that a rollout uses, with KServe behind it."""

import copy
import json
import re
import threading
import urllib.error
import urllib.request
from collections.abc import Callable
from datetime import UTC, datetime
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, urlsplit

import yaml
from helpers_http import KeepsConnections
from helpers_kserve import Controller, Document, uri

from longtail.system.machine import free_ports

NAMESPACE = "longtail"
SERVICES = f"/apis/serving.kserve.io/v1beta1/namespaces/{NAMESPACE}/inferenceservices/"
CORE = f"/api/v1/namespaces/{NAMESPACE}"
USER = "system:serviceaccount:kubeflow:longtail-pipeline"


class FakeCluster:
    """``model_server``: base address of the server that answers for all bundles but those in ``failing``."""

    def __init__(self, model_server: str, knative: bool = False) -> None:
        self.model_server, self.failing = model_server, set[str]()
        self.controller = Controller(knative=knative)
        self.service: Document | None = None
        self.events: list[Document] = []
        self.logs = "error: /mnt/models: is no longtail/bundle artifact"
        self.token = "secret-token"
        self.forbidden: set[tuple[str, str]] = set()  # verb, resource
        self.promises_all = False  # when it is asked for rights
        self.conflicts, self.owned_by_others, self.away = 0, [], 0
        self.canary_field: bool | None = True
        self.refuses_canary = False  # by the webhook
        self.config = {
            "deploy": json.dumps({"defaultDeploymentMode": "Knative" if knative else "Standard"}),
            "ingress": json.dumps({"enableGatewayApi": True}),
            "storageInitializer": json.dumps({"image": "kserve/storage-initializer:v0.20.1"}),
        }
        self.applied: list[Document] = []  # every InferenceService that was applied
        self.on_apply: Callable[[Document], None] = lambda _: None
        self.hosts: list[str] = []  # Host headers of requests that came as to a gateway
        self.removed: list[str] = []  # paths that were deleted
        self.broken_answers: Callable[[str], str] = lambda _: ""  # workload -> what is wrong with its answers: BROKEN
        self._lock = threading.RLock()
        self.port = free_ports(1)[0]  # no outgoing connection takes it while the server is away
        self.url = f"http://127.0.0.1:{self.port}"
        self.start()

    def start(self) -> None:
        cluster = self

        class Handler(KeepsConnections, BaseHTTPRequestHandler):
            def do_GET(self) -> None:
                cluster.answer(self, "get", None)

            def do_POST(self) -> None:
                cluster.answer(self, "create", self._body())

            def do_PATCH(self) -> None:
                cluster.answer(self, "patch", self._body())

            def do_DELETE(self) -> None:
                cluster.answer(self, "delete", None)

            def _body(self) -> Any:
                return json.loads(self.rfile.read(int(self.headers["Content-Length"])))

        self.server = ThreadingHTTPServer(("127.0.0.1", self.port), Handler)
        self.server.daemon_threads = True
        threading.Thread(target=self.server.serve_forever, args=(0.05,), daemon=True).start()

    def stop(self) -> None:
        self.server.shutdown()
        self.server.server_close()

    def kubeconfig(self, folder: Path) -> Path:
        path = folder / "kubeconfig"
        document = {
            "current-context": "fake",
            "contexts": [{"name": "fake", "context": {"cluster": "fake", "user": "pipeline"}}],
            "clusters": [{"name": "fake", "cluster": {"server": self.url}}],
            "users": [{"name": "pipeline", "user": {"token": self.token}}],
        }
        path.write_text(yaml.safe_dump(document))
        return path

    def answer(self, request: BaseHTTPRequestHandler, verb: str, body: Any) -> None:
        with self._lock:
            if self.away > 0:  # as behind a load balancer whose API server restarts
                self.away -= 1
                status, document = failure(503, "apiserver is shutting down")
            else:
                status, document = self._route(request, verb, body)
        if isinstance(document, Broken):
            request.wfile.write(document.raw)
            request.close_connection = True
            return
        content = document.encode() if isinstance(document, str) else json.dumps(document).encode()
        request.send_response(status)
        request.send_header("Content-Type", "application/json")
        request.send_header("Content-Length", str(len(content)))
        request.end_headers()
        request.wfile.write(content)

    def _route(self, request: BaseHTTPRequestHandler, verb: str, body: Any) -> tuple[int, Any]:
        parts = urlsplit(request.path)
        path, query = parts.path, {key: value[0] for key, value in parse_qs(parts.query).items()}
        if not path.startswith(("/api", "/openapi")):
            return self._gateway(request.headers["Host"], path, body)
        if request.headers.get("Authorization") != f"Bearer {self.token}":
            return failure(401, "Unauthorized")
        if refused := self._refused(verb, path):
            return refused
        if path.startswith(SERVICES):
            return self._apply(body, query) if verb == "patch" else self._get_service(path.removeprefix(SERVICES))
        if found := re.fullmatch(rf"{CORE}/services/([^/:]+):80/proxy(/.+)", path):
            return self._forward(found[1], found[2], body)
        if path == "/apis/authorization.k8s.io/v1/selfsubjectaccessreviews":
            asked = body["spec"]["resourceAttributes"]
            resource = "/".join(filter(None, (asked["resource"], asked["subresource"])))
            allowed = self.promises_all or (asked["verb"], resource) not in self.forbidden
            return 201, {"status": {"allowed": allowed}}
        if verb == "delete":
            self.removed.append(path)
            found = self.controller.autoscalers & {path.rpartition("/")[2]}
            self.controller.autoscalers -= found
            return (200, {"status": "Success"}) if found else failure(404, f"{path} not found")
        name = self.service["metadata"]["name"] if self.service else ""
        if path == f"/apis/gateway.networking.k8s.io/v1/namespaces/{NAMESPACE}/httproutes/{name}":
            route = self.controller.http_route(name)
            return (200, route) if route else failure(404, f"{path} not found")
        simple: dict[str, Callable[[], tuple[int, Any]]] = {
            "/openapi/v3/apis/serving.kserve.io/v1beta1": lambda: (200, self._schema()),
            "/api/v1/namespaces/kserve/configmaps/inferenceservice-config": lambda: (200, {"data": self.config}),
            f"{CORE}/pods": lambda: (200, {"items": self.controller.pods(name)}),
            f"{CORE}/events": lambda: (200, {"items": self.events}),
            f"/apis/serving.knative.dev/v1/namespaces/{NAMESPACE}/services/{name}-predictor": lambda: (
                200,
                self.controller.knative_service(name),
            ),
        }
        if path in simple:
            return simple[path]()
        if re.fullmatch(rf"{CORE}/pods/[^/]+/log", path):
            return 200, self.logs
        return failure(404, f"{path} not found")

    def _refused(self, verb: str, path: str) -> tuple[int, Any] | None:
        for forbidden_verb, resource in self.forbidden:
            if verb == forbidden_verb and all(f"/{part}" in path for part in resource.split("/")):
                group = {"inferenceservices": "serving.kserve.io", "httproutes": "gateway.networking.k8s.io"}.get(
                    resource, ""
                )
                message = (
                    f'{resource} "shop" is forbidden: User "{USER}" cannot {verb} resource "{resource}" in API group '
                )
                return failure(403, f'{message}"{group}" in the namespace "{NAMESPACE}"')
        return None

    def _get_service(self, name: str) -> tuple[int, Any]:
        if self.service is None or self.service["metadata"]["name"] != name:
            return failure(404, f'inferenceservices.serving.kserve.io "{name}" not found')
        self.controller.look(self.service)
        return 200, self.service

    def _apply(self, body: Document, query: dict[str, str]) -> tuple[int, Any]:
        """Server-side apply by one manager, whose earlier fields go where it does not name them again."""
        if self.conflicts > 0 and self.service:
            self.conflicts -= 1
            self.service["metadata"]["resourceVersion"] += "1"  # as if the controller had written in between
        given = body["metadata"].get("resourceVersion")
        if given and (self.service is None or given != self.service["metadata"]["resourceVersion"]):
            return failure(409, "Operation cannot be fulfilled: the object has been modified")
        if self.owned_by_others and query["force"] != "true":
            causes = [
                {"reason": "FieldManagerConflict", "field": name, "message": 'conflict with "kubectl"'}
                for name in self.owned_by_others
            ]
            return failure(409, "Apply failed with 1 conflict", {"causes": causes})
        if self.refuses_canary and "canary" in body["spec"]:
            return failure(400, 'admission webhook "inferenceservice.validator" denied the request: no canary')
        before = self.service or {"metadata": {"generation": 0, "resourceVersion": "1"}}
        changed = before.get("spec") != body["spec"]
        self.service = copy.deepcopy(body) | {"status": before.get("status", {})}
        self.service["metadata"] |= {
            "generation": before["metadata"]["generation"] + changed,
            "resourceVersion": before["metadata"]["resourceVersion"] + "0",
            "managedFields": [{"manager": "longtail", "operation": "Apply", "time": timestamp()}],
        }
        self.applied.append(copy.deepcopy(body))
        self.controller.reconcile(self.service)
        self.on_apply(self.service)
        return 200, self.service

    def _gateway(self, host: str, path: str, body: Any) -> tuple[int, Any]:
        self.hosts.append(host)
        assert self.service
        workload = self.controller.gateway_sends_to(self.service["metadata"]["name"])
        if self.controller.served_by(workload) is None:
            return 503, "no healthy upstream"
        return self._forward(workload, path, body)

    def _forward(self, workload: str, path: str, body: Any) -> tuple[int, Any]:
        served = self.controller.served_by(workload)
        if served is None:
            return failure(503, f'no endpoints available for service "{workload}"')
        if uri(served) in self.failing:
            return 500, {"error": "internal error of the model"}
        if kind := self.broken_answers(uri(served)):
            return 200, Broken(BROKEN[kind])
        request = urllib.request.Request(self.model_server + path, json.dumps(body).encode())
        request.add_header("Content-Type", "application/json")
        try:
            with urllib.request.build_opener(urllib.request.ProxyHandler({})).open(request) as answer:
                return answer.status, json.load(answer)
        except urllib.error.HTTPError as error:
            return error.code, error.read().decode()
        except OSError as error:
            return failure(503, f"error trying to reach service: {error}")

    def _schema(self) -> Document:
        spec: Document = {"properties": {"predictor": {}} | ({"canary": {}} if self.canary_field else {})}
        kind = {
            "x-kubernetes-group-version-kind": [{"kind": "InferenceService"}],
            "properties": {"spec": {} if self.canary_field is None else spec},
        }
        return {"components": {"schemas": {"a.List": {}, "b.InferenceService": kind}}}


def timestamp() -> str:
    return datetime.now(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")


class Broken:
    """What goes over the wire instead of an answer."""

    def __init__(self, raw: bytes) -> None:
        self.raw = raw


def _with_body(body: bytes) -> bytes:
    """A whole answer. It says that the connection ends, as it does: else a client may send its next request into it."""
    head = b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nConnection: close\r\nContent-Length: %d\r\n\r\n"
    return head % len(body) + body


BROKEN = {
    "breaks off": b'HTTP/1.1 200 OK\r\nContent-Length: 99\r\n\r\n{"pred',
    "refusal breaks off": b'HTTP/1.1 500 Internal Server Error\r\nContent-Length: 99\r\n\r\n{"err',
    "is not HTTP": b"garbage\r\n\r\n",
    "is empty": b"",
    "has no length": b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\n",
    "is not JSON": _with_body(b"{]"),
    "is not text": _with_body(b"\xff\xfe"),
    "has no predictions": _with_body(b'{"answer": 1}'),
    "is a list": _with_body(b"[]"),
    "has too few predictions": _with_body(b'{"predictions": []}'),
    "has other predictions": _with_body(b'{"predictions": [{"items": [{"item_id": "a", "score": null}]}]}'),
}


def failure(status: int, message: str, details: Document | None = None) -> tuple[int, Document]:
    return status, {"kind": "Status", "status": "Failure", "message": message, "code": status, "details": details or {}}


def warning(name: str, reason: str, message: str, at: str | None = None) -> Document:
    about = {"type": "Warning", "involvedObject": {"name": name}, "reason": reason, "message": message}
    return about | {"lastTimestamp": at or timestamp()}
