"""What every registry of Student bundles can do."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Any, Protocol

from longtail.contracts.decision import Decision

# an evaluated user: ``history``, ``attributes``, ``context``, ``expected`` items and their ``scores``
Golden = dict[str, Any]


@dataclass(frozen=True)
class Version:
    """A published bundle. ``uri`` is what an InferenceService's ``storageUri`` names."""

    id: str  # derived from the content: equal bundles have equal ids
    uri: str


@dataclass(frozen=True)
class Promotion:
    """One move of the champion. ``version`` and ``previous`` are ids; ``previous`` is None for the first one.

    override: why somebody promoted it without a Decision that lets it be served; None where nobody had to.
    """

    version: str
    at: datetime  # UTC
    previous: str | None
    reason: str
    override: str | None = None


class Registry(Protocol):
    """Versions never change; the champion moves by compare-and-swap. Every method raises ``UserError``: one message that
    names the address for what is missing, refused, damaged or out of reach."""

    @property
    def uri(self) -> str:
        """The address by which this registry was opened."""

    def publish(self, bundle: Path, decision: Path | None = None, golden: Sequence[Golden] = ()) -> Version:
        """Store a bundle, the decision.json about it, and evaluated users with its answers. The same content is the same version
        again, and then has the later Decision and answers; a half upload is no version."""

    def version(self, id: str) -> Version:
        """The published version of that id."""

    def manifest(self, version: Version) -> bytes:
        """Its manifest.json, which its id proves right."""

    def decision(self, version: Version) -> Decision | None:
        """The Decision that it was published with last; None where there was none."""

    def golden(self, version: Version) -> list[Golden]:
        """The evaluated users that it was published with last; empty where there were none."""

    def champion(self) -> Version | None:
        """The version in service; None before the first promotion."""

    def promote(self, version: Version, expected: Version | None, reason: str, override: str | None = None) -> None:
        """Make ``version`` the champion; a UserError, and nothing moved, where the champion is not ``expected`` any more.

        Whether it may be is for ``promotable.may_replace`` to say, which gives ``expected``.
        """

    def promotions(self) -> list[Promotion]:
        """Every move of the champion, oldest first."""

    def fetch(self, version: Version, folder: Path) -> Path:
        """A checked copy of the bundle, in a folder named by its id below ``folder``."""
