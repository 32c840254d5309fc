"""The optimizer and the course of the learning rate: the same for text adaptation and sequence model."""

import math
from collections.abc import Iterable
from typing import Literal

import torch
from torch import nn

from longtail.modeling.techniques.adafactor import adafactor

OptimizerName = Literal["adamw", "adafactor"]
ScheduleName = Literal["linear", "cosine", "constant"]
LEAST_FACTOR = 0.02  # of the peak learning rate, at both ends


def make_optimizer(
    parameters: Iterable[nn.Parameter], name: OptimizerName, learning_rate: float, weight_decay: float
) -> torch.optim.Optimizer:
    """AdamW (Loshchilov & Hutter 2019), or Adafactor."""
    if name == "adafactor":
        return adafactor(parameters, learning_rate, weight_decay)
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
