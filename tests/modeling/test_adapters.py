"""Every kind of adaptation on tiny random models: an encoder, a decoder with learned and one with rotary positions."""

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import onnxruntime
import pytest
import torch
from numpy.typing import NDArray

from longtail.modeling.adaptation import PlainTexts, adapt, adapted_vectors
from longtail.modeling.adaptation_settings import AdaptationSettings
from longtail.modeling.adapters import add_adapters, checkpointed, merge_lora
from longtail.modeling.export import export_text_encoder
from longtail.modeling.language_model import LanguageModel, UpperLayers, encode_texts, load_language_model

CPU = torch.device("cpu")
TEXTS = ["red lip", "blue eye brush kit", "soap", "green nail oil set soft", "bright hair cream"]
HISTORIES = [np.array([0, 1], dtype=np.int32), np.array([2, 3], dtype=np.int32)] * 4
BACKBONES = ["tiny_encoder", "tiny_decoder", "tiny_llama"]
METHODS = {  # what the names of trained parameters must hold
    "lora": ("lora_A", "lora_B"),
    "adalora": ("lora_A", "lora_B", "lora_E"),
    "prefix": ("prefix.keys", "prefix.values", "prefix.gate"),
    "adapter": ("adapter.down", "adapter.up"),
    "full": (".1.", ".2."),
}


@dataclass
class Case:
    model: LanguageModel
    texts: PlainTexts

    def upper(self) -> UpperLayers:
        return UpperLayers(self.model, 1)

    def vectors(self, upper: UpperLayers) -> NDArray[np.float32]:
        return adapted_vectors(upper, self.texts.cached, CPU, False)


@pytest.fixture(params=BACKBONES)
def case(request: pytest.FixtureRequest) -> Case:
    model = load_language_model(str(request.getfixturevalue(request.param)), "auto", 16)
    frozen, cached = encode_texts(model, TEXTS, CPU, bf16=False, cache_from=1)
    return Case(model, PlainTexts(cached, frozen))


def chosen(method: str, **others: Any) -> AdaptationSettings:
    sizes = {"lora": {"lora_rank": 4}, "adalora": {"lora_rank": 4}, "prefix": {"prefix_length": 3}}
    return AdaptationSettings.model_validate(
        {"method": method, "batch": 8, "learning_rate": 1e-2, **sizes.get(method, {}), **others}
    )


@pytest.mark.slow
@pytest.mark.parametrize("method", METHODS)
def test_starts_from_the_pretrained_vectors_and_changes_only_its_own_parameters(case: Case, method: str) -> None:
    upper = case.upper()
    plain = case.vectors(upper)
    pretrained = {name: value.clone() for name, value in case.model.model.state_dict().items()}
    torch.manual_seed(0)
    ranks = add_adapters(upper, chosen(method, steps=20))
    assert np.allclose(case.vectors(upper), plain, atol=1e-6)
    assert (ranks is not None) == (method == "adalora")

    before = {name: value.clone() for name, value in upper.state_dict().items()}
    optimizer = torch.optim.SGD([p for p in upper.parameters() if p.requires_grad], lr=0.1)
    states, mask, _ = case.texts.batch(np.arange(5), np.random.default_rng(0))
    for _ in range(2):  # at first only the half that starts at zero has gradients
        (upper(states.float(), mask) * torch.arange(5)[:, None]).sin().sum().backward()
        optimizer.step()
    changed = {name for name, value in upper.state_dict().items() if not torch.equal(value, before[name])}
    assert {name for name, p in upper.named_parameters() if p.grad is not None} >= changed
    assert all(any(part in name for part in METHODS[method]) for name in changed)
    assert all(any(part in name for name in changed) for part in METHODS[method])
    assert not any("wte" in name or "embed" in name or "ln_f" in name for name in changed)
    assert all(torch.equal(value, pretrained[name]) for name, value in case.model.model.state_dict().items())


