"""Adafactor (Shazeer & Stern 2018, ICML), whose state is far smaller than AdamW's."""

from collections.abc import Iterable

import torch
from torch import nn


def adafactor(parameters: Iterable[nn.Parameter], learning_rate: float, weight_decay: float) -> torch.optim.Optimizer:
    """The learning rate means what it does for AdamW: steps are not scaled by a weight's size (epsilon_2 is 1).

    Otherwise weights that start at zero (LoRA) would hardly move.
    """
    return torch.optim.Adafactor(parameters, lr=learning_rate, eps=(None, 1.0), weight_decay=weight_decay)
