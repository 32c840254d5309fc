"""The adaptation's loop: what each of its settings does to the loss and the vectors."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from numpy.typing import NDArray

from longtail.modeling.adaptation import PlainTexts, _Objective, adapt, adapted_vectors
from longtail.modeling.adaptation_settings import AdaptationSettings
from longtail.modeling.adapters import add_adapters
from longtail.modeling.language_model import UpperLayers, encode_texts, load_language_model

CPU = torch.device("cpu")
TEXTS = ["red lip", "blue eye brush kit", "soap", "green nail oil set soft", "bright hair cream"]
TEXTS += [f"{text} {word}" for word in ("set", "oil", "kit") for text in TEXTS]  # more than one batch holds
HISTORIES = [np.array([i, i + 1, i + 4], dtype=np.int32) for i in range(0, 15, 5)] * 2
HISTORIES += [np.array([i + 2, i + 3], dtype=np.int32) for i in range(0, 15, 5)] * 2


def adapted(folder: Path, path: Path, **settings: Any) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
    """Pretrained vectors, and those after an adaptation."""
    model = load_language_model(str(folder), "auto", 16)
    frozen, cached = encode_texts(model, TEXTS, CPU, bf16=False, cache_from=1)
    upper = UpperLayers(model, 1)
    chosen = AdaptationSettings.model_validate({"steps": 15, "batch": 8, "lora_rank": 4, **settings})
    adapt(upper, PlainTexts(cached, frozen), HISTORIES, chosen, 0, False, path)
    return frozen, adapted_vectors(upper, cached, CPU, False)


@pytest.mark.slow
def test_every_setting_of_the_loop_acts(tiny_encoder: Path, tmp_path: Path) -> None:
    _, plain = adapted(tiny_encoder, tmp_path / "plain")
    _, again = adapted(tiny_encoder, tmp_path / "again")
    assert np.array_equal(plain, again)
    for name, value in {
        "optimizer": "adafactor",
        "schedule": "cosine",
        "accumulation": 2,
        "clip": 0.01,
        "anchor_weight": 1.0,
        "fgm_epsilon": 1.0,
    }.items():
        _, other = adapted(tiny_encoder, tmp_path / name, **{name: value})
        assert not np.allclose(plain, other, atol=1e-6), name
    _, less_memory = adapted(tiny_encoder, tmp_path / "checkpointing", gradient_checkpointing=True)
    assert np.allclose(plain, less_memory, atol=1e-5)


def objective_case(folder: Path, **settings: Any) -> tuple[UpperLayers, _Objective, tuple[Any, ...]]:
    model = load_language_model(str(folder), "auto", 16)
    frozen, cached = encode_texts(model, TEXTS, CPU, bf16=False, cache_from=1)
    upper = UpperLayers(model, 1)
    chosen = AdaptationSettings.model_validate({"method": "full", **settings})
    add_adapters(upper, chosen)
    items = np.arange(8)
    batch = PlainTexts(cached, frozen).batch(items, np.random.default_rng(0))
    return upper, _Objective.of(HISTORIES, len(TEXTS), chosen), (items, *batch)


def gradients(upper: UpperLayers) -> torch.Tensor:
    found = torch.cat([p.grad.flatten() for p in upper.parameters() if p.grad is not None])
    upper.zero_grad()
    return found


@pytest.mark.slow
def test_fgm_adds_the_gradient_on_states_moved_against_the_model(tiny_encoder: Path) -> None:
    upper, plain, (items, states, mask, frozen) = objective_case(tiny_encoder)
    inputs = states.float().requires_grad_()
    loss = plain.backward(upper, items, inputs, mask, frozen, False)
    first = gradients(upper)
    assert inputs.grad is not None
    step = inputs.grad / inputs.grad.flatten(1).norm(dim=1)[:, None, None]
    moved_loss = plain.backward(upper, items, inputs.detach() + 0.5 * step, mask, frozen, False)
    second = gradients(upper)
    assert moved_loss > loss

    _, attacked, _ = objective_case(tiny_encoder, fgm_epsilon=0.5)
    assert attacked.backward(upper, items, states, mask, frozen, False) == pytest.approx(loss)
    assert torch.allclose(gradients(upper), first + second, atol=1e-5)


@pytest.mark.slow
def test_accumulated_batches_are_averaged(tiny_encoder: Path) -> None:
    upper, plain, (items, states, mask, frozen) = objective_case(tiny_encoder)
    plain.backward(upper, items, states, mask, frozen, False)
    once = gradients(upper)
    _, twice, _ = objective_case(tiny_encoder, accumulation=2)
    for _ in range(2):
        twice.backward(upper, items, states, mask, frozen, False)
    assert torch.allclose(gradients(upper), once, atol=1e-6)


def test_without_a_history_of_two_items_the_model_stays_as_it_is(
    tiny_encoder: Path, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    model = load_language_model(str(tiny_encoder), "auto", 16)
    frozen, cached = encode_texts(model, TEXTS, CPU, bf16=False, cache_from=1)
    upper = UpperLayers(model, 1)
    before = adapted_vectors(upper, cached, CPU, False)
    adapt(upper, PlainTexts(cached, frozen), [np.array([1], np.int32)], AdaptationSettings(), 0, False, tmp_path)
    assert np.array_equal(before, adapted_vectors(upper, cached, CPU, False))
    assert "no history holds two items" in caplog.text
