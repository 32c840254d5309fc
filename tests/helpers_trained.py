"""A tiny shop, and a teacher and a student that finetune and distill trained on it with a tiny random language model."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from helpers_prepared import Event, write_tiny_prepared

from longtail.components.distill.distill import distill
from longtail.components.distill.settings import DistillSettings, StudentTraining
from longtail.components.finetune.finetune import finetune
from longtail.components.finetune.settings import FinetuneSettings, TeacherTraining
from longtail.modeling.adaptation_settings import AdaptationSettings

Users = Sequence[Sequence[Event]] | None


def train_tiny(
    folder: Path,
    language_model: Path,
    training: dict[str, Any],
    users: Users = None,
    words: Sequence[str] = (),
    **lesson: Any,
) -> None:
    """Write ``prepared``, ``teacher`` and ``bundle`` into the folder. users: their events, where
    they are not random. words: of the items' texts. lesson: further settings of distill."""
    write_tiny_prepared(folder / "prepared", users, words=words)
    settings = FinetuneSettings(
        language_model=str(language_model),
        adaptation=AdaptationSettings(steps=3, batch=8),
        training=TeacherTraining(**training),
        neighbours=5,
    )
    finetune(folder / "prepared", folder / "teacher", settings, seed=1)
    student = DistillSettings(training=StudentTraining(**training), **lesson)
    distill(folder / "prepared", folder / "teacher", folder / "bundle", student, seed=1)
