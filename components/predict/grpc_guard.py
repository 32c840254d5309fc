"""KServe's gRPC server with ``Access`` before it, and with limits of a message.

KServe's own takes no interceptors, so this one starts the server that it would, with one more.
"""

from collections.abc import Awaitable, Callable
from concurrent import futures
from http import HTTPStatus
from typing import Any

import grpc

from longtail.components.predict import monitoring
from longtail.components.predict.access import Access, Refusal, scope_of_call
from longtail.contracts.errors import PortInUseError
from longtail.system.kserve_sdk import kserve

CODES = {
    HTTPStatus.UNAUTHORIZED: grpc.StatusCode.UNAUTHENTICATED,
    HTTPStatus.FORBIDDEN: grpc.StatusCode.PERMISSION_DENIED,
    HTTPStatus.TOO_MANY_REQUESTS: grpc.StatusCode.RESOURCE_EXHAUSTED,
}
THREADS = 4  # as KServe's own
GRACE_SECONDS = 30


class GrpcGuard(grpc.aio.ServerInterceptor):  # type: ignore[misc]
    """Refuses before the message is read."""

    def __init__(self, access: Access, model_name: str) -> None:
        self._access, self._model_name = access, model_name

    async def intercept_service(self, continuation: Callable[[Any], Awaitable[Any]], handler_call_details: Any) -> Any:
        scope = scope_of_call(handler_call_details.method)
        given = dict(handler_call_details.invocation_metadata or ()).get("authorization")
        refusal = self._access.refusal(given if isinstance(given, str) else None, scope) if scope else None
        if refusal is None:
            return await continuation(handler_call_details)
        monitoring.KEPT_OUT.labels(self._model_name, str(refusal.status.value)).inc()
        return _refusing(refusal)


def _refusing(refusal: Refusal) -> Any:
    async def refuse(_: Any, context: Any) -> None:
        await context.abort(CODES[refusal.status], refusal.message, tuple(refusal.headers.items()))

    return grpc.unary_unary_rpc_method_handler(refuse)


class GrpcServer:
    """Serves a KServe model server's models. servicer: KServe's or one like it; max_bytes: of a message that comes in; what goes
    out is limited by what may be asked."""

    def __init__(self, port: int, model_server: Any, servicer: type, guard: GrpcGuard, max_bytes: int) -> None:
        self._port, self._model_server, self._guard, self._max_bytes = port, model_server, guard, max_bytes
        self._servicer = servicer
        self._server: Any = None

    async def serve(self) -> None:
        """Until ``stop``.

        Raises:
            PortInUseError: somebody has the port.
        """
        of_kserve = kserve.protocol.grpc
        self._server = grpc.aio.server(
            futures.ThreadPoolExecutor(THREADS),
            interceptors=(self._guard, of_kserve.interceptors.ExceptionToStatusInterceptor()),
            options=[("grpc.max_receive_message_length", self._max_bytes), ("grpc.max_send_message_length", -1)],
        )
        answers = self._servicer(self._model_server.dataplane, self._model_server.model_repository_extension)
        of_kserve.grpc_predict_v2_pb2_grpc.add_GRPCInferenceServiceServicer_to_server(answers, self._server)
        try:
            self._server.add_insecure_port(f"[::]:{self._port}")
        except RuntimeError:  # gRPC logs why
            raise PortInUseError("--grpc-port", self._port) from None
        await self._server.start()
        await self._server.wait_for_termination()

    async def stop(self) -> None:
        """Lets calls in flight finish."""
        if self._server:
            await self._server.stop(GRACE_SECONDS)
