import math

import pytest
import torch
from torch import nn

from longtail.modeling.optimization import WeightAverage, adversarial_step, make_optimizer, schedule


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


def test_adafactor_keeps_rows_and_columns_instead_of_a_number_per_weight() -> None:
    weight = nn.Parameter(torch.zeros(40, 30))
    optimizer = make_optimizer([weight], "adafactor", 0.01, 0.0)
    weight.grad = torch.ones_like(weight)
    optimizer.step()
    assert sum(value.numel() for value in optimizer.state[weight].values()) <= 40 + 30 + 1


def test_an_adversarial_step_has_its_length_along_the_gradient_of_each_sample() -> None:
    gradient = torch.tensor([[[3.0, 0.0], [0.0, 4.0]], [[0.0, 0.0], [0.0, 0.0]]])
    expected = torch.tensor([[[0.3, 0.0], [0.0, 0.4]], [[0.0, 0.0], [0.0, 0.0]]])
    assert torch.allclose(adversarial_step(gradient, 0.5), expected)


def test_averaged_weights_by_hand() -> None:
    average = WeightAverage({"w": torch.tensor([0.0])}, decay=0.15)
    average.update({"w": torch.tensor([1.0])})  # decay min(0.15, 1 / 10)
    assert average.values["w"].item() == pytest.approx(0.9)
    average.update({"w": torch.tensor([2.0])})  # decay min(0.15, 2 / 11)
    assert average.values["w"].item() == pytest.approx(0.15 * 0.9 + 0.85 * 2)
