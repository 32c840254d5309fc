"""Settings of training a sequence model: the same for teacher and student."""

from typing import Literal

from pydantic import Field, model_validator

from longtail.contracts.settings_base import Settings


class TrainingSettings(Settings):
    """Size of the sequence model, and how it is trained."""

    dim: int = Field(240, ge=8, description="Numbers in the item and query vectors.")
    blocks: int = Field(2, ge=1, description="Transformer blocks of the sequence encoder.")
    heads: int = Field(4, ge=1, description="Attention heads a block; dim must be a multiple.")
    dropout: float = Field(0.5, ge=0, lt=1, description="Dropout on inputs and in blocks.")
    image_dropout: float = Field(
        0.2,
        ge=0,
        lt=1,
        description="Share of the items whose pictures a batch does without, so that items without one are known, too.",
    )
    temperature: float = Field(0.07, gt=0, description="Temperature of the cosine scores.")
    epochs: int = Field(
        8,
        ge=0,
        description="Passes over the training sequences at most; 0 trains no dense part, and counts alone are served.",
    )
    epoch_steps: int = Field(
        100, ge=1, description="Batches of an epoch at least: small data are passed over several times in one."
    )
    patience: int = Field(2, ge=1, description="Epochs without a better validation NDCG@10 before training stops.")
    batch_positions: int = Field(
        1024, ge=16, description="Training positions a step; sequences are bucketed by length."
    )
    optimizer: Literal["adamw", "adafactor"] = Field(
        "adamw", description="adafactor keeps far less state, for models that are large beside the memory."
    )
    learning_rate: float = Field(1e-3, gt=0, description="Peak learning rate of the optimizer.")
    weight_decay: float = Field(0.01, ge=0, description="Weight decay of the optimizer.")
    warmup_share: float = Field(0.05, ge=0, lt=1, description="Share of the steps over which the learning rate rises.")
    schedule: Literal["linear", "cosine", "constant"] = Field(
        "linear", description="Course of the learning rate after its rise; linear and cosine fall to 2 % of the peak."
    )
    accumulation: int = Field(1, ge=1, description="Batches whose gradients are averaged for one step.")
    clip: float = Field(5.0, ge=0, description="Greatest norm of a step's gradient; 0 leaves it as it is.")
    average_decay: float = Field(
        0.0,
        ge=0,
        lt=1,
        description="Decay a step of the averaged weights that are validated and kept; 0 keeps the last.",
    )
    block_checkpointing: bool = Field(
        False, description="Compute each block twice rather than keep its activations: less memory, a third more time."
    )
    term_weight: float = Field(
        15.0,
        ge=0,
        description="Weight of the sparse term beside the dense scores in training; 0 trains the dense part alone. "
        "Validation chooses the weights that the scorer uses.",
    )
    term_after: float = Field(0.0, ge=0, lt=1, description="Share of the epochs after which the sparse term joins.")
    label_smoothing: float = Field(
        0.0, ge=0, lt=1, description="Share of every label that is spread evenly over the catalogue."
    )
    future_items: int = Field(1, ge=1, description="Following items that share the label of a position; 1 is the next.")
    future_decay: float = Field(
        0.5, gt=0, le=1, description="Weight of each following item beside the one before it (future_items over 1)."
    )
    user_weight_power: float = Field(
        0.7,
        ge=0,
        le=2,
        description="A position counts (length of its history) ** -power: 0 all positions alike, 1 all users alike.",
    )
    crop_share: float = Field(
        0.4, ge=0, le=1, description="Share of histories, new each epoch, that lose a random beginning."
    )
    mask_share: float = Field(
        0.0, ge=0, lt=1, description="Share of history items, new each epoch, that the encoder reads as zero."
    )
    reorder_share: float = Field(
        0.0, ge=0, le=1, description="Share of histories, new each epoch, in which a run of 2 to 5 items is shuffled."
    )
    reverse_share: float = Field(
        0.0, ge=0, le=1, description="Share of histories, new each epoch, that are read backwards."
    )
    fgm_epsilon: float = Field(
        0.0,
        ge=0,
        description="Length of the adversarial step on a history's input vectors (each of length 1), whose loss is added "
        "(FGM); 0 adds none. Doubles the time.",
    )

    @model_validator(mode="after")
    def _heads_divide_dim(self) -> "TrainingSettings":
        if self.dim % self.heads:
            raise ValueError(
                f"dim {self.dim} is not a multiple of heads {self.heads}; take dim {self.dim // self.heads * self.heads}"
            )
        return self
