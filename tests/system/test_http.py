import json
import threading
from http.server import BaseHTTPRequestHandler, HTTPServer

import pytest

from longtail.contracts.errors import UserError
from longtail.system.http import call
from longtail.system.machine import free_ports

ANSWERS = {
    "/ok": (200, b'{"answer": 1}'),
    "/refused": (400, b'{"error": "k is 0"}'),
    "/broken": (500, b"<html>"),
    "/text": (200, b"hello"),
}


class Handler(BaseHTTPRequestHandler):
    def do_GET(self):
        status, body = ANSWERS[self.path]
        self.send_response(status)
        self.end_headers()
        self.wfile.write(body)

    def do_POST(self):
        document = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
        self.send_response(200)
        self.end_headers()
        self.wfile.write(json.dumps({"echo": document, "type": self.headers["Content-Type"]}).encode())

    def log_message(self, *_):
        pass


@pytest.fixture(scope="module")
def url():
    server = HTTPServer(("127.0.0.1", 0), Handler)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    yield f"http://127.0.0.1:{server.server_port}"
    server.shutdown()
    server.server_close()


def test_get_and_post(url):
    assert call(f"{url}/ok") == {"answer": 1}
    assert call(f"{url}/ok", {"k": "ä"}) == {"echo": {"k": "ä"}, "type": "application/json"}


def test_loopback_bypasses_a_proxy(url, monkeypatch):
    monkeypatch.setenv("http_proxy", f"http://127.0.0.1:{free_ports(1)[0]}")
    assert call(f"{url}/ok") == {"answer": 1}


@pytest.mark.parametrize(
    ("path", "message"),
    [
        ("/refused", r"/refused: k is 0 \(HTTP 400\)"),
        ("/broken", r"/broken: Internal Server Error \(HTTP 500\)"),
        ("/text", "did not answer with JSON"),
    ],
)
def test_what_the_server_says_is_told(url, path, message):
    with pytest.raises(UserError, match=message):
        call(url + path)


def test_nobody_answers():
    with pytest.raises(UserError, match=r"no answer \(.*refused.*is the server running"):
        call(f"http://127.0.0.1:{free_ports(1)[0]}/ok")


def test_no_address():
    with pytest.raises(UserError, match="starts with http"):
        call("file:///etc/passwd")
