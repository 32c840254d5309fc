"""Every rollout ends with the new bundle promoted, or with the one before serving again: after a fault of the bundle, of the
cluster or of this program, after Ctrl+C, and after the SIGTERM by which a cluster ends a pod."""

import logging
import signal
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

from longtail.contracts.errors import UserError
from longtail.registry.interface import Registry, Version
from longtail.rollout.placing import Rollout, go_back

log = logging.getLogger(__name__)


@contextmanager
def promoted_or_rolled_back(rollout: Rollout, registry: Registry, version: Version) -> Iterator[None]:
    """Whatever ends the block early undoes what the rollout has placed.

    Raises:
        UserError: that of the block, and what is served instead.
    """
    try:
        with _sigterm(_exit):
            yield
    except BaseException as error:
        with _sigterm(signal.SIG_IGN):  # a cluster kills soon enough
            served = _gone_back(rollout, registry, version)
        if isinstance(error, UserError):
            raise UserError(f"{error}; {served}") from None
        log.error("%s ended the rollout; %s", type(error).__name__, served)
        raise


def promote(rollout: Rollout, registry: Registry, version: Version, reason: str) -> None:
    """Move the registry's champion to ``version``, unless it is there already.

    Raises:
        UserError: somebody else moved it meanwhile.
    """
    if rollout.champion is None or rollout.champion.id != version.id:
        registry.promote(version, rollout.champion, reason, rollout.override)


def _gone_back(rollout: Rollout, registry: Registry, version: Version) -> str:
    try:
        if _was_promoted(rollout, registry, version):
            return f"version {version.id} is promoted and serves"
        return go_back(rollout)
    except UserError as error:
        return f"going back failed as well: {error}; see longtail status, and use longtail rollback"


def _was_promoted(rollout: Rollout, registry: Registry, version: Version) -> bool:
    """Whether it became the champion since the rollout began: a registry's answer may be lost, or come while we are ended."""
    if rollout.champion is not None and rollout.champion.id == version.id:
        return False
    try:
        champion = registry.champion()
    except UserError:
        return False
    return champion is not None and champion.id == version.id


def _exit(number: int, _: Any) -> None:
    raise SystemExit(128 + number)


@contextmanager
def _sigterm(handler: Callable[[int, Any], None] | signal.Handlers) -> Iterator[None]:
    """Only the main thread may say what a signal does."""
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    earlier = signal.signal(signal.SIGTERM, handler)
    try:
        yield
    finally:
        signal.signal(signal.SIGTERM, earlier or signal.SIG_DFL)
