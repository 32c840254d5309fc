"""The options of the adaptation change the adapted vectors and leave the pretrained ones alone."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from helpers_prepared import write_tiny_prepared
from numpy.typing import NDArray

from longtail.components.finetune.settings import FinetuneSettings
from longtail.components.finetune.text_features import text_vectors
from longtail.contracts.prepared import PreparedDataset
from longtail.modeling.language_model import load_language_model
from longtail.modeling.parallel import form_team
from longtail.modeling.training import Run

pytestmark = pytest.mark.slow


def test_options_act_on_the_adapted_vectors_alone(tiny_decoder: Path, tmp_path: Path) -> None:
    write_tiny_prepared(tmp_path / "prepared")
    data = PreparedDataset(tmp_path / "prepared")

    def vectors(name: str, **settings: Any) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
        small = {"steps": 2, "batch": 8}
        chosen = FinetuneSettings.model_validate({"language_model": str(tiny_decoder), "adaptation": small | settings})
        model = load_language_model(chosen.language_model, "auto", 16)
        frozen, features, _ = text_vectors(
            model, data, chosen, Run("finetune", chosen.training, 1, torch.float32, tmp_path / name, form_team("cpu"))
        )
        return frozen, features[:, 32:64]

    frozen, plain = vectors("plain")
    for name, options in {
        "pretrained": {"mlm_steps": 2},
        "altered": {"word_dropout": 0.4},
        "adapter": {"method": "adapter", "adapter_dim": 4},
    }.items():
        same, other = vectors(name, **options)
        assert np.array_equal(frozen, same)
        assert not np.allclose(plain, other, atol=1e-5), name
