from pathlib import Path

import numpy as np
import pytest
import torch
from helpers_adapters import Case, chosen

from longtail.modeling.adapters import add_adapters
from longtail.modeling.language_model import UpperLayers, load_language_model


@pytest.mark.parametrize("case", ["tiny_encoder"], indirect=True)
def test_it_leaves_the_mean_rank_that_was_asked_for(case: Case) -> None:
    upper = case.upper()
    ranks = add_adapters(upper, chosen("adalora", steps=20))
    assert ranks is not None
    optimizer = torch.optim.SGD([p for p in upper.parameters() if p.requires_grad], lr=0.1)
    states, mask, _ = case.texts.batch(np.arange(5), np.random.default_rng(0))
    for step in range(20):
        optimizer.zero_grad()
        (upper(states.float(), mask) * torch.arange(5)[:, None]).sin().sum().backward()
        optimizer.step()
        ranks.share_out(step)
    left = [int((p != 0).sum()) for name, p in upper.named_parameters() if "lora_E" in name]
    assert sum(left) == 4 * len(left) and len(set(left)) > 1  # 6 at first; shared out by need


def test_the_penalty_by_hand(tiny_encoder: Path) -> None:
    model = load_language_model(str(tiny_encoder), "auto", 16)
    upper = UpperLayers(model, 2)
    ranks = add_adapters(upper, chosen("adalora", steps=10))
    assert ranks is not None
    for parameter in ranks.sides:
        torch.nn.init.zeros_(parameter)
    assert ranks.penalty().item() == pytest.approx(0.5 * np.sqrt(6))  # ||0 - I|| of rank 6, half of it
