"""Runs the real model server as a process of its own, on free ports, for as long as a block lasts."""

import logging
import os
import subprocess
import sys
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import quote

from longtail.contracts.errors import EXIT_CODE, PORT_EXIT_CODE, UserError
from longtail.system.http import call
from longtail.system.machine import free_ports

log = logging.getLogger(__name__)

SERVER_MODULE = "longtail.components.predict.server"  # by name: stages do not import each other
ATTEMPTS = 3  # at ports that nobody has
POLL_SECONDS = 0.1
STOP_SECONDS = 40  # KServe gives requests in flight 30 seconds


@dataclass(frozen=True)
class ServerHandle:
    """A server that answers."""

    http_port: int
    grpc_port: int
    url: str
    pid: int


@contextmanager
def running_server(
    bundle: str | os.PathLike[str],
    name: str,
    timeout_seconds: float,
    log_path: str | os.PathLike[str],
    options: Sequence[str] = (),
) -> Iterator[ServerHandle]:
    """Start the server, wait until the model is ready, and stop it when the block ends. options: further ones of its command.

    Raises:
        UserError: what the server found wrong with the bundle, or that it was not ready in time.
        RuntimeError: it ended by itself, before it was ready or while the block ran.
    """
    command = [sys.executable, "-P", "-m", SERVER_MODULE, "--bundle", str(bundle), "--name", name, *options]
    with running_command(command, name, timeout_seconds, log_path) as handle:
        yield handle


@contextmanager
def running_command(
    command: Sequence[str], name: str, timeout_seconds: float, log_path: str | os.PathLike[str]
) -> Iterator[ServerHandle]:
    """``running_server`` for any command that takes ``--http-port`` and ``--grpc-port`` at its end."""
    process, handle = _started(command, name, timeout_seconds, Path(log_path))
    try:
        yield handle
    except UserError as error:
        if process.poll() is not None:
            raise RuntimeError(_ended(process, Path(log_path))) from error
        raise
    finally:
        _stop(process)


def _started(
    command: Sequence[str], name: str, timeout_seconds: float, log_path: Path
) -> tuple[subprocess.Popen[bytes], ServerHandle]:
    """A server that is ready. Ports that somebody takes between their choice and the server's start are chosen anew."""
    for _ in range(ATTEMPTS):
        http_port, grpc_port = free_ports(2)
        ports = ["--http-port", str(http_port), "--grpc-port", str(grpc_port)]
        with log_path.open("wb") as stream:
            process = subprocess.Popen(
                [*command, *ports], stdin=subprocess.DEVNULL, stdout=stream, stderr=subprocess.STDOUT
            )
        handle = ServerHandle(http_port, grpc_port, f"http://127.0.0.1:{http_port}", process.pid)
        try:
            if _becomes_ready(handle, name, process, timeout_seconds, log_path):
                return process, handle
        except BaseException:
            _stop(process)
            raise
    raise UserError(f"others took the model server's ports {ATTEMPTS} times; run it again when fewer ports are opened")


def _becomes_ready(
    handle: ServerHandle, name: str, process: subprocess.Popen[bytes], timeout_seconds: float, log_path: Path
) -> bool:
    """False: somebody took a port."""
    deadline = time.monotonic() + timeout_seconds
    while process.poll() is None:
        try:
            call(f"{handle.url}/v2/models/{quote(name)}/ready", timeout_seconds=5)
            return True
        except UserError:  # nobody listens yet
            if time.monotonic() > deadline:
                raise UserError(
                    f"the model server was not ready within {timeout_seconds:g} seconds; give deploy.startup_seconds more "
                    f"(its log ends: {last_line(log_path)})"
                ) from None
        time.sleep(POLL_SECONDS)
    if process.returncode == PORT_EXIT_CODE:
        return False
    if process.returncode == EXIT_CODE:
        raise UserError(last_line(log_path).removeprefix("error: "))
    raise RuntimeError(_ended(process, log_path))


def _ended(process: subprocess.Popen[bytes], log_path: Path) -> str:
    code = process.returncode
    how = f"was ended by signal {-code}" if code < 0 else f"ended with exit code {code}"
    remedy = " (9 often means that memory ran out)" if code == -9 else ""
    return f"the model server {how}{remedy}; its log ends: {last_line(log_path)}"


def last_line(log_path: Path) -> str:
    """The last line of a log that says something."""
    lines = [line.strip() for line in log_path.read_text(errors="replace").splitlines() if line.strip()]
    return lines[-1] if lines else "(empty)"


def _stop(process: subprocess.Popen[bytes]) -> None:
    process.terminate()
    try:
        process.wait(STOP_SECONDS)
    except subprocess.TimeoutExpired:
        log.warning("the model server did not stop within %d seconds of SIGTERM; killing it", STOP_SECONDS)
        process.kill()
        process.wait()
