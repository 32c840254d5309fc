"""Stands before KServe's HTTP application: lets in whom ``Access`` lets in, and no body that is too long."""

import json
from collections.abc import Awaitable, Callable, Mapping, MutableMapping
from contextlib import suppress
from http import HTTPStatus
from typing import Any

from longtail.components.predict import monitoring
from longtail.components.predict.access import Access, scope_of_path

Message = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[Message]]
Send = Callable[[Message], Awaitable[None]]
Application = Callable[[Message, Receive, Send], Awaitable[None]]


class HttpGuard:
    """An ASGI middleware. max_body: bytes of a request's body; a longer one is not read to its end."""

    def __init__(self, app: Application, access: Access, max_body: int, model_name: str) -> None:
        self._app, self._access, self._max_body, self._model_name = app, access, max_body, model_name

    async def __call__(self, scope: Message, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        headers = {name.decode("latin-1"): value.decode("latin-1") for name, value in scope["headers"]}
        needed = scope_of_path(scope["path"])
        refusal = self._access.refusal(headers.get("authorization"), needed) if needed else None
        if refusal:
            await self._refuse(send, refusal.status, refusal.message, refusal.headers)
        elif "content-length" not in headers:
            await self._with_limit(scope, receive, send)
        elif int(headers["content-length"]) > self._max_body:  # the HTTP parser lets digits alone through
            await self._refuse_body(send)
        else:  # a longer one than it says is none to the HTTP parser
            await self._app(scope, receive, send)

    async def _with_limit(self, scope: Message, receive: Receive, send: Send) -> None:
        read, started, too_long = 0, False, False

        async def counted() -> Message:
            nonlocal read, too_long
            message = await receive()
            read += len(message.get("body", b""))
            if read > self._max_body:
                too_long = True
                raise _TooLongError
            return message

        async def unless_too_long(message: Message) -> None:
            nonlocal started
            if not too_long:  # else: what the application makes of the broken body
                started = True
                await send(message)

        with suppress(_TooLongError):
            await self._app(scope, counted, unless_too_long)
        if too_long and not started:
            await self._refuse_body(send)

    async def _refuse_body(self, send: Send) -> None:
        message = (
            f"the body is longer than {self._max_body:,} bytes; ask for fewer users in a request, or give fewer ids"
        )
        await self._refuse(send, HTTPStatus.REQUEST_ENTITY_TOO_LARGE, message, {})

    async def _refuse(self, send: Send, status: HTTPStatus, message: str, headers: Mapping[str, str]) -> None:
        monitoring.KEPT_OUT.labels(self._model_name, str(status.value)).inc()
        body = json.dumps({"error": message}).encode()
        all_headers = {"content-type": "application/json", "content-length": str(len(body)), **headers}
        pairs = [(name.encode(), value.encode()) for name, value in all_headers.items()]
        await send({"type": "http.response.start", "status": status.value, "headers": pairs})
        await send({"type": "http.response.body", "body": body})


class _TooLongError(Exception):
    """Ends the application's reading."""
