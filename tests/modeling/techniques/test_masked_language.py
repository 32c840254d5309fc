"""Domain pretraining on tiny models: what is hidden, which head is used, what is trained."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from helpers_language_model import WORDS, save_tokenizer
from numpy.typing import NDArray
from transformers import BertConfig, BertForMaskedLM

from longtail.contracts.errors import UserError
from longtail.modeling import steps
from longtail.modeling.adaptation import adapted_vectors
from longtail.modeling.adaptation_settings import AdaptationSettings
from longtail.modeling.language_model import LanguageModel, UpperLayers, encode_texts, load_language_model
from longtail.modeling.techniques import masked_language
from longtail.modeling.techniques.masked_language import TiedHead, masked, output_head, pretrain

CPU = torch.device("cpu")
TEXTS = ["red lip", "blue eye brush kit", "soap cream", "green nail oil set soft", "bright hair cream", ""]


def loaded(folder: Path) -> LanguageModel:
    model = load_language_model(str(folder), "auto", 16)
    model.tokenizer.mask_token = "soft"  # the tiny tokenizer has none of its own
    model.tokenizer.cls_token, model.tokenizer.sep_token = "[CLS]", "[SEP]"
    return model


def test_only_real_tokens_are_hidden_and_at_least_one(tiny_encoder: Path) -> None:
    model = loaded(tiny_encoder)
    ids, mask = model.tokenize(["red lip oil kit", "blue"] * 200)
    torch.manual_seed(0)
    hidden, places = masked(model, ids, mask, 0.5)
    words = ids >= 4
    assert not places[~words].any() and torch.equal(hidden[~places], ids[~places])
    assert places[words].float().mean().item() == pytest.approx(0.5, abs=0.05)
    became_mask = hidden[places] == model.tokenizer.mask_token_id
    assert became_mask.float().mean().item() == pytest.approx(0.8, abs=0.06)
    assert masked(model, *model.tokenize(["red"]), 1e-6)[1].sum() == 1


def test_the_checkpoints_own_head_is_used_and_else_the_tied_embeddings(tiny_encoder: Path, tmp_path: Path) -> None:
    head, is_new = output_head(loaded(tiny_encoder))
    assert is_new and isinstance(head, TiedHead)
    model = loaded(tiny_encoder)
    states = torch.randn(2, 32, generator=torch.Generator().manual_seed(0))
    table: Any = model.model
    assert torch.allclose(head(states), states @ table.get_input_embeddings().weight.T, atol=1e-5)

    torch.manual_seed(1)
    config = BertConfig(
        vocab_size=4 + len(WORDS), hidden_size=32, num_hidden_layers=3, num_attention_heads=4, intermediate_size=64
    )
    whole = BertForMaskedLM(config).eval()
    whole.save_pretrained(tmp_path)
    save_tokenizer(tmp_path, with_cls=True)
    own, is_new = output_head(loaded(tmp_path))
    assert not is_new and torch.allclose(own(states), whole.cls(states), atol=1e-6)


def pretrained(folder: Path, path: Path, **settings: Any) -> tuple[LanguageModel, UpperLayers, NDArray[np.float32]]:
    model = loaded(folder)
    upper = UpperLayers(model, 1)
    chosen = AdaptationSettings.model_validate({"mlm_steps": 60, "batch": 8, "mlm_learning_rate": 3e-3, **settings})
    pretrain(model, upper, TEXTS, chosen, 0, False, path)
    _, cached = encode_texts(model, TEXTS, CPU, bf16=False, cache_from=1)
    return model, upper, adapted_vectors(upper, cached, CPU, False)


@pytest.mark.slow
@pytest.mark.parametrize("folder", ["tiny_encoder", "tiny_decoder", "tiny_llama"])
def test_the_loss_falls_and_only_the_layers_change(
    folder: str, request: pytest.FixtureRequest, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = request.getfixturevalue(folder)
    before = {name: value.clone() for name, value in loaded(path).model.state_dict().items()}
    losses: list[float] = []
    original = torch.nn.functional.cross_entropy

    def noted(logits: torch.Tensor, targets: torch.Tensor) -> torch.Tensor:
        loss = original(logits, targets)
        losses.append(loss.item())
        return loss

    monkeypatch.setattr(masked_language.F, "cross_entropy", noted)
    share = {"mlm_share": 0.3} if folder == "tiny_encoder" else {}
    model, upper, vectors = pretrained(path, tmp_path, **share)
    assert len(losses) == 60 and np.mean(losses[-15:]) < np.mean(losses[:5]) - 0.1
    assert all(torch.equal(value, before[name]) for name, value in model.model.state_dict().items())
    changed = [name for name, value in upper.backbone.state_dict().items() if not torch.equal(value, before[name])]
    assert changed and all(".1." in name or ".2." in name for name in changed)
    frozen, _ = encode_texts(model, TEXTS, CPU, bf16=False, cache_from=1)
    assert np.abs(vectors - frozen).max() > 0.01


@pytest.mark.slow
def test_a_new_head_is_trained_alone_at_first(tiny_encoder: Path, tmp_path: Path) -> None:
    model = loaded(tiny_encoder)
    upper = UpperLayers(model, 1)
    before = {name: value.clone() for name, value in upper.state_dict().items()}

    class KilledError(Exception):
        pass

    def dies(*_: Any) -> None:
        raise KilledError

    settings = AdaptationSettings(mlm_steps=125, batch=8)  # the first checkpoint is at the end of the head's share
    with pytest.MonkeyPatch.context() as patch, pytest.raises(KilledError):
        patch.setattr(steps, "save_checkpoint", dies)
        pretrain(model, upper, TEXTS, settings, 0, False, tmp_path)
    assert all(torch.equal(value, before[name]) for name, value in upper.state_dict().items())


@pytest.mark.slow
def test_an_interrupted_pretraining_ends_as_an_uninterrupted_one(tiny_encoder: Path, tmp_path: Path) -> None:
    _, _, whole = pretrained(tiny_encoder, tmp_path / "a")

    class KilledError(Exception):
        pass

    calls, original = 0, masked_language.masked

    def dies(*args: Any) -> Any:
        nonlocal calls
        calls += 1
        if calls == 40:  # after the checkpoint of step 25
            raise KilledError
        return original(*args)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(masked_language, "masked", dies)
        with pytest.raises(KilledError):
            pretrained(tiny_encoder, tmp_path / "b")
    _, _, resumed = pretrained(tiny_encoder, tmp_path / "b")
    assert np.allclose(whole, resumed, atol=1e-5)


def test_what_cannot_be_pretrained_is_one_clear_error(tiny_encoder: Path, tiny_decoder: Path, tmp_path: Path) -> None:
    model = load_language_model(str(tiny_encoder), "auto", 16)
    settings = AdaptationSettings(mlm_steps=1)
    with pytest.raises(UserError, match="no mask token"):
        pretrain(model, UpperLayers(model, 1), TEXTS, settings, 0, False, tmp_path)
    with pytest.raises(UserError, match="no item has text"):
        pretrain(model, UpperLayers(model, 1), ["", " "], settings, 0, False, tmp_path)
    with pytest.raises(UserError, match=r"mlm_share: is 0\.3, but .* is a decoder"):
        pretrained(tiny_decoder, tmp_path, mlm_share=0.3)
