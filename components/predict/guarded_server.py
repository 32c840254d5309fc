"""KServe's model server behind ``Access``: over HTTP by a middleware of its application, over gRPC by an interceptor."""

import asyncio
from typing import Any

from longtail.components.predict import monitoring
from longtail.components.predict.access import Access
from longtail.components.predict.grpc_guard import GrpcGuard, GrpcServer
from longtail.components.predict.guard import GuardedDataPlane, OneModel, guard, guarded_servicer
from longtail.components.predict.http_guard import HttpGuard
from longtail.components.predict.operating import router_of
from longtail.system.kserve_sdk import kserve


class GuardedServer(kserve.ModelServer):
    """One whose gRPC server is ours, as KServe's takes no interceptors."""

    grpc_server: GrpcServer

    def stop(self, sig: int) -> None:
        asyncio.create_task(self.grpc_server.stop())  # noqa: RUF006  (it is awaited by what serves)
        super().stop(sig)


def guarded_server(model: Any, ports: tuple[int, int], access: Access, max_body: int) -> GuardedServer:
    """Not started yet. ports: of HTTP and gRPC; max_body: bytes of a request over either."""
    server = GuardedServer(
        http_port=ports[0],
        grpc_port=ports[1],
        workers=1,
        enable_grpc=False,
        enable_latency_logging=False,
        registered_models=OneModel(),
    )
    count = monitoring.REQUESTS.labels(model.name, "refused").inc
    server.dataplane = GuardedDataPlane(server.registered_models, count)
    application = kserve.model_server.app
    guard(application, count)
    application.add_middleware(HttpGuard, access=access, max_body=max_body, model_name=model.name)
    application.include_router(router_of(model.name, getattr(model, "followed", {}), access))
    server.grpc_server = GrpcServer(ports[1], server, guarded_servicer(count), GrpcGuard(access, model.name), max_body)
    server.servers.append(server.grpc_server.serve())
    return server
