"""Walking over every setting of a stage: each has a change that must change what the stage writes, or be refused."""

import hashlib
from pathlib import Path
from typing import Any

import pytest

from longtail.contracts.settings_base import AnySettings, parse
from longtail.modeling.techniques import gradient_checkpointing

SMALL: dict[str, Any] = {
    "training.dim": 16,
    "training.heads": 2,
    "training.blocks": 1,
    "training.epochs": 2,
    "training.epoch_steps": 2,
    "training.batch_positions": 64,
}
TRAINING_CHANGES: dict[str, Any] = {  # setting -> its changed value
    "dim": 24,
    "blocks": 2,
    "heads": 4,
    "dropout": 0.1,
    "image_dropout": 0.6,
    "temperature": 0.1,
    "epochs": 3,
    "epoch_steps": 9,
    "batch_positions": 16,
    "optimizer": "adafactor",
    "learning_rate": 0.01,
    "weight_decay": 0.5,
    "warmup_share": 0.5,
    "schedule": "constant",
    "accumulation": 2,
    "clip": 0.01,
    "average_decay": 0.5,
    "label_smoothing": 0.2,
    "future_items": 3,
    "user_weight_power": 0.0,
    "crop_share": 1.0,
    "mask_share": 0.5,
    "reorder_share": 1.0,
    "reverse_share": 1.0,
    "fgm_epsilon": 0.5,
}


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


def noted_checkpoints(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """Grows with every layer that is to be computed again rather than kept."""
    calls: list[int] = []
    again = gradient_checkpointing.checkpoint
    monkeypatch.setattr(
        gradient_checkpointing, "checkpoint", lambda *args, **more: calls.append(1) or again(*args, **more)
    )
    return calls
