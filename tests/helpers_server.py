"""A model server asked as clients and the operations staff do, and the files that it follows."""

import http.client
import json
import time

from longtail.components.predict.access import hash_of

ASKS, OPERATES = "token-of-the-page", "token-of-the-staff"


def put(path, text):
    """As an operator should: whole, by a rename."""
    path.with_suffix(".new").write_text(text)
    path.with_suffix(".new").rename(path)


def until(found, expected, seconds=60):
    """Waits until ``found()`` is what is expected."""
    end = time.monotonic() + seconds
    while (last := found()) != expected:
        assert time.monotonic() < end, last
        time.sleep(0.05)


def tokens(**scopes):
    entries = [{"name": name, "sha256": hash_of(token), "scopes": may} for name, (token, *may) in scopes.items()]
    return json.dumps({"tokens": entries})


def http_(server, method, path, body=None, token=None, **headers):
    """Status, headers and JSON (or text) of an answer."""
    connection = http.client.HTTPConnection("127.0.0.1", server.http_port, timeout=30)
    headers = {"Content-Type": "application/json", **headers}
    headers |= {"Authorization": f"Bearer {token}"} if token else {}
    connection.request(method, path, body, headers)
    answer = connection.getresponse()
    text = answer.read().decode()
    connection.close()
    try:
        return answer.status, answer.headers, json.loads(text)
    except ValueError:
        return answer.status, answer.headers, text
