"""The model server's process: ``python -m longtail.components.predict.server --bundle DIR --name longtail``.

One worker, quiet logs, both ports checked before anything is loaded; SIGTERM lets requests in flight finish.
"""

import argparse
import logging
import os
import sys
import warnings
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from longtail.components.predict.access import Access
from longtail.components.predict.options import DEFAULTS, MAX_BODY, Options
from longtail.components.predict.private_logs import VARIABLE, keep_private, log_key
from longtail.contracts.errors import EXIT_CODE, PORT_EXIT_CODE, PortInUseError, UserError
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
        PortInUseError: a port that is taken.
        UserError: what is wrong with a port, the bundle or a file of the options.
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
    access = Access()
    if options.tokens is not None:
        access.follow(options.tokens, name)
    log.info(
        "serving %s as %s on http://127.0.0.1:%d (gRPC on %d)",
        options.follow or Path(bundle),
        name,
        http_port,
        grpc_port,
    )
    describe(kserve.model_server.app)
    start(model, http_port, grpc_port, access, options.max_body)


def start(
    model: "kserve.Model", http_port: int, grpc_port: int, access: Access | None = None, max_body: int = MAX_BODY
) -> None:
    """Serve one loaded model until SIGTERM or SIGINT, by one worker: pods are what multiplies. access: who may ask; all where left
    out.

    Raises:
        PortInUseError: somebody took a port since it was found free.
    """
    from uvicorn.config import STARTUP_FAILURE

    from longtail.components.predict.guarded_server import guarded_server

    _quiet_kserve()
    server = guarded_server(model, (http_port, grpc_port), access or Access(), max_body)
    server.model_repository_extension = _fixed_models(server.registered_models)
    try:
        server.start([model])
    except SystemExit as ended:
        if ended.code != STARTUP_FAILURE:
            raise
        raise PortInUseError("--http-port", http_port) from None  # uvicorn has logged why it could not listen


def _check_ports(http_port: int, grpc_port: int) -> None:
    for option, port in (("--http-port", http_port), ("--grpc-port", grpc_port)):
        if not 0 < port <= MAX_PORT:
            raise UserError(f"{option} {port}: is no port; take 1 to {MAX_PORT}, or leave it out to have one chosen")
        if port_in_use(port):
            raise PortInUseError(option, port)
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
    """KServe writes four lines a request: keep warnings. What a refusal says, and tracebacks: see ``private_logs``."""
    logging.getLogger("kserve").addHandler(logging.NullHandler())  # a logger with a handler is not configured by kserve
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
        ("--max-body", int, DEFAULTS.max_body, "bytes of a request; a longer one gets a 413"),
    ):
        parser.add_argument(option, type=kind, default=default, help=f"{what} (default: %(default)s)")
    for option, what in (
        ("--availability", "what may not be given just now"),
        ("--rules", "the shop's rules"),
        ("--tokens", "who may ask (default: everybody)"),
    ):
        parser.add_argument(option, help=f"YAML file, or its s3:// or gs://, of {what}; followed while serving")
    parser.add_argument(
        "--log-key", help=f"file of the key of hashes in the log (default: {VARIABLE}, or a random key)"
    )
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
    for option in ("max_waiting", "max_seconds", "max_body", "follow_seconds"):
        value = getattr(given, option)
        if not value > 0:
            parser.error(f"argument --{option.replace('_', '-')}: {value} is not above 0")
    logging.basicConfig(level=logging.INFO, format="%(asctime)s %(levelname)s %(name)s: %(message)s")
    options = Options(
        max_k=given.max_k,
        most_waiting=given.max_waiting,
        seconds=given.max_seconds,
        availability=given.availability,
        rules=given.rules,
        follow=given.follow,
        follow_seconds=given.follow_seconds,
        tokens=given.tokens,
        max_body=given.max_body,
    )
    try:
        keep_private(log_key(given.log_key))
        serve(given.bundle, given.name, given.http_port, given.grpc_port, options)
    except UserError as error:
        print(f"error: {error}", file=sys.stderr)
        return PORT_EXIT_CODE if isinstance(error, PortInUseError) else EXIT_CODE
    return 0


if __name__ == "__main__":
    sys.exit(main())
