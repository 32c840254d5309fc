from pathlib import Path

import numpy as np
import pytest
import torch
from helpers_language_model import save_tokenizer
from transformers import BertConfig, BertModel, ElectraConfig, ElectraModel, T5Config, T5Model

from longtail.contracts.errors import UserError
from longtail.modeling.adaptation import adapted_vectors
from longtail.modeling.language_model import UpperLayers, encode_texts, load_language_model, pool

CPU = torch.device("cpu")
TEXTS = ["red lip", "blue eye brush kit", "soap", "green nail oil set soft", "bright hair cream"]


@pytest.mark.parametrize("pooling, expected", [("mean", [2.0, 0.0]), ("cls", [1.0, 0.0]), ("last", [3.0, 0.0])])
def test_pooling_reads_only_real_tokens(pooling: str, expected: list[float]) -> None:
    states = torch.tensor([[[1.0, 0.0], [3.0, 0.0], [0.0, 99.0]]])
    pooled = pool(states, torch.tensor([[1, 1, 0]]), pooling)  # type: ignore[arg-type]
    assert torch.allclose(pooled, torch.nn.functional.normalize(torch.tensor([expected]), dim=-1))


@pytest.mark.parametrize(
    "folder, pooling", [("tiny_encoder", "mean"), ("tiny_decoder", "last"), ("tiny_llama", "last")]
)
def test_upper_layers_on_cached_states_equal_the_whole_model(
    folder: str, pooling: str, request: pytest.FixtureRequest
) -> None:
    model = load_language_model(str(request.getfixturevalue(folder)), "auto", 16)
    assert model.pooling == pooling
    whole, cached = encode_texts(model, TEXTS, CPU, bf16=False, cache_from=1, size=2)
    again = adapted_vectors(UpperLayers(model, 1), cached, CPU, bf16=False)
    assert np.allclose(whole, again, atol=2e-2)  # states are cached in bf16
    assert (whole * again).sum(axis=1).min() > 0.999


@pytest.mark.parametrize("folder", ["tiny_encoder", "tiny_decoder", "tiny_llama"])
def test_texts_without_a_token_are_read_as_padding(folder: str, request: pytest.FixtureRequest) -> None:
    model = load_language_model(str(request.getfixturevalue(folder)), "auto", 16)
    alone, cached = encode_texts(model, ["", ""], CPU, bf16=False, cache_from=1)
    beside, _ = encode_texts(model, ["", "red lip"], CPU, bf16=False, cache_from=1)
    assert np.isfinite(beside).all() and np.allclose(alone[0], beside[0], atol=1e-5)
    assert np.isfinite(adapted_vectors(UpperLayers(model, 1), cached, CPU, bf16=False)).all()


def test_a_model_that_cannot_be_had_is_one_clear_error(tmp_path: Path) -> None:
    with pytest.raises(UserError, match=r"finetune\.language_model"):
        load_language_model(str(tmp_path), "auto", 16)


SIZES = {
    "vocab_size": 19,
    "hidden_size": 32,
    "num_hidden_layers": 2,
    "num_attention_heads": 4,
    "intermediate_size": 64,
}


@pytest.mark.parametrize("folder, decoder", [("tiny_encoder", False), ("tiny_decoder", True), ("tiny_llama", True)])
def test_a_decoder_is_known(folder: str, decoder: bool, request: pytest.FixtureRequest) -> None:
    assert load_language_model(str(request.getfixturevalue(folder)), "auto", 16).is_decoder == decoder


def test_a_decoder_is_known_by_its_attention_and_not_by_its_parts(tmp_path: Path) -> None:
    """ELECTRA is an encoder with ``use_cache`` and without pooler; BERT with ``is_decoder`` keeps its pooler."""
    for name, model, pooling in (
        ("electra", ElectraModel(ElectraConfig(**SIZES)), "mean"),
        ("bert", BertModel(BertConfig(**SIZES, is_decoder=True)), "last"),
    ):
        model.save_pretrained(tmp_path / name)
        save_tokenizer(tmp_path / name, with_cls=True)
        found = load_language_model(str(tmp_path / name), "auto", 16)
        assert (found.is_decoder, found.pooling) == (pooling == "last", pooling), name


def test_an_encoder_and_decoder_in_one_is_refused(tmp_path: Path) -> None:
    T5Model(T5Config(vocab_size=19, d_model=32, d_kv=8, d_ff=64, num_layers=1, num_heads=4)).save_pretrained(tmp_path)
    save_tokenizer(tmp_path, with_cls=False)
    with pytest.raises(UserError, match=r"finetune\.language_model: .* is an encoder and a decoder in one \(t5\)"):
        load_language_model(str(tmp_path), "auto", 16)
