"""HTTP to a model server or another API. Loopback calls never go through a proxy."""

import http.client
import json
import os
import urllib.error
import urllib.request
from collections.abc import Mapping
from typing import Any
from urllib.parse import urlsplit

from longtail.contracts.errors import UserError

LOOPBACK = {"127.0.0.1", "::1", "localhost"}
OF_PROXIES = {502, 503}  # what a proxy answers that finds nobody behind it
SHOWN = 200  # characters of a proxy's answer
TOKEN = "LONGTAIL_TOKEN"  # noqa: S105  (environment variable)


class Unreached(UserError):  # noqa: N818  (it says what happened)
    """Nobody was there to answer: the connection was refused, or a proxy says that there is nobody behind it."""


def call(
    url: str, document: Any = None, timeout_seconds: float = 60.0, headers: Mapping[str, str] | None = None
) -> Any:
    """GET ``url``, or POST ``document`` to it as JSON; the answer's JSON.

    Raises:
        Unreached: nobody was there to answer.
        UserError: naming the address, and the server's own message where it refused.
    """
    body = None if document is None else json.dumps(document).encode()
    content = fetch(url, body, timeout_seconds, headers)
    try:
        return json.loads(content)
    except ValueError as error:
        raise UserError(f"{url}: did not answer with JSON ({error}); is this the model server's port?") from None


def own_token() -> dict[str, str]:
    """The header that gives a model server the token of the environment; none where there is none."""
    token = os.environ.get(TOKEN, "").strip()
    return {"Authorization": f"Bearer {token}"} if token else {}


def fetch(
    url: str, body: bytes | None = None, timeout_seconds: float = 60.0, headers: Mapping[str, str] | None = None
) -> bytes:
    """What ``url`` answers.

    Raises:
        Unreached, UserError: as ``call`` does; also for an answer that breaks off, or is not HTTP.
    """
    if not url.startswith(("http://", "https://")):
        raise UserError(f"{url}: is no address of a server; it starts with http:// or https://")
    try:
        proxies = [urllib.request.ProxyHandler({})] if urlsplit(url).hostname in LOOPBACK else []
        request = urllib.request.Request(url, body, {"Content-Type": "application/json", **(headers or {})})  # noqa: S310  (checked above)
        with urllib.request.build_opener(*proxies).open(request, timeout=timeout_seconds) as answer:
            content: bytes = answer.read()
            return content
    except urllib.error.HTTPError as error:
        raise _refused(url, error) from None
    except (OSError, http.client.HTTPException, ValueError) as error:  # ValueError: an address that is none
        reason = getattr(error, "reason", error)
        told = " ".join(str(reason).split()) or type(reason).__name__
        kind = Unreached if isinstance(reason, ConnectionRefusedError) else UserError
        raise kind(f"{url}: no answer ({told}); is the server running, and is this its port?") from None


def own_refusal(body: str | bytes) -> str | None:
    """The message of a server of ours that refuses; None for what a proxy, or another program, says."""
    try:
        return str(json.loads(body)["error"])
    except (ValueError, KeyError, TypeError):
        return None


def _refused(url: str, error: urllib.error.HTTPError) -> UserError:
    try:
        body = error.read()
    except (OSError, http.client.HTTPException):
        body = b""
    own = own_refusal(body)
    if own is None and error.code in OF_PROXIES:
        said = body.decode(errors="replace").strip()[:SHOWN] or error.reason
        return Unreached(f"{url}: nobody behind the proxy answers: {said} (HTTP {error.code})")
    return UserError(f"{url}: {own or error.reason} (HTTP {error.code})")
