"""Settings of training a sequence model: the same for teacher and student."""

from pydantic import Field, model_validator

from longtail.contracts.machine_settings import MachineSettings


class TrainingSettings(MachineSettings):
    """Size of the sequence model, and how it is trained."""

    dim: int = Field(240, ge=8, description="Numbers in the item and query vectors.")
    blocks: int = Field(2, ge=1, description="Transformer blocks of the sequence encoder.")
    heads: int = Field(4, ge=1, description="Attention heads a block; dim must be a multiple.")
    dropout: float = Field(0.5, ge=0, lt=1, description="Dropout on inputs and in blocks.")
    temperature: float = Field(0.07, gt=0, description="Temperature of the cosine scores.")
    epochs: int = Field(7, ge=1, description="Passes over the training sequences at most.")
    patience: int = Field(2, ge=1, description="Epochs without a better validation NDCG@10 before training stops.")
    batch_positions: int = Field(
        1024, ge=16, description="Training positions a step; sequences are bucketed by length."
    )
    learning_rate: float = Field(1e-3, gt=0, description="Peak learning rate of the optimizer.")
    weight_decay: float = Field(0.01, ge=0, description="Weight decay of the optimizer.")
    warmup_share: float = Field(0.05, ge=0, lt=1, description="Share of the steps over which the learning rate rises.")

    @model_validator(mode="after")
    def _heads_divide_dim(self) -> "TrainingSettings":
        if self.dim % self.heads:
            raise ValueError(
                f"dim {self.dim} is not a multiple of heads {self.heads}; take dim {self.dim // self.heads * self.heads}"
            )
        return self
