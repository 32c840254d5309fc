"""Walking over every setting of a stage: each has a change that must change what the stage writes, or be refused."""

import hashlib
from pathlib import Path
from typing import Any

from longtail.contracts.settings_base import AnySettings, parse


def settings_with(kind: type[AnySettings], *changes: dict[str, Any]) -> AnySettings:
    """Settings from dotted keys; later ones win."""
    document: dict[str, Any] = {}
    for key, value in {name: value for change in changes for name, value in change.items()}.items():
        *above, last = key.split(".")
        place = document
        for part in above:
            place = place.setdefault(part, {})
        place[last] = value
    return parse(kind, document, "a test")


def digests(folder: Path, *without: str) -> dict[str, str]:
    """SHA-256 of every file below, but those of these names and the curves, which hold times."""
    files = {path.relative_to(folder): path for path in folder.rglob("*") if path.is_file()}
    return {
        str(name): hashlib.sha256(path.read_bytes()).hexdigest()
        for name, path in files.items()
        if path.name not in without and "tensorboard" not in name.parts
    }
