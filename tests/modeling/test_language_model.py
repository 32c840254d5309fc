from pathlib import Path

import numpy as np
import pytest
import torch

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
