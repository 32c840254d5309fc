"""Settings of the language model's adaptation to what users choose together."""

from typing import Annotated, Literal

from pydantic import Field, model_validator

from longtail.contracts.settings_base import Place, Settings

LEAST_ADALORA_STEPS = 10
_METHODS = {"lora_rank": ("lora", "adalora"), "prefix_length": ("prefix",), "adapter_dim": ("adapter",)}
_WITH_ADAPT_STEPS = (
    "accumulation",
    "anchor_weight",
    "fgm_epsilon",
    "word_dropout",
    "attribute_dropout",
    "synonym_share",
    "paraphrases",
)
_WITH_ANY_STEPS = ("optimizer", "schedule", "clip", "weight_decay", "warmup_share", "gradient_checkpointing")
_WITH_MLM_STEPS = ("mlm_learning_rate", "mlm_share")


class AdaptationSettings(Settings):
    """How the language model is adapted."""

    method: Literal["lora", "adalora", "prefix", "adapter", "full", "frozen", "none"] = Field(
        "lora",
        description="What is trained in the adapted layers: low-rank matrices (`adalora` shares the ranks out by need), "
        "learned keys and values, a bottleneck after each layer, all of their weights (`full`), or nothing: `frozen` uses "
        "the language model as it is; `none` leaves it out: the models know items by id and numbers alone.",
    )
    layers: int = Field(
        2,
        ge=1,
        description="Upper layers that are adapted; the output of those below is cached once. The embeddings always stay "
        "as they are, so that `full` with all layers is still not the whole model.",
    )
    lora_rank: int = Field(32, ge=1, description="Rank of the LoRA matrices; of AdaLoRA's, the mean that is left.")
    prefix_length: int = Field(8, ge=1, description="Learned keys and values a head of an adapted layer (prefix).")
    adapter_dim: int = Field(64, ge=1, description="Width of the bottleneck (adapter).")
    steps: int = Field(200, ge=0, description="Steps of text adaptation (about 1 s each on 2 cores). Bounds the work.")
    batch: int = Field(256, ge=8, description="Items a batch, taken from whole user histories.")
    learning_rate: float = Field(1e-3, gt=0, description="Peak learning rate of the adaptation.")
    temperature: float = Field(0.05, gt=0, description="Temperature of the contrastive softmax.")
    popularity_correction: float = Field(
        0.5, ge=0, le=1, description="Share of log popularity taken off in-batch negatives."
    )
    optimizer: Literal["adamw", "adafactor"] = Field(
        "adamw", description="Optimizer of the adaptation; adafactor holds less state."
    )
    schedule: Literal["linear", "cosine", "constant"] = Field(
        "linear", description="Course of the adaptation's learning rate after the warm-up."
    )
    weight_decay: float = Field(0.01, ge=0, description="Weight decay of the adaptation's optimizer.")
    warmup_share: float = Field(
        0.05, ge=0, lt=1, description="Share of the adaptation's steps over which the learning rate rises."
    )
    accumulation: int = Field(
        1, ge=1, description="Batches whose gradients make one step; negatives come from an item's own batch."
    )
    clip: float = Field(1.0, gt=0, description="Norm to which the adaptation's gradients are clipped.")
    gradient_checkpointing: bool = Field(
        False, description="Adapted layers are computed again in the backward pass: less memory, more time."
    )
    anchor_weight: float = Field(
        0.0, ge=0, description="Weight of 1 - cosine to the pretrained vector in the adaptation's loss."
    )
    fgm_epsilon: float = Field(
        0.0, ge=0, description="Norm of the adversarial perturbation of the states that enter the adapted layers."
    )
    word_dropout: float = Field(0.0, ge=0, lt=1, description="Share of words left out of a text while adapting.")
    attribute_dropout: float = Field(
        0.0, ge=0, le=1, description="Share of attributes left out of a text while adapting."
    )
    synonym_share: float = Field(
        0.0,
        ge=0,
        le=1,
        description="Share of words replaced while adapting, by words of the catalogue with a near token embedding.",
    )
    paraphrases: Annotated[str, Place()] | None = Field(
        None,
        description="Parquet or JSON Lines (item_id, text) of further wordings that stand in for a text while adapting. "
        "A path that the stage itself can read; give a changed file a new name.",
    )
    mlm_steps: int = Field(
        0,
        ge=0,
        description="Steps of domain pretraining before the adaptation: all weights of the adapted layers guess the "
        "catalogue's masked words (decoders: the next word).",
    )
    mlm_learning_rate: float = Field(5e-5, gt=0, description="Peak learning rate of the domain pretraining.")
    mlm_share: float = Field(0.15, gt=0, lt=1, description="Share of tokens to be guessed (encoders only).")

    @model_validator(mode="after")
    def _nothing_is_ignored(self) -> "AdaptationSettings":
        trained = self.method not in ("frozen", "none")
        for name, methods in _METHODS.items():
            if self._is_set(name) and self.method not in methods:
                raise ValueError(
                    f"{name} acts only with method {' or '.join(methods)}, not with {self.method}; leave it out"
                )
        if self.mlm_steps and not trained:
            raise ValueError(f"mlm_steps cannot act with method {self.method}; set it to 0, or choose another method")
        for names, acts, needed in (
            (_WITH_ADAPT_STEPS, trained and self.steps > 0, "steps above 0"),
            (_WITH_ANY_STEPS, trained and self.steps + self.mlm_steps > 0, "steps or mlm_steps above 0"),
            (_WITH_MLM_STEPS, self.mlm_steps > 0, "mlm_steps above 0"),
        ):
            for name in names:
                if self._is_set(name) and not acts:
                    raise ValueError(
                        f"{name} is {getattr(self, name)}, but acts only with {needed} and a method that "
                        f"trains (it is {self.method}); leave it out"
                    )
        if self.method == "adalora" and 0 < self.steps < LEAST_ADALORA_STEPS:
            raise ValueError(
                f"steps is {self.steps}, but adalora needs {LEAST_ADALORA_STEPS} to share out its ranks; "
                "take more, or method lora"
            )
        return self

    def _is_set(self, name: str) -> bool:
        return bool(getattr(self, name) != type(self).model_fields[name].default)
