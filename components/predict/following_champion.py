"""Follows a registry's champion: whoever promotes, refreshes or rolls back changes what is served, without a restart.

A bundle that cannot be taken leaves the one before in service. It is looked at again when the champion moves or a file of the shop
changes, and else ever more rarely, as a storage may have been out of reach.
"""

import logging
import re
import tempfile
import threading
import time
from dataclasses import dataclass
from pathlib import Path

from longtail.components.predict.service import Service
from longtail.contracts.artifacts import MANIFEST
from longtail.contracts.errors import UserError
from longtail.registry.bundles import bundle_id
from longtail.registry.interface import Version
from longtail.registry.opening import open_registry

log = logging.getLogger(__name__)

RAREST = 300.0  # seconds between two looks at a bundle that cannot be taken


@dataclass
class _Refused:
    """What cannot be taken under the shop's files of then, why, and when it is tried again (monotonic seconds)."""

    id: str
    files: int
    why: str
    wait: float
    again: float


class FollowedChampion:
    """Keeps a service at a registry's champion.

    Args:
        registry: its address.
        service: what takes the bundles.
        beside: a bundle's folder on this disk. It is not fetched where it is the champion, and serves first where the champion
            cannot be taken at the start.
        every: seconds between looks at the registry.

    ``fault``: why the champion is not what serves, or cannot be known; None where it serves.

    Raises:
        UserError: an address of another form.
    """

    def __init__(self, registry: str, service: Service, beside: Path, every: float) -> None:
        self._registry, self._service, self._beside, self._every = open_registry(registry), service, beside, every
        self.fault: str | None = None
        self._refused: _Refused | None = None
        self._fetched: tempfile.TemporaryDirectory[str] | None = None  # holds the bundle that serves

    def is_taken(self) -> bool:
        """Whether the champion serves."""
        return self.fault is None

    def start(self) -> None:
        """Take the champion, else the bundle beside; then follow, in a thread of its own.

        Raises:
            UserError: the champion cannot be taken, and there is no bundle beside, or none that can.
        """
        try:
            self._take(self._champion())
        except Exception as error:
            if not (self._beside / MANIFEST).is_file():
                raise
            self._say(error, f"the bundle {self._beside} serves")
            self._service.take_bundle(self._beside)
        threading.Thread(target=self._follow, name="champion", daemon=True).start()

    def look(self) -> None:
        """Look at the registry once, and take its champion where that is another than serves."""
        serving = self._service.now
        try:
            champion = self._champion()
            if champion.id != serving.version:
                if self._is_refused(champion):
                    return
                self._take(champion)
            elif self.fault is not None:
                log.info("the registry's champion is %s, which serves", champion.id)
            self.fault = None
        except Exception as error:  # noqa: BLE001  (whatever is wrong with a new bundle, the one before serves on)
            self._say(error, f"{serving.version} serves on")
        self._service.free_memory()

    def _follow(self) -> None:
        while True:
            time.sleep(self._every)
            self.look()

    def _champion(self) -> Version:
        champion = self._registry.champion()
        if champion is None:
            raise UserError(f"{self._registry.uri}: has no champion yet; promote a bundle")
        return champion

    def _is_refused(self, champion: Version) -> bool:
        """Whether it need not be tried again yet."""
        refused = self._refused
        if refused is None or (refused.id, refused.files) != (champion.id, self._service.files_taken):
            self._refused = None
            return False
        self.fault = refused.why
        return time.monotonic() < refused.again

    def _take(self, champion: Version) -> None:
        files = self._service.files_taken
        fetched = None if self._is_beside(champion) else tempfile.TemporaryDirectory(prefix="longtail-champion-")
        try:
            folder = self._registry.fetch(champion, Path(fetched.name)) if fetched else self._beside
            self._service.take_bundle(folder, self._registry.golden(champion))
        except Exception as error:  # noqa: BLE001  (whatever is wrong with it)
            why = _line(error)
            if fetched:
                fetched.cleanup()
                why = re.sub(re.escape(fetched.name) + r"/[^/:\s]*", champion.uri, why)  # where it lies, not its copy
            wait = self._every if self._refused is None else min(2 * self._refused.wait, RAREST)
            self._refused = _Refused(champion.id, files, why, wait, time.monotonic() + wait)
            raise UserError(why) from (None if isinstance(error, UserError) else error)
        log.info("bundle %s serves from now on, the registry's champion", champion.id)
        before, self._fetched, self._refused = self._fetched, fetched, None
        if before:
            before.cleanup()

    def _is_beside(self, champion: Version) -> bool:
        manifest = self._beside / MANIFEST
        return manifest.is_file() and bundle_id(manifest.read_bytes()) == champion.id

    def _say(self, error: Exception, meanwhile: str) -> None:
        if _line(error) != self.fault:
            bug = error.__cause__ if isinstance(error, UserError) else error
            log.error("the registry's champion is not taken, %s: %s", meanwhile, _line(error), exc_info=bug)
        self.fault = _line(error)


def _line(error: Exception) -> str:
    return str(error) if isinstance(error, UserError) else f"{type(error).__name__}: {error}"
