"""Settings of the language model and its adaptation to what users choose together."""

from typing import Literal

from pydantic import Field

from longtail.contracts.machine_settings import MachineSettings


class AdaptationSettings(MachineSettings):
    """Which language model reads the items' texts, and how it is adapted."""

    language_model: str = Field(
        "all-MiniLM-L6-v2", description="The embedded model, a Hugging Face id, or a local folder in that layout."
    )
    pooling: Literal["auto", "mean", "cls", "last"] = Field(
        "auto", description="How token states become one vector; auto: last token for decoders, else mean."
    )
    max_tokens: int = Field(
        40, ge=4, le=512, description="Tokens of an item's text that are read; the rest is cut off."
    )
    adaptation: Literal["lora", "frozen"] = Field("lora", description="`frozen` uses the language model as it is.")
    adapted_layers: int = Field(
        2, ge=1, description="Upper layers that LoRA adapts; the output of those below is cached once."
    )
    lora_rank: int = Field(32, ge=1, description="Rank of the LoRA matrices.")
    adapt_steps: int = Field(
        200, ge=0, description="Steps of text adaptation (about 1 s each on 2 cores). Bounds the work."
    )
    adapt_batch: int = Field(256, ge=8, description="Items a step, taken from whole user histories.")
    adapt_learning_rate: float = Field(1e-3, gt=0, description="Peak learning rate of the adaptation.")
    adapt_temperature: float = Field(0.05, gt=0, description="Temperature of the contrastive softmax.")
    popularity_correction: float = Field(
        0.5, ge=0, le=1, description="Share of log popularity taken off in-batch negatives."
    )
