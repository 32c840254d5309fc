import math

import pytest
import torch
from torch import nn

from longtail.modeling.optimization import make_optimizer, schedule


def test_learning_rate_rises_then_takes_the_named_course() -> None:
    places = (0.1, 0.2, 0.6, 0.999)
    assert [schedule("linear", done, 0.2) for done in places] == pytest.approx([0.5, 1.0, 0.5, 0.02])
    assert [schedule("constant", done, 0.2) for done in places] == pytest.approx([0.5, 1.0, 1.0, 1.0])
    assert [schedule("cosine", done, 0.2) for done in (*places, 0.4)] == pytest.approx(
        [0.5, 1.0, 0.5, 0.02, (1 + math.cos(math.pi / 4)) / 2]
    )
    assert schedule("linear", 0.0, 0.0) == 1.0


def test_first_steps_of_the_optimizers_by_hand() -> None:
    for name in ("adamw", "adafactor"):
        weight = nn.Parameter(torch.tensor([[0.0, 0.5], [0.5, 0.0]]))
        optimizer = make_optimizer([weight], name, 0.01, 0.1)  # type: ignore[arg-type]
        weight.grad = torch.tensor([[2.0, -2.0], [2.0, -2.0]])
        optimizer.step()
        # both divide by the gradient's size, so a step is the learning rate; the decay is 0.01 * 0.1 of the weight
        expected = torch.tensor([[0.0, 0.5], [0.5, 0.0]]) * (1 - 0.001) - 0.01 * torch.sign(weight.grad)
        assert torch.allclose(weight.detach(), expected, atol=1e-5), name
