"""The part of Google Cloud Storage's JSON API that a registry uses, as a real HTTP server on loopback.

No emulator of the package index honours ``ifGenerationMatch``, so this one does: a generation of 0 says "not there".
"""

import email
import itertools
import json
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from urllib.parse import parse_qs, unquote, urlsplit

import pytest
from helpers_http import KeepsConnections


class Buckets:
    """What is stored. ``refuse``: an HTTP status that answers everything."""

    def __init__(self) -> None:
        self.objects: dict[str, dict[str, tuple[bytes, int]]] = {"models": {}}
        self.refuse: int | None = None
        self.lock = threading.Lock()
        self.generations = itertools.count(1)


class Api(KeepsConnections, BaseHTTPRequestHandler):
    def do_GET(self) -> None:
        path, query = self._asked()
        parts = path.removeprefix("/download").removeprefix("/storage/v1/b/").split("/o", 1)
        bucket, name = parts[0], unquote(parts[1].removeprefix("/")) if len(parts) > 1 else ""
        objects = self._bucket(bucket)
        if objects is None:
            return
        if not name:
            prefix = query.get("prefix", "")
            found = [_resource(bucket, key, *objects[key]) for key in sorted(objects) if key.startswith(prefix)]
            self._answer(200, {"items": found})
        elif name not in objects:
            self._answer(404, {"error": {"message": f"No such object: {bucket}/{name}"}})
        elif query.get("alt") == "media":
            content, generation = objects[name]
            expected = query.get("ifGenerationMatch")
            self._answer(200 if expected in (None, str(generation)) else 412, content)
        else:
            self._answer(200, _resource(bucket, name, *objects[name]))

    def do_POST(self) -> None:
        path, query = self._asked()
        body = self.rfile.read(int(self.headers["Content-Length"]))
        bucket = path.removeprefix("/upload/storage/v1/b/").removesuffix("/o")
        objects = self._bucket(bucket)
        if objects is None:
            return
        message = email.message_from_bytes(
            b"Content-Type: " + self.headers["Content-Type"].encode() + b"\r\n\r\n" + body
        )
        facts, content = (part.get_payload(decode=True) for part in message.get_payload())
        name = json.loads(facts)["name"]
        with self.server.buckets.lock:
            there = objects[name][1] if name in objects else 0
            if query.get("ifGenerationMatch") not in (None, str(there)):
                self._answer(412, {"error": {"message": "At least one of the pre-conditions did not hold"}})
                return
            objects[name] = content, next(self.server.buckets.generations)
        self._answer(200, _resource(bucket, name, *objects[name]))

    def _asked(self) -> tuple[str, dict[str, str]]:
        parts = urlsplit(self.path)
        return parts.path, {key: values[0] for key, values in parse_qs(parts.query).items()}

    def _bucket(self, name: str):
        buckets = self.server.buckets
        if buckets.refuse:
            self._answer(buckets.refuse, {"error": {"message": "refused"}})
            return None
        if name not in buckets.objects:
            self._answer(404, {"error": {"message": "The specified bucket does not exist."}})
        return buckets.objects.get(name)

    def _answer(self, status: int, document: dict | bytes) -> None:
        body = document if isinstance(document, bytes) else json.dumps(document).encode()
        self.send_response(status)
        self.send_header(
            "Content-Type", "application/octet-stream" if isinstance(document, bytes) else "application/json"
        )
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)


def _resource(bucket: str, name: str, content: bytes, generation: int) -> dict[str, str]:
    return {"bucket": bucket, "name": name, "size": str(len(content)), "generation": str(generation)}


@pytest.fixture
def gcs(monkeypatch: pytest.MonkeyPatch) -> Iterator[Buckets]:
    """A server with the bucket ``models``; the environment sends google-cloud-storage there."""
    server = ThreadingHTTPServer(("127.0.0.1", 0), Api)
    server.buckets = Buckets()
    threading.Thread(target=server.serve_forever, args=(0.02,), daemon=True).start()
    monkeypatch.setenv("STORAGE_EMULATOR_HOST", f"http://127.0.0.1:{server.server_port}")
    monkeypatch.setenv("GOOGLE_CLOUD_PROJECT", "shop")
    for name in ("NO_PROXY", "no_proxy"):
        monkeypatch.setenv(name, "127.0.0.1")
    yield server.buckets
    server.shutdown()
    server.server_close()
