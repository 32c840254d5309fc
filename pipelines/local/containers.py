"""Runs the pipeline's tasks in containers: under kfp's DockerRunner, with the least that a task needs.

A container's root file system is read-only, all capabilities are dropped, /tmp is a volume of its own that goes with it. It
sees the inputs (read-only), the results of earlier tasks (read-only), and writes to the run's folder and the checkpoints.
"""

import codecs
import os
import signal
import sys
from collections.abc import Iterable, Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any

from longtail.contracts.errors import UserError
from longtail.system import channel
from longtail.system.preflight import THREAD_VARIABLES

IMAGE_USER = 65532  # of our images
CREDENTIALS_FILE = "GOOGLE_APPLICATION_CREDENTIALS"
PASSED = (
    *THREAD_VARIABLES,
    channel.VARIABLE,
    "AWS_ACCESS_KEY_ID",
    "AWS_SECRET_ACCESS_KEY",
    "AWS_SESSION_TOKEN",
    "AWS_REGION",
    "AWS_DEFAULT_REGION",
    "AWS_ENDPOINT_URL",
    "AWS_ENDPOINT_URL_S3",
    CREDENTIALS_FILE,
)


def image_id(image: str) -> str:
    """The content-derived id of a local image.

    Raises:
        UserError: no Docker client or engine, or no such image.
    """
    try:
        import docker
    except ModuleNotFoundError:
        raise UserError("--image: the package docker is missing; install longtail[docker]") from None
    try:
        client = docker.from_env()
        return str(client.images.get(image).id)
    except docker.errors.ImageNotFound:
        raise UserError(f"--image {image}: no such image here; `make images` builds and names them") from None
    except docker.errors.DockerException as error:
        raise UserError(f"--image: no Docker engine answers ({error}); start it, or name it: DOCKER_HOST=…") from None


def request(image: str, read: Iterable[str], write: Iterable[str]) -> dict[str, Any]:
    """What the worker needs to make containers of a local image. Paths are mounted at the places they have here.

    Tasks run as whoever calls, so that results are theirs. Root does not: its folders are handed to the image's user.
    """
    write = list(write)
    caller = os.getuid()
    if caller == 0:
        for folder in write:
            for path in (Path(folder), *Path(folder).rglob("*")):
                os.chown(path, IMAGE_USER, IMAGE_USER, follow_symlinks=False)
    user = f"{IMAGE_USER}:{IMAGE_USER}" if caller == 0 else f"{caller}:{os.getgid()}"
    return {"image": image, "user": user, "read": [path for path in map(_mountable, read) if path], "write": write}


def _mountable(uri: str) -> str | None:
    """The place to mount for an input: of a pattern the folder above its first wildcard; nothing for what is no place here."""
    path = Path(uri)
    if not path.is_absolute():  # an address, or a language model's id
        return None
    while any(letter in str(path) for letter in "*?[") and not path.exists():
        path = path.parent
    return str(path) if path.exists() else None  # the task says what is missing


def docker_runner(asked: dict[str, Any]) -> Any:
    """kfp's DockerRunner with what its containers may do; ``asked`` is a ``request``."""
    from docker.types import Mount
    from kfp import local

    environment = {name: os.environ[name] for name in PASSED if name in os.environ}
    read = [*asked["read"], *([environment[CREDENTIALS_FILE]] if CREDENTIALS_FILE in environment else [])]
    return local.DockerRunner(
        user=asked["user"],
        read_only=True,
        cap_drop=["ALL"],
        security_opt=["no-new-privileges:true"],
        init=True,
        shm_size="2g",
        environment=environment,
        mounts=[
            Mount("/tmp", None, type="volume"),  # noqa: S108  (on disk: what is spilled may be large)
            *(Mount(path, path, type="bind", read_only=True) for path in dict.fromkeys(read)),
            *(Mount(path, path, type="bind") for path in asked["write"]),
        ],
    )


def use_containers(asked: dict[str, Any]) -> None:
    """Let kfp run tasks by a handler that tells the exit code, which kfp's own loses where a container ends quickly."""
    import docker
    from kfp.local import docker_task_handler, status

    class TaskHandler(docker_task_handler.DockerTaskHandler):  # type: ignore[misc]
        def run(self) -> status.Status:
            stage = self.full_command[self.full_command.index("--function_to_execute") + 1]
            channel.tell("started", stage=stage)
            with ExitStack() as undo:
                client = docker.from_env()
                undo.callback(client.close)
                with _held(signal.SIGTERM):  # which ends the worker: not between a container and its removal
                    container = client.containers.create(
                        asked["image"], self.full_command, environment=self.env_vars, **self.runner.container_run_args
                    )
                    undo.callback(container.remove, force=True, v=True)
                container.start()
                decoder = codecs.getincrementaldecoder("utf-8")("replace")
                for chunk in container.logs(stream=True, follow=True):
                    sys.stdout.write(decoder.decode(chunk))
                    sys.stdout.flush()
                code = container.wait()["StatusCode"]
            channel.tell("ended", stage=stage, code=code)
            return status.Status.SUCCESS if code == 0 else status.Status.FAILURE

    docker_task_handler.DockerTaskHandler = TaskHandler


@contextmanager
def _held(sign: signal.Signals) -> Iterator[None]:
    """Let a signal wait for the end of the block."""
    signal.pthread_sigmask(signal.SIG_BLOCK, {sign})
    try:
        yield
    finally:
        signal.pthread_sigmask(signal.SIG_UNBLOCK, {sign})
