"""Settings of what a student takes from its teachers."""

from pydantic import Field, model_validator

from longtail.contracts.settings_base import Settings


class LessonSettings(Settings):
    """Soft labels, and vectors to be like."""

    soft_label_weight: float = Field(
        0.5, ge=0, le=1, description="Share of the loss that follows the teacher; the rest follows labels."
    )
    soft_label_temperature: float = Field(1.0, gt=0, description="Temperature of the teacher's scores.")
    soft_label_top: int = Field(
        0, ge=0, description="Candidates of the teacher that are followed one by one, the rest as one; 0 follows all."
    )
    alignment_weight: float = Field(
        0.0, ge=0, description="Weight of 1 - cosine between the student's vectors, mapped linearly, and the teacher's."
    )

    @model_validator(mode="after")
    def _soft_labels_are_read(self) -> "LessonSettings":
        if self.soft_label_weight == 0 and self.soft_label_top:
            raise ValueError(f"soft_label_top is {self.soft_label_top}, but soft_label_weight 0 leaves soft labels out")
        return self
