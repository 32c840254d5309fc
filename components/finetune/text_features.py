"""What is known of items before anybody chose them: vectors of their texts, as they are and adapted, pictures, words, numbers."""

from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from safetensors.numpy import load_file, save_file

from longtail.components.finetune.elsewhere import Elsewhere
from longtail.components.finetune.settings import FinetuneSettings
from longtail.contracts.errors import UserError
from longtail.contracts.prepared import PreparedDataset
from longtail.modeling.adaptation import PlainTexts, adapt, adapted_vectors
from longtail.modeling.export import export_text_encoder
from longtail.modeling.language_model import LanguageModel, UpperLayers, encode_texts, load_language_model
from longtail.modeling.pictures import image_vectors
from longtail.modeling.techniques.layer_pruning import keep_lowest_layers
from longtail.modeling.techniques.masked_language import pretrain
from longtail.modeling.techniques.text_augmentation import AlteredTexts, Wordings
from longtail.modeling.training import Run
from longtail.neighbours.words import lexical_vectors
from longtail.scoring.bundle import TEXT_VECTORS
from longtail.scoring.relevance import save_text_vectors

NUMERIC_SCALE = 0.1  # standardised numbers beside text vectors whose numbers are about 0.05


@dataclass(frozen=True)
class TextFeatures:
    """Inputs of the sequence model: text vectors, pictures, words, numbers. values [items, feature_dim]

    The first ``text_dim`` columns are the text vectors, the last ``adapted_dim`` of these those of the adapted layers (of
    the language model as it is, where nothing is adapted). The next ``image_dim`` are the pictures.
    """

    values: NDArray[np.float32]
    text_dim: int
    adapted_dim: int
    image_dim: int

    @property
    def adapted(self) -> NDArray[np.float32]:
        """[items, adapted_dim]"""
        return self.values[:, self.text_dim - self.adapted_dim : self.text_dim]

    def save(self, path: Path) -> None:
        save_file({"features": self.values, "dims": np.array([self.text_dim, self.adapted_dim, self.image_dim])}, path)

    @classmethod
    def load(cls, path: Path) -> "TextFeatures":
        arrays = load_file(path)
        return cls(arrays["features"], *arrays["dims"].tolist())


@dataclass(frozen=True)
class Reading:
    """The catalogue's texts as a language model reads them, and its pictures.

    frozen [items, dim]: unit rows of the language model as it is; upper: its adapted layers, if any.
    """

    features: TextFeatures
    frozen: NDArray[np.float32]
    language_model: LanguageModel
    upper: UpperLayers | None

    def export(self, folder: Path) -> None:
        """Write the text encoder of serving, and what it makes of the items; none where the language model is left out."""
        if self.features.text_dim:
            export_text_encoder(self.language_model, self.upper, folder)
            save_text_vectors(folder / TEXT_VECTORS, self.frozen)


def read_texts(
    data: PreparedDataset, settings: FinetuneSettings, run: Run, elsewhere: Elsewhere | None = None
) -> Reading:
    """Read all pictures and texts, adapt the language model to what users choose together, and read the texts again.

    ``run``: in whose folder a killed adaptation finds its progress. ``elsewhere``: whose adapted layers it starts from.

    Raises:
        UserError: where the language model cannot be loaded, or has fewer layers than are to be kept or adapted; where pictures
            cannot be read.
    """
    pictures = image_vectors(data, settings.image_model, run.team.device, run.precision is torch.bfloat16)
    language_model = load_language_model(settings.language_model, settings.pooling, settings.max_tokens)
    keep_lowest_layers(language_model, settings.language_model_layers)
    frozen, vectors, upper = text_vectors(language_model, data, settings, run, elsewhere)
    words = lexical_vectors(data.item_texts, settings.lexical_dim if settings.lexical else 0, run.seed)
    values = np.concatenate([vectors, pictures, words, NUMERIC_SCALE * data.numeric], axis=1).astype(np.float32)
    features = TextFeatures(values, vectors.shape[1], min(vectors.shape[1], frozen.shape[1]), pictures.shape[1])
    return Reading(features, frozen, language_model, upper)


def text_vectors(
    language_model: LanguageModel,
    data: PreparedDataset,
    settings: FinetuneSettings,
    run: Run,
    elsewhere: Elsewhere | None = None,
) -> tuple[NDArray[np.float32], NDArray[np.float32], UpperLayers | None]:
    """Frozen text vectors [items, d], those that the model reads [items, text_dim], and the adapted layers.

    Raises:
        UserError: where there are fewer layers than are to be adapted, or vectors are not finite.
    """
    device, bf16, folder, seed = run.team.device, run.precision is torch.bfloat16, run.folder, run.seed
    adaptation, layers = settings.adaptation, len(language_model.layers)
    if adaptation.layers > layers:
        raise UserError(
            f"finetune.adaptation.layers: is {adaptation.layers}, but {settings.language_model} has {layers} layers"
        )
    first = layers - adaptation.layers
    frozen, cached = encode_texts(language_model, data.item_texts, device, bf16, cache_from=first)
    _check_finite(
        frozen, "finetune.language_model", settings.language_model, "take another, or finetune.precision: fp32"
    )
    if adaptation.method == "none":
        return frozen, frozen[:, :0], None
    parts, upper = [frozen], None
    if adaptation.method != "frozen":
        upper = UpperLayers(language_model, first).to(device)
        if elsewhere is not None:
            elsewhere.put_layers(upper)
        if adaptation.mlm_steps:
            pretrain(language_model, upper, data.item_texts, adaptation, seed, bf16, folder)
        wordings = Wordings.of(data, language_model, adaptation)
        texts = AlteredTexts(wordings, language_model, first, device, bf16) if wordings else PlainTexts(cached, frozen)
        adapt(upper, texts, data.train_sequences(), adaptation, seed, bf16, folder)
        parts.append(adapted_vectors(upper, cached, device, bf16))
        _check_finite(parts[1], "finetune.adaptation.learning_rate", adaptation.learning_rate, "take a smaller one")
    without_text = np.array([not text for text in data.item_texts])
    for part in parts:
        part[without_text] = 0.0  # an item without text is known by its id alone
    return frozen, np.concatenate(parts, axis=1), upper


def _check_finite(vectors: NDArray[np.float32], setting: str, value: object, remedy: str) -> None:
    if not np.isfinite(vectors).all():
        raise UserError(f"{setting}: is {value}, and gives text vectors that are not finite numbers; {remedy}")
