"""What a server may be told beside its bundle."""

import os
from dataclasses import dataclass

MAX_K = 100  # items for one user: the answers of a request of 64 users stay below a few MB
MAX_BODY = 8 * 1024 * 1024  # bytes: 64 users of 10,000 ids of ten letters each


@dataclass(frozen=True)
class Options:
    """max_k: items that an instance may ask for, None: the whole catalogue. most_waiting: requests that may wait for a thread, at
    1,000 a second a fifth of a second. seconds: within which a request is answered, or turned away. availability: file of what may not
    be given just now; rules: file of the shop's rules; tokens: file of who may ask; all are followed while serving. max_body: bytes of a
    request. follow: address of a registry whose champion is served; follow_seconds: between looks at it.
    """

    max_k: int | None = MAX_K
    most_waiting: int = 200
    seconds: float = 10.0
    availability: str | os.PathLike[str] | None = None
    rules: str | os.PathLike[str] | None = None
    follow: str | None = None
    follow_seconds: float = 10.0
    tokens: str | os.PathLike[str] | None = None
    max_body: int = MAX_BODY


DEFAULTS = Options()
