"""Optimizers, the course of the learning rate, and averaged weights: the same for text adaptation and sequence model."""

import math
from collections.abc import Iterable, Mapping
from typing import Literal

import torch
from torch import Tensor, nn

from longtail.modeling.parallel import sharded_like

OptimizerName = Literal["adamw", "adafactor"]
ScheduleName = Literal["linear", "cosine", "constant"]
LEAST_FACTOR = 0.02  # of the peak learning rate, at both ends


def make_optimizer(
    parameters: Iterable[nn.Parameter], name: OptimizerName, learning_rate: float, weight_decay: float
) -> torch.optim.Optimizer:
    """AdamW (Loshchilov & Hutter 2019), or Adafactor (Shazeer & Stern 2018), whose state is far smaller.

    The learning rate means the same for both: Adafactor's steps are not scaled by a weight's size (its epsilon_2 is 1), as
    else weights that start at zero (LoRA) would hardly move.
    """
    if name == "adafactor":
        return torch.optim.Adafactor(parameters, lr=learning_rate, eps=(None, 1.0), weight_decay=weight_decay)
    return torch.optim.AdamW(parameters, lr=learning_rate, weight_decay=weight_decay)


def schedule(name: ScheduleName, done: float, warmup_share: float) -> float:
    """Factor of the learning rate at ``done`` (0..1) of the training: a linear rise, then the named course."""
    if done < warmup_share:
        return max(done / warmup_share, LEAST_FACTOR)
    if name == "constant":
        return 1.0
    left = (1 - done) / (1 - warmup_share)
    return max(left if name == "linear" else 0.5 - 0.5 * math.cos(math.pi * left), LEAST_FACTOR)


def set_learning_rate(optimizer: torch.optim.Optimizer, rate: float) -> None:
    for group in optimizer.param_groups:
        group["lr"] = rate


def adversarial_step(gradient: Tensor, epsilon: float) -> Tensor:
    """The perturbation that raises the loss most: epsilon * g / ||g||, the norm over each sample (Miyato et al. 2017, eq. 5).

    gradient [batch, ...] of the encoder's inputs -> the same shape; zero where the gradient is.
    """
    norm = gradient.flatten(1).norm(dim=1).clamp(min=1e-12)
    step: Tensor = epsilon * gradient / norm.view(-1, *[1] * (gradient.dim() - 1))
    return step


class WeightAverage:
    """Exponential moving average of weights: a step counts 1 - decay, more at the beginning, so that the start fades."""

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
