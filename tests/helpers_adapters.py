"""Tiny random language models to be adapted: an encoder, a decoder with learned and one with rotary positions."""

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from longtail.modeling.adaptation import PlainTexts, adapted_vectors
from longtail.modeling.adaptation_settings import AdaptationSettings
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

    @classmethod
    def of(cls, folder: Path) -> "Case":
        model = load_language_model(str(folder), "auto", 16)
        frozen, cached = encode_texts(model, TEXTS, CPU, bf16=False, cache_from=1)
        return cls(model, PlainTexts(cached, frozen))


def chosen(method: str, **others: Any) -> AdaptationSettings:
    sizes = {"lora": {"lora_rank": 4}, "adalora": {"lora_rank": 4}, "prefix": {"prefix_length": 3}}
    return AdaptationSettings.model_validate(
        {"method": method, "batch": 8, "learning_rate": 1e-2, **sizes.get(method, {}), **others}
    )
