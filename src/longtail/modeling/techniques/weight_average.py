"""Averaged weights (Polyak & Juditsky 1992), as an exponential moving average: they are validated and kept."""

from collections.abc import Mapping

import torch
from torch import Tensor

from longtail.modeling.techniques.sharding import sharded_like


class WeightAverage:
    """A step counts 1 - decay, more at the beginning, so that the start fades."""

    def __init__(self, weights: Mapping[str, Tensor], decay: float) -> None:
        self.decay, self.steps = decay, 0
        self.values = {name: value.detach().clone() for name, value in weights.items()}

    @torch.no_grad()
    def update(self, weights: Mapping[str, Tensor]) -> None:
        self.steps += 1
        decay = min(self.decay, self.steps / (self.steps + 9))
        for name, value in self.values.items():
            value.lerp_(weights[name].detach(), 1 - decay)

    @torch.no_grad()
    def restore(self, values: Mapping[str, Tensor], steps: int) -> None:
        self.steps = steps
        for name, value in self.values.items():
            value.copy_(sharded_like(value, values[name]))
