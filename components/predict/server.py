"""The model server's process: ``python -m longtail.components.predict.server --bundle DIR --name longtail``.

One worker, quiet logs, both ports checked before anything is loaded; SIGTERM lets requests in flight finish.
"""

import argparse
import logging
import os
import sys
import warnings
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

from longtail.components.predict.options import DEFAULTS, Options
from longtail.contracts.errors import EXIT_CODE, UserError
from longtail.system.machine import free_ports, port_in_use

if TYPE_CHECKING:
    from longtail.system.kserve_sdk import kserve

log = logging.getLogger(__name__)

DEFAULT_BUNDLE = "/mnt/models"  # where KServe's storage initializer puts what STORAGE_URI names
MAX_PORT = 65535


def serve(
    bundle: str | os.PathLike[str], name: str, http_port: int = 0, grpc_port: int = 0, options: Options = DEFAULTS
) -> None:
    """Serve a bundle until SIGTERM or SIGINT. A port of 0 is chosen free.

    Raises:
        UserError: a port that is taken, or what is wrong with the bundle or a file of the options.
    """
    chosen = free_ports(2)
    http_port, grpc_port = http_port or chosen[0], grpc_port or chosen[1]
    _check_ports(http_port, grpc_port)
    os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")  # scoring threads share the cores: numpy must not multiply them
    from longtail.components.predict.model import (  # with numpy, so not before the line above
        RecommendationModel,
    )
    from longtail.components.predict.openapi import describe
    from longtail.system.kserve_sdk import kserve

    model = RecommendationModel(name, bundle, options)
    model.load()
    log.info(
        "serving %s as %s on http://127.0.0.1:%d (gRPC on %d)",
        options.follow or Path(bundle),
        name,
        http_port,
        grpc_port,
    )
    describe(kserve.model_server.app)
    start(model, http_port, grpc_port)


def start(model: "kserve.Model", http_port: int, grpc_port: int) -> None:
    """Serve one loaded model until SIGTERM or SIGINT, by one worker: pods are what multiplies."""
    from longtail.components.predict import monitoring
    from longtail.components.predict.guard import GuardedDataPlane, OneModel, guard, guard_grpc
    from longtail.system.kserve_sdk import kserve

    _quiet_kserve()
    count = monitoring.REQUESTS.labels(model.name, "refused").inc
    server = kserve.ModelServer(
        http_port=http_port,
        grpc_port=grpc_port,
        workers=1,
        enable_latency_logging=False,
        registered_models=OneModel(),
    )
    server.dataplane = GuardedDataPlane(server.registered_models, count)
    guard(kserve.model_server.app, count)
    guard_grpc(count)
    server.model_repository_extension = _fixed_models(server.registered_models)
    server.start([model])


def _check_ports(http_port: int, grpc_port: int) -> None:
    for option, port in (("--http-port", http_port), ("--grpc-port", grpc_port)):
        if not 0 < port <= MAX_PORT:
            raise UserError(f"{option} {port}: is no port; take 1 to {MAX_PORT}, or leave it out to have one chosen")
        if port_in_use(port):
            raise UserError(
                f"port {port} is in use; stop what listens there, or give {option} another port (0 chooses a free one)"
            )
    if http_port == grpc_port:
        raise UserError(f"--http-port and --grpc-port are both {http_port}; give them different ports")


def _fixed_models(registry: object) -> object:
    """KServe lets any client unload the model; this server's one model stays."""
    from longtail.system.kserve_sdk import kserve

    class FixedModels(kserve.protocol.model_repository_extension.ModelRepositoryExtension):
        async def load(self, model_name: str) -> None:
            raise kserve.errors.InvalidInput("this server's model is fixed; start another server for another bundle")

        unload = load

    return FixedModels(registry)


def _quiet_kserve() -> None:
    """KServe writes four lines a request, and a traceback for every bad one: keep warnings, in one line each."""
    from longtail.system.kserve_sdk import kserve

    the_clients = kserve.errors.InvalidInput, kserve.errors.ModelNotFound

    def without_traceback(record: logging.LogRecord) -> bool:
        if record.exc_info and isinstance(record.exc_info[1], the_clients):
            record.msg, record.args, record.exc_info = "refused a request: %s", (record.exc_info[1],), None
            record.levelno, record.levelname = logging.WARNING, "WARNING"
        return True

    kserve_log = logging.getLogger("kserve")
    kserve_log.addHandler(logging.NullHandler())  # a logger with a handler is not configured by kserve
    kserve_log.addFilter(without_traceback)
    for name in ("kserve", "kserve.trace", "uvicorn", "uvicorn.access"):
        logging.getLogger(name).setLevel(logging.WARNING)
    warnings.filterwarnings("ignore", "ORJSONResponse is deprecated")  # kserve's, and not ours to change


def main(arguments: Sequence[str] | None = None) -> int:
    parser = argparse.ArgumentParser(
        prog="longtail-server", description="Serve a Student bundle over KServe's V1 and V2."
    )
    parser.add_argument("--bundle", default=DEFAULT_BUNDLE, help="folder of the Student bundle (default: %(default)s)")
    parser.add_argument("--name", default="longtail", help="name of the model in addresses (default: %(default)s)")
    parser.add_argument("--http-port", type=int, default=0, help="port of V1 and V2 over HTTP; 0 chooses a free one")
    parser.add_argument("--grpc-port", type=int, default=0, help="port of V2 over gRPC; 0 chooses a free one")
    for option, kind, default, what in (
        ("--max-k", int, DEFAULTS.max_k, "items that an instance may ask for"),
        ("--max-waiting", int, DEFAULTS.most_waiting, "requests that may wait; more get a 503"),
        ("--max-seconds", float, DEFAULTS.seconds, "a request that is not answered by then gets a 503"),
    ):
        parser.add_argument(option, type=kind, default=default, help=f"{what} (default: %(default)s)")
    parser.add_argument("--availability", help="YAML file of what may not be given just now; followed while serving")
    parser.add_argument("--rules", help="YAML file of the shop's rules; followed while serving")
    parser.add_argument(
        "--follow",
        metavar="REGISTRY",
        help="serve this registry's champion, and whatever takes its place; --bundle until then",
    )
    parser.add_argument(
        "--follow-seconds",
        type=float,
        default=DEFAULTS.follow_seconds,
        help="between looks at the registry (default: %(default)s)",
    )
    given = parser.parse_args(arguments)
    for option in ("max_waiting", "max_seconds", "follow_seconds"):
        value = getattr(given, option)
        if not value > 0:
            parser.error(f"argument --{option.replace('_', '-')}: {value} is not above 0")
    logging.basicConfig(level=logging.INFO, format="%(asctime)s %(levelname)s %(name)s: %(message)s")
    options = Options(given.max_k, given.max_waiting, given.max_seconds, given.availability, given.rules)
    options = replace(options, follow=given.follow, follow_seconds=given.follow_seconds)
    try:
        serve(given.bundle, given.name, given.http_port, given.grpc_port, options)
    except UserError as error:
        print(f"error: {error}", file=sys.stderr)
        return EXIT_CODE
    return 0


if __name__ == "__main__":
    sys.exit(main())
