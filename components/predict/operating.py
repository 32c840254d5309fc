"""What the operations staff may read and replace while the server serves: availability and rules.

``GET`` says what acts, ``PUT`` replaces it: in the file that the server follows, so that it stays after a restart and other replicas
that follow the same file take it, and in this replica's next answer. Needs a token with the scope ``operate`` (``HttpGuard`` asks for it).
"""

import asyncio
from collections.abc import Mapping
from http import HTTPStatus
from typing import Any

from fastapi import APIRouter, Request
from fastapi.responses import JSONResponse, Response

from longtail.components.predict.access import Access
from longtail.components.predict.file_sources import Unwritable
from longtail.components.predict.followed_file import FollowedFile
from longtail.contracts.errors import UserError
from longtail.contracts.settings_base import Settings
from longtail.scoring.availability import Availability
from longtail.scoring.rules import Rules

KINDS: dict[str, Any] = {"availability": Availability, "rules": Rules}


def router_of(model_name: str, followed: Mapping[str, FollowedFile], access: Access) -> APIRouter:
    """``/v1/models/NAME/availability`` and ``/rules``. followed: name of a file that the server follows -> it."""
    router = APIRouter()
    for file in KINDS:
        endpoint = _Endpoint(model_name, file, followed.get(file), access)
        path = f"/v1/models/{{name}}/{file}"
        router.add_api_route(path, endpoint.get, methods=["GET"], response_model=None)
        router.add_api_route(path, endpoint.put, methods=["PUT"], response_model=None)
    return router


class _Endpoint:
    def __init__(self, model_name: str, file: str, followed: FollowedFile | None, access: Access) -> None:
        self._model_name, self._file, self._followed, self._access = model_name, file, followed, access

    async def get(self, name: str) -> Response:
        followed = self._followed
        if refusal := self._refusal(name):
            return refusal
        if followed is None:
            return self._not_followed()
        acts: Settings = KINDS[self._file].parse(followed.text, str(followed.source))
        return JSONResponse(
            {
                self._file: acts.model_dump(mode="json", by_alias=True, exclude_unset=True),
                "at": str(followed.source),
                "fault": followed.fault,
            }
        )

    async def put(self, name: str, request: Request) -> Response:
        followed = self._followed
        if refusal := self._refusal(name):
            return refusal
        if followed is None:
            return self._not_followed()
        try:
            text = (await request.body()).decode()
        except UnicodeDecodeError:
            return _error(HTTPStatus.BAD_REQUEST, "the body is not UTF-8; send YAML or JSON")
        try:
            await asyncio.to_thread(followed.replace, text)
        except Unwritable as error:
            return _error(HTTPStatus.CONFLICT, str(error))
        except UserError as error:
            return _error(HTTPStatus.UNPROCESSABLE_ENTITY, str(error))
        return await self.get(name)

    def _refusal(self, name: str) -> Response | None:
        if self._access.is_open:
            return _error(
                HTTPStatus.FORBIDDEN,
                "nobody may operate a server without tokens; start it with --tokens, and ask with a token of the scope 'operate'",
            )
        if name != self._model_name:
            return _error(HTTPStatus.NOT_FOUND, f"there is no model {name!r}; this server's is {self._model_name!r}")
        return None

    def _not_followed(self) -> Response:
        return _error(
            HTTPStatus.CONFLICT,
            f"this server follows no file of {self._file}, so nothing would stay; start it with --{self._file} FILE",
        )


def _error(status: HTTPStatus, message: str) -> Response:
    return JSONResponse({"error": message}, status.value)
