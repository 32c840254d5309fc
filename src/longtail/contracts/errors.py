"""The one error a user can cause. Everything that is not a ``UserError`` is a bug and keeps its traceback."""

from collections.abc import Iterator
from contextlib import contextmanager

EXIT_CODE = 2
GATE_EXIT_CODE = 3  # of a run that went well, and whose gate did not pass
PORT_EXIT_CODE = 4  # of a server whose port somebody else took


class UserError(ValueError):
    """A fault in data, settings or environment: one message that names the file, row or key, and the remedy."""


class PortInUseError(UserError):
    """A port that somebody else has. option: what sets it."""

    def __init__(self, option: str, port: int) -> None:
        super().__init__(
            f"port {port} is in use; stop what listens there, or give {option} another port (0 chooses a free one)"
        )


@contextmanager
def about(option: str) -> Iterator[None]:
    """Begin the message of a ``UserError`` with the option or the file that it is about."""
    try:
        yield
    except UserError as error:
        raise UserError(f"{option} {error}") from None
