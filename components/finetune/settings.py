"""Settings of the fine-tuning: the language model, its adaptation, the sparse term and the teacher's training."""

from typing import Annotated, ClassVar, Literal

from pydantic import Field, model_validator

from longtail.contracts.settings_base import Place
from longtail.modeling.adaptation_settings import AdaptationSettings
from longtail.modeling.machine_settings import MachineSettings
from longtail.modeling.training_settings import TrainingSettings
from longtail.neighbours.term_settings import TermSettings


class TeacherTraining(TrainingSettings):
    """How the teacher is trained."""

    validation_users: int = Field(
        100,
        ge=1,
        description="With fewer, or without training events, nothing is trained and the language model stays as it is: nobody could "
        "tell whether it helps. Counts and texts are served.",
    )
    term_after: float = Field(
        0.5,
        ge=0,
        lt=1,
        description="Share of the epochs, at the start, that train the dense part alone, which newcomers rely on; then the "
        "sparse term joins.",
    )


class FinetuneSettings(MachineSettings, TermSettings):
    """How the language model is adapted and the teacher trained."""

    shard: bool = Field(
        False,
        description="Spread the sequence model's weights, gradients and optimizer state over the processes that accelerate "
        "or torchrun started (FSDP), for models that do not fit; false keeps a copy in each process.",
    )
    language_model: Annotated[str, Place()] = Field(
        "all-MiniLM-L6-v2", description="The embedded model, a Hugging Face id, or a local folder in that layout."
    )
    pooling: Literal["auto", "mean", "cls", "last"] = Field(
        "auto", description="How token states become one vector; auto: last token for decoders, else mean."
    )
    max_tokens: int = Field(
        40, ge=4, le=512, description="Tokens of an item's text that are read; the rest is cut off."
    )
    language_model_layers: int = Field(
        0, ge=0, description="Lowest layers of the language model that are kept; 0 keeps all."
    )
    image_model: Annotated[str, Place()] | None = Field(
        None,
        description="Vision encoder that reads the pictures of the column `image`: a Hugging Face id, or a local folder. "
        "Without one, addresses are left aside; refused where there are none.",
    )
    lexical_dim: int = Field(
        256,
        ge=0,
        description="Main directions of the words' TF-IDF in an item's vector; 0 leaves words to the neighbours.",
    )
    max_history: int = Field(50, ge=1, description="Latest items of a history that are read.")
    start_from: Annotated[str, Place()] | None = Field(
        None,
        description="A Teacher of another catalogue to start from: what it knows that is not about its items. Its language model and "
        "sizes must be those set here.",
    )
    adaptation: AdaptationSettings = AdaptationSettings()
    training: TeacherTraining = TeacherTraining()

    renamed: ClassVar[dict[str, str]] = (
        {
            "adaptation": "adaptation.method",
            "adapted_layers": "adaptation.layers",
            "mlm_steps": "adaptation.mlm_steps",
        }
        | {
            f"adapt_{name}": f"adaptation.{name}"
            for name in (
                "steps",
                "batch",
                "learning_rate",
                "temperature",
                "optimizer",
                "schedule",
                "accumulation",
                "clip",
                "fgm_epsilon",
            )
        }
        | {
            name: f"adaptation.{name}"
            for name in AdaptationSettings.model_fields
            if name not in TrainingSettings.model_fields
        }
        | {name: f"training.{name}" for name in TrainingSettings.model_fields}
    )

    @model_validator(mode="after")
    def _sharding_is_possible(self) -> "FinetuneSettings":
        if self.shard and self.training.optimizer == "adafactor":
            raise ValueError(
                "training.optimizer adafactor cannot be sharded; take adamw, whose state shard spreads, or shard false"
            )
        if self.shard and self.precision == "fp16":
            raise ValueError("precision fp16 cannot be sharded, as its losses are scaled; take bf16, or shard false")
        return self
