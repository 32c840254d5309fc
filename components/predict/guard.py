"""What KServe makes of a client's mistakes before the model sees them: refused as the model refuses, never a 5xx.

KServe 0.21 reads a V2 body in binary without looking at its types, takes whatever goes wrong there for its own fault, and lets
FastAPI return what a client sent, which fails where JSON cannot hold it (NaN, half a surrogate pair).
"""

import logging
from collections.abc import Callable
from http import HTTPStatus
from typing import Any

import orjson
from fastapi import FastAPI, Request, Response
from fastapi.exceptions import RequestValidationError
from fastapi.responses import JSONResponse
from prometheus_client import REGISTRY
from prometheus_client.exposition import choose_encoder
from pydantic import ValidationError

from longtail.components.predict.request import InvalidInput, check_tensors, explain, refused, tell
from longtail.system.kserve_sdk import kserve

log = logging.getLogger(__name__)

LENGTH = "inference-header-content-length"  # of the JSON before tensors in binary
BODY = "the body"
MODEL_OF_V2 = kserve.protocol.rest.v2_datamodels.InferenceRequest


def guarded_servicer(count: Callable[[], None]) -> type:
    """KServe's, but that it looks at a message's tensors before KServe does, which says of a wrong datatype only that it is wrong."""

    class GuardedServicer(kserve.protocol.grpc.servicer.InferenceServicer):
        @classmethod
        def validate_grpc_request(cls, request: Any) -> None:
            try:
                check_tensors([(tensor.name, tensor.datatype) for tensor in request.inputs])
                super().validate_grpc_request(request)
            except InvalidInput as error:
                count()
                raise refused(str(error)) from None

    return GuardedServicer


class OneModel(kserve.model_repository.ModelRepository):
    """KServe repeats a wrong name as it was sent, which logs and terminals cannot always hold."""

    def get_model(self, name: str) -> Any:
        found = super().get_model(name)
        if found is None:
            raise kserve.errors.ModelNotFound(str(refused(name)))
        return found


class GuardedDataPlane(kserve.protocol.dataplane.DataPlane):
    """Reads bodies. count: called for each that is refused."""

    def __init__(self, models: OneModel, count: Callable[[], None]) -> None:
        super().__init__(models)
        self._count = count

    def decode(self, body: Any, headers: Any, *protocol: Any, **named: Any) -> Any:
        try:
            if isinstance(body, bytes) and named:  # only V2 names its protocol
                _check_binary(body, headers.get(LENGTH))
            return super().decode(body, headers, *protocol, **named)
        except Exception as error:  # noqa: BLE001  (reading what a client sent raises many kinds)
            self._count()
            said = str(error) if isinstance(error, ValueError) else f"{type(error).__name__}: {error}"
            told = f"{BODY} cannot be read: {type(error).__name__}"
            raise refused(said if said.startswith(BODY) else f"{BODY} cannot be read: {said}", told) from None

    def encode(self, *response: Any, **named: Any) -> Any:
        try:
            return super().encode(*response, **named)
        except InvalidInput as error:  # an output that there is not was asked for
            raise refused(str(error)) from None


def _check_binary(body: bytes, length: str | None) -> None:
    """The JSON before the tensors, by KServe's own model of it."""
    if length is None or not (length.isascii() and length.isdigit()) or int(length) > len(body):
        raise ValueError(f"a body that is not JSON needs a header {LENGTH} of at most its {len(body)} bytes")
    document = orjson.loads(body[: int(length)])
    try:
        inputs = document.get("inputs") if isinstance(document, dict) else None
        for tensor in inputs if isinstance(inputs, list) else ():
            if isinstance(tensor, dict) and "data" not in tensor:
                tensor["data"] = []  # follows in binary
        MODEL_OF_V2.model_validate(document)
    except ValidationError as error:
        raise ValueError(explain(BODY, error.errors()[0])) from None


def guard(app: FastAPI, count: Callable[[], None]) -> None:
    """Refuse in one line what FastAPI finds wrong with a V2 request; ``count`` is called for each.

    Versions of models are unknown here, which is a 404 and not KServe's 501; and a scraper may ask for any version of the format.
    """

    async def say(_: Request, error: RequestValidationError) -> JSONResponse:
        count()
        fault = error.errors()[0]
        if fault["type"] == "json_invalid":
            message, told = f"{BODY} is not JSON: {fault['ctx']['error']} (character {fault['loc'][-1]})", None
        else:
            fault |= {"loc": tuple(part for part in fault["loc"] if part not in ("body", MODEL_OF_V2.__name__))}
            message, told = explain(BODY, fault), tell(BODY, fault)
        refusal = refused(message, told)
        log.warning("refused a request: %s", refusal.told)
        return JSONResponse({"error": str(refusal)}, HTTPStatus.BAD_REQUEST)

    async def metrics(request: Request) -> Response:
        try:
            encode, kind = choose_encoder(request.headers.get("accept", ""))
        except (TypeError, ValueError):  # prometheus_client compares a version that is not a number
            encode, kind = choose_encoder("")
        return Response(encode(REGISTRY), headers={"content-type": kind})

    async def versions(model_name: str, version: str) -> None:
        raise kserve.errors.ModelNotFound(str(refused(f"{model_name} and version {version}")))

    app.add_exception_handler(RequestValidationError, say)  # type: ignore[arg-type]
    path = "/v2/models/{model_name}/versions/{version:path}"  # both before KServe's own, since the first that fits acts
    app.add_api_route(path, versions, methods=["GET", "POST"], include_in_schema=False)
    app.add_api_route("/metrics", metrics, methods=["GET"], include_in_schema=False)
