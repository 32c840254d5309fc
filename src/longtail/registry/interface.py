"""What every registry of Student bundles can do."""

from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Protocol


@dataclass(frozen=True)
class Version:
    """A published bundle. ``uri`` is what an InferenceService's ``storageUri`` names."""

    id: str  # derived from the content: equal bundles have equal ids
    uri: str


@dataclass(frozen=True)
class Promotion:
    """One move of the champion. ``version`` and ``previous`` are ids; ``previous`` is None for the first one."""

    version: str
    at: datetime  # UTC
    previous: str | None
    reason: str


class Registry(Protocol):
    """Versions never change; the champion moves by compare-and-swap. Every method raises ``UserError``: one message that
    names the address for what is missing, refused, damaged or out of reach."""

    @property
    def uri(self) -> str:
        """The address by which this registry was opened."""

    def publish(self, bundle: Path) -> Version:
        """Store a bundle. The same content is the same version again; a half upload is no version."""

    def version(self, id: str) -> Version:
        """The published version of that id."""

    def champion(self) -> Version | None:
        """The version in service; None before the first promotion."""

    def promote(self, version: Version, expected: Version | None, reason: str) -> None:
        """Make ``version`` the champion; a UserError, and nothing moved, where the champion is not ``expected`` any more."""

    def promotions(self) -> list[Promotion]:
        """Every move of the champion, oldest first."""

    def fetch(self, version: Version, folder: Path) -> Path:
        """A checked copy of the bundle, in a folder named by its id below ``folder``."""
