"""Nothing of a user in the log: what a client wrote is there only as a keyed hash, by which equal ones can be told.

A refusal says the place and the fault, without what it quotes; an exception its kind and lines of code, without its text. Ids of the
operations staff's own files stay as they are.
"""

import hashlib
import hmac
import logging
import os
import re
import secrets
import traceback
from pathlib import Path

from longtail.contracts.errors import UserError

VARIABLE = "LONGTAIL_LOG_KEY"
LEAST_KEY = 16  # bytes
SHOWN = 12  # hex digits of a hash
OWN = "longtail"
QUOTE = re.compile(r"['\"`‘“]")


class Pseudonyms:
    """HMAC-SHA-256, shortened: without the key nobody can find a text by trying."""

    def __init__(self, key: bytes) -> None:
        self._key = key

    def of(self, text: str) -> str:
        found = hmac.new(self._key, text.encode("utf-8", "surrogatepass"), hashlib.sha256).hexdigest()
        return found[:SHOWN]


def log_key(path: str | os.PathLike[str] | None) -> bytes:
    """The key of a file, of the environment, or a random one of this process alone.

    Raises:
        UserError: the file cannot be read, or the key is too short.
    """
    if path is not None:
        try:
            key, place = Path(path).read_bytes().strip(), str(path)
        except OSError as error:
            raise UserError(
                f"{path}: cannot be read ({error.strerror}); give --log-key a file with a random key"
            ) from None
    elif VARIABLE in os.environ:
        key, place = os.environ[VARIABLE].strip().encode(), VARIABLE
    else:
        return secrets.token_bytes(32)
    if len(key) < LEAST_KEY:
        raise UserError(f"{place}: a key of {len(key)} bytes is too short; give at least {LEAST_KEY} random ones")
    return key


def unquoted(message: str) -> str:
    """Up to the first quotation mark: what a client wrote is quoted."""
    found = QUOTE.search(message)
    return message if found is None else f"{message[: found.start()].rstrip()} …"


class PrivateLogs(logging.Filter):
    """Of a handler. Records of other packages are cut before anything that they may quote, and exceptions before their text."""

    def __init__(self, pseudonyms: Pseudonyms) -> None:
        super().__init__()
        self._pseudonyms = pseudonyms

    def filter(self, record: logging.LogRecord) -> bool:
        error = record.exc_info[1] if record.exc_info else None
        ours = record.name.partition(".")[0] == OWN
        if error is not None:
            told = getattr(error, "told", None)  # of a refusal: its place and fault
            if told is not None or _is_clients_fault(error):
                self._say(
                    record, logging.WARNING, f"refused a request: {told or type(error).__name__} ({self._hash(error)})"
                )
            else:
                message = record.getMessage() if ours else str(record.msg).partition("%")[0].rstrip(": ")
                self._say(record, record.levelno, f"{message}: {self._lines(error)}")
        elif not ours and record.levelno >= logging.WARNING:
            message = record.getMessage()
            cut = unquoted(message).partition(": ")[0]
            self._say(record, record.levelno, cut if cut == message else f"{cut} ({self._pseudonyms.of(message)})")
        return True

    def _hash(self, error: BaseException) -> str:
        return self._pseudonyms.of(str(error))

    def _lines(self, error: BaseException | None) -> str:
        """Kinds and lines of code of an exception and of those that it came from."""
        said = []
        while error is not None:
            frames = "".join(traceback.format_tb(error.__traceback__)).rstrip()
            said.append(f"{type(error).__name__} ({self._hash(error)}), at\n{frames}")
            error = error.__cause__ or (None if error.__suppress_context__ else error.__context__)
        return "\nfrom ".join(said)

    @staticmethod
    def _say(record: logging.LogRecord, level: int, message: str) -> None:
        record.levelno, record.levelname = level, logging.getLevelName(level)
        record.msg, record.args, record.exc_info, record.exc_text = message, (), None, None


def _is_clients_fault(error: BaseException) -> bool:
    from longtail.system.kserve_sdk import kserve

    faults = kserve.errors
    return isinstance(error, faults.InvalidInput | faults.ModelNotFound | faults.UnsupportedProtocol)


def keep_private(key: bytes) -> None:
    """Whatever is logged from now on."""
    for handler in logging.getLogger().handlers:
        handler.addFilter(PrivateLogs(Pseudonyms(key)))
