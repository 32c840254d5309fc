"""HTTP to a model server or another API. Loopback calls never go through a proxy."""

import json
import urllib.error
import urllib.request
from collections.abc import Mapping
from typing import Any
from urllib.parse import urlsplit

from longtail.contracts.errors import UserError

LOOPBACK = {"127.0.0.1", "::1", "localhost"}


def call(
    url: str, document: Any = None, timeout_seconds: float = 60.0, headers: Mapping[str, str] | None = None
) -> Any:
    """GET ``url``, or POST ``document`` to it as JSON; the answer's JSON.

    Raises:
        UserError: naming the address, and the server's own message where it refused.
    """
    body = None if document is None else json.dumps(document).encode()
    try:
        return json.loads(fetch(url, body, timeout_seconds, headers))
    except ValueError as error:
        if isinstance(error, UserError):
            raise
        raise UserError(f"{url}: did not answer with JSON ({error}); is this the model server's port?") from None


def fetch(
    url: str, body: bytes | None = None, timeout_seconds: float = 60.0, headers: Mapping[str, str] | None = None
) -> bytes:
    """What ``url`` answers.

    Raises:
        UserError: as ``call`` does.
    """
    if not url.startswith(("http://", "https://")):
        raise UserError(f"{url}: is no address of a server; it starts with http:// or https://")
    proxies = [urllib.request.ProxyHandler({})] if urlsplit(url).hostname in LOOPBACK else []
    request = urllib.request.Request(url, body, {"Content-Type": "application/json", **(headers or {})})  # noqa: S310  (checked above)
    try:
        with urllib.request.build_opener(*proxies).open(request, timeout=timeout_seconds) as answer:
            content: bytes = answer.read()
            return content
    except urllib.error.HTTPError as error:
        raise UserError(f"{url}: {_refusal(error.read()) or error.reason} (HTTP {error.code})") from None
    except OSError as error:
        reason = getattr(error, "reason", error)
        raise UserError(f"{url}: no answer ({reason}); is the server running, and is this its port?") from None


def _refusal(body: bytes) -> str:
    try:
        return str(json.loads(body)["error"])
    except (ValueError, KeyError, TypeError):
        return ""
