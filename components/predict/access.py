"""Who may ask: bearer tokens with scopes and rates, by a YAML file that is followed while serving.

The file holds SHA-256 hashes, never tokens; a token of 32 random bytes needs no salt and no slow hash. Without a file everybody may ask,
and nobody may operate.
"""

import hashlib
import hmac
import math
import os
import re
import secrets
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from http import HTTPStatus
from typing import Annotated, Literal

from pydantic import Field, StringConstraints, model_validator

from longtail.components.predict import monitoring
from longtail.components.predict.followed_file import FollowedFile
from longtail.contracts.settings_base import Settings
from longtail.scoring.staff_files import parse_staff_file

Scope = Literal["ask", "operate"]
EXAMPLE = "tokens: [{name: …, sha256: 64 hex digits, scopes: [ask, operate], per_second: 50}]; `longtail token NAME` makes one"
REALM = "longtail"

# What probes and Prometheus read is open; what is not listed needs the scope ``operate``.
OPEN = re.compile(
    r"/|/metrics|/v2/health/(live|ready)|/v1/models/[^/:\n]+|/v2/models/[^/\n]+(/versions/[^/\n]+)?/ready"
)
ASKED = re.compile(
    r"/v1/models(/[^/\n]+:(predict|explain))?|/v2/?|/v2/models(/[^/\n]+(/versions/[^/\n]+)?(/infer)?)?|/docs|/openapi\.json"
)
OPEN_CALLS = ("ServerLive", "ServerReady", "ModelReady")
ASKED_CALLS = ("ModelInfer", "ModelMetadata", "ServerMetadata")


class Token(Settings):
    """One that may come in."""

    name: str = Field(min_length=1, max_length=100, description="Whose it is, as logs and metrics may give it.")
    sha256: Annotated[str, StringConstraints(to_lower=True, pattern=r"^[0-9a-fA-F]{64}$")] = Field(
        description="Of the token, in hex digits."
    )
    scopes: tuple[Scope, ...] = Field(min_length=1, description="ask: for recommendations; operate: the shop's files.")
    per_second: float | None = Field(None, gt=0, allow_inf_nan=False, description="Requests that each replica answers.")


class Tokens(Settings):
    """All that may come in."""

    tokens: tuple[Token, ...]

    @model_validator(mode="after")
    def _each_once(self) -> "Tokens":
        names, hashes = [token.name for token in self.tokens], [token.sha256 for token in self.tokens]
        for place, token in enumerate(self.tokens):
            if token.name in names[:place]:
                raise ValueError(f"two tokens are named {token.name!r}")
            if token.sha256 in hashes[:place]:
                raise ValueError(f"{names[hashes.index(token.sha256)]!r} and {token.name!r} are the same token")
        return self

    @classmethod
    def parse(cls, text: str, name: str) -> "Tokens":
        """From YAML or JSON. name: of where it lies.

        Raises:
            UserError: naming the key that is wrong, never what it holds.
        """
        return parse_staff_file(cls, text, name, EXAMPLE)


def new_token() -> tuple[str, str]:
    """A random token, and its hash for the file."""
    token = secrets.token_urlsafe(32)
    return token, hash_of(token)


def hash_of(token: str) -> str:
    return hashlib.sha256(token.encode()).hexdigest()


@dataclass(frozen=True)
class Refusal:
    """Why a request goes no further. headers: of HTTP, in small letters."""

    status: HTTPStatus
    message: str
    headers: Mapping[str, str]


@dataclass
class _Bucket:
    """Requests that may come at once (a second's worth, at least one), filled up by ``rate`` a second."""

    rate: float
    filled: float
    at: float

    def seconds_until_free(self, now: float) -> float:
        """0 where one was taken out."""
        self.filled = min(max(self.rate, 1.0), self.filled + (now - self.at) * self.rate)
        self.at = now
        if self.filled < 1:
            return (1 - self.filled) / self.rate
        self.filled -= 1
        return 0.0


@dataclass(frozen=True)
class _Known:
    token: Token
    hash: bytes
    bucket: _Bucket | None


@dataclass
class Access:
    """Judges each request, on the event loop. ``clock``: seconds."""

    clock: Callable[[], float] = time.monotonic
    _known: tuple[_Known, ...] | None = field(default=None, init=False)

    @property
    def is_open(self) -> bool:
        """Whether there are no tokens, so that everybody may ask and nobody operate."""
        return self._known is None

    def follow(self, path: str | os.PathLike[str], model_name: str) -> None:
        """Take the tokens of a file, now and whenever it changes.

        Raises:
            UserError: it cannot be taken now.
        """
        followed = FollowedFile("tokens", path, self.take)
        monitoring.FILE_TAKEN.labels(model_name, "tokens").set_function(followed.is_good)

    def take(self, text: str, path: str) -> None:
        """Let in whom the file names; what is left of a token's rate stays where the rate does."""
        before = {known.token.name: known.bucket for known in self._known or ()}
        known = []
        for token in Tokens.parse(text, path).tokens:
            bucket = before.get(token.name)
            if token.per_second is None:
                bucket = None
            elif bucket is None or bucket.rate != token.per_second:
                bucket = _Bucket(token.per_second, max(token.per_second, 1.0), self.clock())
            known.append(_Known(token, bytes.fromhex(token.sha256), bucket))
        self._known = tuple(known)  # one assignment: no request is judged by half of it

    def refusal(self, authorization: str | None, scope: Scope) -> Refusal | None:
        """None where the request may go on. authorization: the header, ``Bearer TOKEN``."""
        if self._known is None:
            return None
        kind, _, given = (authorization or "").partition(" ")
        if kind.lower() != "bearer" or not given.strip():
            return _refusal(
                HTTPStatus.UNAUTHORIZED, "give a token: Authorization: Bearer TOKEN", f'Bearer realm="{REALM}"'
            )
        found = self._find(given.strip())
        if found is None:
            challenge = f'Bearer realm="{REALM}", error="invalid_token"'
            return _refusal(HTTPStatus.UNAUTHORIZED, "this token is not known here (any more)", challenge)
        if scope not in found.token.scopes:
            challenge = f'Bearer realm="{REALM}", error="insufficient_scope", scope="{scope}"'
            return _refusal(HTTPStatus.FORBIDDEN, f"this token has not the scope {scope!r}", challenge)
        wait = found.bucket.seconds_until_free(self.clock()) if found.bucket else 0.0
        if wait:
            message = f"over the {found.token.per_second:g} requests a second of this token; ask again later"
            return Refusal(HTTPStatus.TOO_MANY_REQUESTS, message, {"retry-after": str(math.ceil(wait))})
        return None

    def _find(self, token: str) -> _Known | None:
        """Compares with every hash, so that the time tells nothing of which one it was, or how near."""
        given = hashlib.sha256(token.encode("utf-8", "surrogateescape")).digest()
        found = None
        for known in self._known or ():
            if hmac.compare_digest(known.hash, given):
                found = known
        return found


def _refusal(status: HTTPStatus, message: str, challenge: str) -> Refusal:
    return Refusal(status, message, {"www-authenticate": challenge})


def scope_of_path(path: str) -> Scope | None:
    """What a path of HTTP needs; None: it is open."""
    if OPEN.fullmatch(path):
        return None
    return "ask" if ASKED.fullmatch(path) else "operate"


def scope_of_call(method: str) -> Scope | None:
    """What a method of gRPC (``/service/Method``) needs; None: it is open."""
    name = method.rpartition("/")[2]
    if name in OPEN_CALLS:
        return None
    return "ask" if name in ASKED_CALLS else "operate"
