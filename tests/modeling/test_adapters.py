"""Every kind of adaptation on tiny random models: an encoder, a decoder with learned and one with rotary positions."""

from pathlib import Path
from typing import Any

import numpy as np
import onnxruntime
import pytest
import torch
from helpers_adapters import CPU, HISTORIES, METHODS, TEXTS, Case, chosen
from numpy.typing import NDArray

from longtail.modeling.adaptation import PlainTexts, adapt
from longtail.modeling.adapters import add_adapters, merge_lora
from longtail.modeling.export import export_text_encoder
from longtail.modeling.language_model import encode_texts


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
def test_draws_items_of_one_history_together(case: Case, method: str, tmp_path: Path) -> None:
    upper, frozen = case.upper(), case.texts.frozen
    # Small random weights let a prefix, which acts through them, reach less far than the others.
    rate, wanted = (5e-2, 0.03) if method == "prefix" else (1e-2, 0.1)
    adapt(upper, case.texts, HISTORIES, chosen(method, steps=60, learning_rate=rate), 0, False, tmp_path)
    after = case.vectors(upper)
    gap = lambda v: v[0] @ v[1] + v[2] @ v[3] - v[0] @ v[2] - v[1] @ v[3]  # noqa: E731
    assert gap(after) > gap(frozen) + wanted
    untouched, _ = encode_texts(case.model, TEXTS, CPU, bf16=False, cache_from=1)
    assert np.array_equal(frozen, untouched)  # the pretrained model itself is as it was


# An export takes seconds: every method on the encoder; the decoders, which the methods' own modules do not see, with one
# method, and the rotary one with the prefix, which acts on its keys.
EXPORTS = [
    *(("tiny_encoder", method) for method in METHODS),
    ("tiny_decoder", "lora"),
    ("tiny_llama", "lora"),
    ("tiny_llama", "prefix"),
]


@pytest.mark.slow
@pytest.mark.parametrize(("case", "method"), EXPORTS, indirect=["case"])
def test_what_was_adapted_is_exported(case: Case, method: str, tmp_path: Path) -> None:
    upper, frozen = case.upper(), case.texts.frozen
    adapt(upper, case.texts, HISTORIES, chosen(method, steps=60), 0, False, tmp_path)
    after = case.vectors(upper)
    export_text_encoder(case.model, upper, tmp_path)
    session = onnxruntime.InferenceSession(str(tmp_path / "text_encoder.onnx"))
    ids, mask = case.model.tokenize(TEXTS)
    (found,) = session.run(None, {"input_ids": ids.numpy(), "attention_mask": mask.numpy()})
    assert np.allclose(found, np.concatenate([frozen, after], axis=1), atol=3e-2)
    assert not np.allclose(after, frozen, atol=1e-3)
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
