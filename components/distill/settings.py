"""Settings of the distillation: the student's training, what it takes from teachers, and how it is made smaller."""

from typing import Annotated, ClassVar

from pydantic import Field, model_validator

from longtail.contracts.settings_base import Place
from longtail.modeling.lesson_settings import LessonSettings
from longtail.modeling.machine_settings import MachineSettings
from longtail.modeling.training_settings import TrainingSettings
from longtail.scoring.compression_settings import CompressionSettings


class StudentTraining(TrainingSettings):
    """How the student is trained."""

    dim: int = Field(240, ge=8, le=255, description="Numbers in the student's vectors (one more holds popularity).")
    blocks: int = Field(1, ge=1, description="Transformer blocks of the student's sequence encoder.")
    epochs: int = Field(3, ge=1, description="Passes over the training sequences at most.")
    learning_rate: float = Field(2e-4, gt=0, description="Peak learning rate of the optimizer.")


class DistillSettings(MachineSettings, LessonSettings):
    """How the student learns from labels and from the teacher, and how it is made smaller."""

    start_from_teacher: bool = Field(
        True, description="Begin with the teacher's vectors and lowest blocks, where dim is the same; false: at random."
    )
    extra_teachers: tuple[Annotated[str, Place()], ...] = Field(
        (),
        description="Teacher artifacts whose scores are averaged with the teacher's; the student starts from the first.",
    )
    training: StudentTraining = StudentTraining()
    compression: CompressionSettings = CompressionSettings()

    renamed: ClassVar[dict[str, str]] = {name: f"training.{name}" for name in TrainingSettings.model_fields} | {
        name: f"compression.{name}" for name in CompressionSettings.model_fields
    }

    @model_validator(mode="after")
    def _teachers_are_asked(self) -> "DistillSettings":
        if self.soft_label_weight == 0 and self.alignment_weight == 0 and self.extra_teachers:
            raise ValueError(
                "extra_teachers are never asked, as soft_label_weight and alignment_weight are 0; raise one of them"
            )
        return self
