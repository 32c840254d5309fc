"""The order that preprocess draws among events of one user at the same time, from its description in docs."""

import hashlib
from collections.abc import Iterable


def tie(user: str, item: str, seed: int = 0) -> int:
    user_salt, item_salt = (int(hashlib.md5(f"{seed}:{name}".encode()).hexdigest()[:7], 16) for name in (user, item))
    return pow(user_salt + item_salt, 2, 2**31 - 1)


def drawn_order(user: str, items: Iterable[str], seed: int = 0) -> list[str]:
    return sorted(items, key=lambda item: tie(user, item, seed))
