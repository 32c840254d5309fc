import json
import socket
import threading
from http.server import BaseHTTPRequestHandler, HTTPServer

import pytest

from longtail.contracts.errors import UserError
from longtail.system.http import Unreached, call
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
    threading.Thread(target=server.serve_forever, args=(0.02,), daemon=True).start()
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


BROKEN = {
    "breaks off": b'HTTP/1.1 200 OK\r\nContent-Length: 99\r\n\r\n{"pred',
    "refusal breaks off": b'HTTP/1.1 400 Bad Request\r\nContent-Length: 99\r\n\r\n{"err',
    "is not HTTP": b"garbage\r\n\r\n",
    "is empty": b"",
    "has no length": b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\n",
    "has too long a line": b"HTTP/1.1 200 OK\r\nX: " + b"x" * 70_000 + b"\r\n\r\n",
    "has too many headers": b"HTTP/1.1 200 OK\r\n" + b"X: x\r\n" * 200 + b"\r\n",
    "is not text": b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\n\xff\xfe",
}


@pytest.fixture
def raw():
    """A server that writes these bytes as its answer, and closes."""
    listener = socket.create_server(("127.0.0.1", 0))
    served = []

    def serve():
        connection, _ = listener.accept()
        with connection:
            connection.recv(65536)
            connection.sendall(served[0])

    thread = threading.Thread(target=serve, daemon=True)
    thread.start()
    yield served, f"http://127.0.0.1:{listener.getsockname()[1]}/ok"
    thread.join(5)
    listener.close()


@pytest.mark.parametrize("kind", BROKEN)
def test_a_broken_answer_is_a_message(raw, kind):
    served, url = raw
    served.append(BROKEN[kind])
    with pytest.raises(UserError, match=f"^{url}: .*$") as caught:
        call(url, timeout_seconds=10)
    assert "\n" not in str(caught.value)
    assert not isinstance(caught.value, Unreached)


@pytest.mark.parametrize("url", ["http://[::1/ok", "http://a b/ok", "http://127.0.0.1:none/ok"])
def test_an_address_that_is_none_is_a_message(url):
    with pytest.raises(UserError, match="no answer"):
        call(url)


@pytest.mark.parametrize(
    ("body", "is_proxy"),
    [
        (b"no healthy upstream", True),
        (b'{"kind": "Status", "message": "no endpoints available"}', True),
        (b"", True),
        (b'{"error": "Model with name shop is not ready."}', False),
    ],
)
def test_a_proxys_503_is_told_from_the_servers(raw, body, is_proxy):
    served, url = raw
    served.append(b"HTTP/1.1 503 Service Unavailable\r\nContent-Length: %d\r\n\r\n%s" % (len(body), body))
    with pytest.raises(UserError, match=r"\(HTTP 503\)") as caught:
        call(url)
    assert isinstance(caught.value, Unreached) is is_proxy
