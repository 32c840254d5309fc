import torch
from torch import nn

from longtail.modeling.techniques.adafactor import adafactor


def test_adafactor_keeps_rows_and_columns_instead_of_a_number_per_weight() -> None:
    weight = nn.Parameter(torch.zeros(40, 30))
    optimizer = adafactor([weight], 0.01, 0.0)
    weight.grad = torch.ones_like(weight)
    optimizer.step()
    assert sum(value.numel() for value in optimizer.state[weight].values()) <= 40 + 30 + 1