@pytest.mark.slow
@pytest.mark.parametrize("method", METHODS)
def test_draws_items_of_one_history_together_and_exports(case: Case, method: str, tmp_path: Path) -> None:
    upper, frozen = case.upper(), case.texts.frozen
    # Small random weights let a prefix, which acts through them, reach less far than the others.
    rate, wanted = (5e-2, 0.03) if method == "prefix" else (1e-2, 0.1)
    settings = chosen(method, steps=60, learning_rate=rate)
    adapt(upper, case.texts, HISTORIES, settings, 0, False, tmp_path)
    after = case.vectors(upper)
    gap = lambda v: v[0] @ v[1] + v[2] @ v[3] - v[0] @ v[2] - v[1] @ v[3]  # noqa: E731
    assert gap(after) > gap(frozen) + wanted
    untouched, _ = encode_texts(case.model, TEXTS, CPU, bf16=False, cache_from=1)
    assert np.array_equal(frozen, untouched)  # the pretrained model itself is as it was

    export_text_encoder(case.model, upper, tmp_path)
    session = onnxruntime.InferenceSession(str(tmp_path / "text_encoder.onnx"))
    ids, mask = case.model.tokenize(TEXTS)
    (found,) = session.run(None, {"input_ids": ids.numpy(), "attention_mask": mask.numpy()})
    assert np.allclose(found, np.concatenate([frozen, after], axis=1), atol=3e-2)
    assert np.array_equal(after, case.vectors(upper))  # the export leaves the adapted layers as they were


@pytest.mark.slow
@pytest.mark.parametrize("method", METHODS)
@pytest.mark.parametrize("case", ["tiny_encoder"], indirect=True)
def test_an_interrupted_adaptation_ends_as_an_uninterrupted_one(case: Case, method: str, tmp_path: Path) -> None:
    settings = chosen(method, steps=60, optimizer="adafactor")

    def run(folder: Path) -> NDArray[np.float32]:
        upper = case.upper()
        adapt(upper, case.texts, HISTORIES, settings, 0, False, folder)
        return case.vectors(upper)

    class KilledError(Exception):
        pass

    calls, original = 0, PlainTexts.batch

    def dies(self: PlainTexts, *args: Any) -> Any:
        nonlocal calls
        calls += 1
        if calls == 58:  # after the checkpoint of step 50, when AdaLoRA's ranks are fixed
            raise KilledError
        return original(self, *args)

    whole = run(tmp_path / "a")
    assert np.abs(whole - case.texts.frozen).max() > 0.01
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(PlainTexts, "batch", dies)
        with pytest.raises(KilledError):
            run(tmp_path / "b")
    assert np.allclose(whole, run(tmp_path / "b"), atol=1e-5)


@pytest.mark.parametrize("case", ["tiny_encoder"], indirect=True)
def test_lora_is_merged_into_plain_modules_of_equal_vectors(case: Case) -> None:
    upper = case.upper()
    add_adapters(upper, chosen("lora"))
    for name, parameter in upper.named_parameters():
        if "lora_B" in name:
            torch.nn.init.normal_(parameter, std=0.1, generator=torch.Generator().manual_seed(len(name)))
    kept = case.vectors(upper)
    assert not np.allclose(kept, case.texts.frozen, atol=1e-2)
    merge_lora(upper)
    assert not any("lora" in name for name, _ in upper.named_parameters())
    assert np.allclose(case.vectors(upper), kept, atol=1e-5)


@pytest.mark.parametrize("case", ["tiny_encoder"], indirect=True)
def test_adalora_leaves_the_mean_rank_that_was_asked_for(case: Case) -> None:
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


def test_adaloras_penalty_by_hand(tiny_encoder: Path) -> None:
    model = load_language_model(str(tiny_encoder), "auto", 16)
    upper = UpperLayers(model, 2)
    ranks = add_adapters(upper, chosen("adalora", steps=10))
    assert ranks is not None
    for parameter in ranks.sides:
        torch.nn.init.zeros_(parameter)
    assert ranks.penalty().item() == pytest.approx(0.5 * np.sqrt(6))  # ||0 - I|| of rank 6, half of it


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
