import pytest
import torch

from longtail.modeling.techniques.weight_average import WeightAverage


def test_averaged_weights_by_hand() -> None:
    average = WeightAverage({"w": torch.tensor([0.0])}, decay=0.15)
    average.update({"w": torch.tensor([1.0])})  # decay min(0.15, 1 / 10)
    assert average.values["w"].item() == pytest.approx(0.9)
    average.update({"w": torch.tensor([2.0])})  # decay min(0.15, 2 / 11)
    assert average.values["w"].item() == pytest.approx(0.15 * 0.9 + 0.85 * 2)
