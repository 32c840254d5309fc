from pathlib import Path

import numpy as np
import onnxruntime
import pytest
import torch

from longtail.contracts.errors import UserError
from longtail.contracts.settings import FinetuneSettings
from longtail.modeling.adaptation import adapt, adapted_vectors, pair_matrix
from longtail.modeling.export import export_text_encoder
from longtail.modeling.language_model import UpperLayers, encode_texts, load_language_model, pool

CPU = torch.device("cpu")
TEXTS = ["red lip", "blue eye brush kit", "soap", "green nail oil set soft", "bright hair cream"]


@pytest.mark.parametrize("pooling, expected", [("mean", [2.0, 0.0]), ("cls", [1.0, 0.0]), ("last", [3.0, 0.0])])
def test_pooling_reads_only_real_tokens(pooling: str, expected: list[float]) -> None:
    states = torch.tensor([[[1.0, 0.0], [3.0, 0.0], [0.0, 99.0]]])
    pooled = pool(states, torch.tensor([[1, 1, 0]]), pooling)  # type: ignore[arg-type]
    assert torch.allclose(pooled, torch.nn.functional.normalize(torch.tensor([expected]), dim=-1))


@pytest.mark.parametrize("folder, pooling", [("tiny_encoder", "mean"), ("tiny_decoder", "last")])
def test_upper_layers_on_cached_states_equal_the_whole_model(
    folder: str, pooling: str, request: pytest.FixtureRequest
) -> None:
    model = load_language_model(str(request.getfixturevalue(folder)), "auto", 16)
    assert model.pooling == pooling
    whole, cached = encode_texts(model, TEXTS, CPU, bf16=False, cache_from=1, size=2)
    again = adapted_vectors(UpperLayers(model, 1), cached, CPU, bf16=False)
    assert np.allclose(whole, again, atol=2e-2)  # states are cached in bf16
    assert (whole * again).sum(axis=1).min() > 0.999


def test_pairs_by_hand() -> None:
    pairs = pair_matrix([np.array([0, 1]), np.array([0, 1, 2]), np.array([2])], 3).toarray()
    assert np.allclose(pairs, [[0, 1.5, 0.5], [1.5, 0, 0.5], [0.5, 0.5, 0]])


@pytest.mark.slow
@pytest.mark.parametrize("folder", ["tiny_encoder", "tiny_decoder"])
def test_adaptation_draws_items_of_one_history_together_and_exports(
    folder: str, request: pytest.FixtureRequest, tmp_path: Path
) -> None:
    model = load_language_model(str(request.getfixturevalue(folder)), "auto", 16)
    sequences = [np.array([0, 1], dtype=np.int32), np.array([2, 3], dtype=np.int32)] * 4
    settings = FinetuneSettings(adapt_steps=60, adapt_batch=8, adapt_learning_rate=1e-2, adapted_layers=2, lora_rank=4)
    before, cached = encode_texts(model, TEXTS, CPU, bf16=False, cache_from=1)
    upper = adapt(model, cached, sequences, settings, 0, CPU, False, tmp_path)
    after = adapted_vectors(upper, cached, CPU, bf16=False)
    gap = lambda v: v[0] @ v[1] + v[2] @ v[3] - v[0] @ v[2] - v[1] @ v[3]  # noqa: E731
    assert gap(after) > gap(before) + 0.2
    untouched, _ = encode_texts(model, TEXTS, CPU, bf16=False, cache_from=1)
    assert np.array_equal(before, untouched)  # the pretrained model itself is as it was

    export_text_encoder(model, upper, tmp_path)
    session = onnxruntime.InferenceSession(str(tmp_path / "text_encoder.onnx"))
    ids, mask = model.tokenize(TEXTS)
    (found,) = session.run(None, {"input_ids": ids.numpy(), "attention_mask": mask.numpy()})
    assert np.allclose(found, np.concatenate([before, after], axis=1), atol=3e-2)


@pytest.mark.slow
def test_an_interrupted_adaptation_ends_as_an_uninterrupted_one(tiny_encoder: Path, tmp_path: Path) -> None:
    model = load_language_model(str(tiny_encoder), "auto", 16)
    sequences = [np.array([0, 1, 4], dtype=np.int32), np.array([2, 3], dtype=np.int32)] * 4
    _, cached = encode_texts(model, TEXTS, CPU, bf16=False, cache_from=1)
    settings = FinetuneSettings(adapt_steps=50, adapt_batch=8, lora_rank=4)
    whole = adapted_vectors(
        adapt(model, cached, sequences, settings, 0, CPU, False, tmp_path / "a"), cached, CPU, False
    )

    class KilledError(Exception):
        pass

    calls = 0
    original = UpperLayers.forward

    def dies(self: UpperLayers, *args: torch.Tensor) -> torch.Tensor:
        nonlocal calls
        calls += 1
        if calls == 40:  # after the checkpoint of step 25
            raise KilledError
        return original(self, *args)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(UpperLayers, "forward", dies)
        with pytest.raises(KilledError):
            adapt(model, cached, sequences, settings, 0, CPU, False, tmp_path / "b")
    resumed = adapted_vectors(
        adapt(model, cached, sequences, settings, 0, CPU, False, tmp_path / "b"), cached, CPU, False
    )
    assert np.allclose(whole, resumed, atol=1e-5)


def test_a_model_that_cannot_be_had_is_one_clear_error(tmp_path: Path) -> None:
    with pytest.raises(UserError, match=r"finetune\.language_model"):
        load_language_model(str(tmp_path), "auto", 16)
