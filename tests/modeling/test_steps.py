"""Steps that go beyond finite numbers: what is kept, and what is said."""

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch
from helpers_adapters import HISTORIES, Case, chosen
from torch import nn

from longtail.contracts.errors import UserError
from longtail.modeling.adaptation import adapt
from longtail.modeling.adaptation_settings import AdaptationSettings
from longtail.modeling.language_model import UpperLayers
from longtail.modeling.steps import Steps
from longtail.modeling.techniques.masked_language import pretrain


def steps_of(weight: nn.Parameter, folder: Path, count: int = 60) -> Steps:
    path = folder / "steps.safetensors"
    return Steps("try", count, "finetune.adaptation.learning_rate", 0.1, {"w": weight}, AdaptationSettings(), 0, path)


def descend(weight: nn.Parameter, bad: int, seen: list[float], gradient: float = 1.0) -> Callable[[int], float]:
    """Steps of loss w; that of number ``bad`` is infinite, or has an infinite gradient where that is one."""

    def backward(step: int) -> float:
        seen.append(weight.item())
        weight.grad = torch.full_like(weight, gradient if step == bad else 1.0)
        return float("inf") if step == bad and np.isfinite(gradient) else weight.item()

    return backward


@pytest.mark.parametrize("gradient", [1.0, float("inf"), float("nan")])
def test_the_last_checkpoint_is_kept(gradient: float, tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    weight, seen = nn.Parameter(torch.tensor([5.0])), []
    steps_of(weight, tmp_path).run(descend(weight, 30, seen, gradient))
    assert len(seen) == 31 and weight.item() == seen[25] > seen[30]
    assert "step 31 went beyond finite numbers" in caplog.text and "the weights of step 25 are kept" in caplog.text


@pytest.mark.parametrize("bad", [0, 24, 25])
def test_without_a_good_checkpoint_it_is_one_clear_error(bad: int, tmp_path: Path) -> None:
    """The weights of step 25 are those that step 26 failed with."""
    weight, seen = nn.Parameter(torch.tensor([5.0])), []
    with pytest.raises(UserError, match=r"finetune\.adaptation\.learning_rate: is 0\.1, .*take a smaller one"):
        steps_of(weight, tmp_path).run(descend(weight, bad, seen))
    assert len(seen) == bad + 1


@pytest.mark.parametrize("case", ["tiny_encoder"], indirect=True)
def test_a_learning_rate_that_is_far_too_great_is_named(case: Case, tmp_path: Path) -> None:
    with pytest.raises(UserError, match=r"finetune\.adaptation\.learning_rate: is 1e\+30, and step"):
        adapt(
            case.upper(), case.texts, HISTORIES, chosen("full", steps=9, learning_rate=1e30), 0, False, tmp_path / "a"
        )
    case.model.tokenizer.mask_token = "soft"
    settings = AdaptationSettings(mlm_steps=9, batch=8, mlm_learning_rate=1e30)
    with pytest.raises(UserError, match=r"finetune\.adaptation\.mlm_learning_rate: is 1e\+30, and step"):
        pretrain(case.model, UpperLayers(case.model, 1), ["red lip", "soap"], settings, 0, False, tmp_path / "b")
