"""Settings that say on what the neural parts run."""

from typing import Literal

from pydantic import Field

from longtail.contracts.settings_base import Settings


class MachineSettings(Settings):
    """Device and precision."""

    device: Literal["auto", "cpu", "cuda"] = Field("auto", description="auto takes CUDA where there is one.")
    precision: Literal["auto", "bf16", "fp16", "fp32"] = Field(
        "auto",
        description="auto takes bf16 where the hardware multiplies it; fp16 is for CUDA cards without bf16: the sequence "
        "model is trained in it with scaled losses, the language model computes in fp32.",
    )
