import numpy as np
import pytest
import torch
from helpers_adapters import METHODS, Case, chosen

from longtail.modeling.adapters import add_adapters
from longtail.modeling.techniques.gradient_checkpointing import checkpointed


@pytest.mark.slow
@pytest.mark.parametrize("method", METHODS)
def test_checkpointed_layers_give_the_same_gradients_and_keep_fewer_tensors(case: Case, method: str) -> None:
    upper = case.upper()
    torch.manual_seed(0)
    add_adapters(upper, chosen(method, steps=20))
    states, mask, _ = case.texts.batch(np.arange(5), np.random.default_rng(0))
    found, kept = [], []
    for on in (False, True):
        upper.zero_grad()
        saved: list[int] = []
        with (
            checkpointed(upper.layers, on),
            torch.autograd.graph.saved_tensors_hooks(lambda t, s=saved: s.append(1) or t, lambda t: t),  # type: ignore
        ):
            loss = (upper(states.float(), mask) * torch.arange(5)[:, None]).sin().sum()
            kept.append(len(saved))
            loss.backward()
        found.append({name: p.grad.clone() for name, p in upper.named_parameters() if p.grad is not None})
    assert found[0].keys() == found[1].keys()
    assert all(torch.allclose(found[0][name], found[1][name], atol=1e-6) for name in found[0])
    assert kept[1] < kept[0]
    assert not any("forward" in vars(layer) for layer in upper.layers)
