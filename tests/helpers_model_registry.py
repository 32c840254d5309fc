"""Kubeflow Model Registry's REST API, as far as a registry of bundles uses it: a real HTTP server on loopback.

As the real one it numbers entities, refuses a second one of the same name and parent (409), says 404 for what it does not find,
and hands lists out in pages.
"""

import itertools
import json
import threading
import time
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from urllib.parse import parse_qs, urlsplit

import pytest
from helpers_http import KeepsConnections

ROOT = "/api/model_registry/v1/"
PAGE = 2  # smaller than asked for, as a server may
PARENTS = {
    "registered_models": (),
    "model_versions": ("registeredModelId",),
    "serving_environments": (),
    "inference_services": ("servingEnvironmentId",),
    "serves": ("inferenceServiceId",),
    "artifacts": ("modelVersionId",),
}


class Entities:
    """What is stored. ``refuse``: an HTTP status that answers everything; ``tokens``: Authorization headers that came."""

    def __init__(self) -> None:
        self.kinds: dict[str, list[dict]] = {kind: [] for kind in PARENTS}
        self.refuse: int | None = None
        self.tokens: set[str | None] = set()
        self.lock = threading.Lock()
        self.numbers = itertools.count(1)

    def add(self, kind: str, document: dict) -> dict | None:
        with self.lock:
            keys = ("name", *PARENTS[kind])
            if any(all(there.get(key) == document.get(key) for key in keys) for there in self.kinds[kind]):
                return None
            now = str(int(time.time() * 1000))
            stored = document | {
                "id": str(next(self.numbers)),
                "createTimeSinceEpoch": now,
                "lastUpdateTimeSinceEpoch": now,
            }
            self.kinds[kind].append(stored)
            return stored


class Api(KeepsConnections, BaseHTTPRequestHandler):
    def do_GET(self) -> None:
        parts, query, entities = self._asked()
        match parts:
            case ["registered_model" | "model_version" | "serving_environment" | "inference_service" as kind]:
                wanted = {"name": query.get("name")}
                if parent := PARENTS[f"{kind}s"]:
                    wanted[parent[0]] = query.get("parentResourceId")
                found = [e for e in entities.kinds[f"{kind}s"] if all(e.get(k) == v for k, v in wanted.items())]
                self._answer(200 if found else 404, found[0] if found else {"code": "404", "message": "not found"})
            case ["model_versions", id]:
                found = [e for e in entities.kinds["model_versions"] if e["id"] == id]
                self._answer(200 if found else 404, found[0] if found else {"code": "404", "message": "not found"})
            case ["inference_services" | "model_versions" as owner, id, "serves" | "artifacts" as kind]:
                parent = "inferenceServiceId" if owner == "inference_services" else "modelVersionId"
                found = [e for e in entities.kinds[kind] if e[parent] == id]
                start = int(query.get("nextPageToken") or 0)
                after = str(start + PAGE) if start + PAGE < len(found) else ""
                page = found[start : start + PAGE]
                shown = [{k: v for k, v in e.items() if k != "inferenceServiceId"} for e in page]
                self._answer(200, {"items": shown, "size": len(page), "pageSize": PAGE, "nextPageToken": after})
            case _:
                self._answer(404, {"code": "404", "message": "no such path"})

    def do_POST(self) -> None:
        parts, _, entities = self._asked()
        document = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
        kind = parts[-1]
        if len(parts) == 3:  # below its owner
            document["inferenceServiceId" if kind == "serves" else "modelVersionId"] = parts[1]
        stored = entities.add(kind, document)
        self._answer(201 if stored else 409, stored or {"code": "409", "message": "already exists"})

    def _asked(self) -> tuple[list[str], dict[str, str], Entities]:
        url, entities = urlsplit(self.path), self.server.entities
        entities.tokens.add(self.headers["Authorization"])
        parts = url.path.removeprefix(ROOT).split("/") if url.path.startswith(ROOT) else []
        return parts, {key: values[0] for key, values in parse_qs(url.query).items()}, entities

    def _answer(self, status: int, document: dict) -> None:
        if self.server.entities.refuse:
            status, document = self.server.entities.refuse, {"code": "refused", "message": "refused"}
        body = json.dumps(document).encode()
        self.send_response(status)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)


@pytest.fixture
def model_registry() -> Iterator[tuple[str, Entities]]:
    """The server's host:port, and what it stores."""
    server = ThreadingHTTPServer(("127.0.0.1", 0), Api)
    server.entities = Entities()
    threading.Thread(target=server.serve_forever, args=(0.02,), daemon=True).start()
    yield f"127.0.0.1:{server.server_port}", server.entities
    server.shutdown()
    server.server_close()
