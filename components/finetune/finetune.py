"""Stage 2: adapts the language model, trains the sequence model beside it, and writes the Teacher.

Files of the artifact:
    scorer/                    a scoring bundle (retrieval.bundle): how evaluate asks the teacher
    model.safetensors          weights of the sequence model: how distill asks it for soft labels
    text_vectors.safetensors   frozen [items, text_dim] unit rows; features [items, feature_dim], the model's inputs
    neighbours.safetensors     the sparse term (retrieval.item_to_item), the student's too
    tensorboard/               training curves
"""

import hashlib
import json
import shutil
from dataclasses import asdict
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from safetensors.numpy import load_file as load_arrays
from safetensors.numpy import save_file as save_arrays
from safetensors.torch import save_model

from longtail.components.finetune.settings import FinetuneSettings
from longtail.contracts.artifacts import TEACHER, write_artifact
from longtail.contracts.errors import UserError
from longtail.contracts.prepared import PreparedDataset
from longtail.modeling.adaptation import PlainTexts, adapt, adapted_vectors
from longtail.modeling.bundling import fit_on_validation, neighbours_of, write_bundle
from longtail.modeling.device import choose_device, choose_precision
from longtail.modeling.export import export_text_encoder
from longtail.modeling.language_model import LanguageModel, UpperLayers, encode_texts, load_language_model
from longtail.modeling.neighbour_term import NeighbourTerm
from longtail.modeling.parallel import Team
from longtail.modeling.sequence_model import SequenceModel, Shape
from longtail.modeling.techniques.layer_pruning import keep_lowest_layers
from longtail.modeling.techniques.masked_language import pretrain
from longtail.modeling.techniques.text_augmentation import AlteredTexts, Wordings
from longtail.modeling.training import TrainingData, train
from longtail.neighbours.words import lexical_vectors
from longtail.system.machine import available_cores

NUMERIC_SCALE = 0.1  # standardised numbers beside text vectors whose numbers are about 0.05


def finetune(
    prepared: str | Path,
    output: str | Path,
    settings: FinetuneSettings,
    seed: int = 0,
    checkpoints: str | Path | None = None,
) -> None:
    """Write the Teacher artifact to ``output``.

    ``checkpoints``: folder where a killed run finds its progress again; it keeps one sub-folder for each set of data,
    settings and seed, which is removed when the run has finished. Of several processes (``modeling.parallel``) the first
    adapts the language model and writes the artifact.

    Raises:
        UserError: where the training split is empty, or the language model cannot be loaded.
    """
    data = PreparedDataset(prepared)
    digest = data.train_digest()
    if not (data.splits == 0).any():
        raise UserError(
            f"{prepared}: the training split holds no event, so nothing can be learnt; users need at least three events "
            "under leave_last_out, or take preprocess.split: global_time"
        )
    key = hashlib.sha256(json.dumps([digest, settings.canonical(), seed]).encode()).hexdigest()[:16]
    folder = (Path(checkpoints) if checkpoints else Path(output).with_name(f"{Path(output).name}.checkpoints")) / key
    folder.mkdir(parents=True, exist_ok=True)
    team = Team(choose_device(settings.device), settings.shard)
    torch.set_num_threads(max(available_cores() // team.neighbours, 1))
    device = team.device
    precision = choose_precision(settings.precision, device)
    shared = folder / "features.safetensors"
    if team.first:
        language_model = load_language_model(settings.language_model, settings.pooling, settings.max_tokens)
        keep_lowest_layers(language_model, settings.language_model_layers)
        frozen, texts, upper = _text_vectors(
            language_model, data, settings, seed, device, precision is torch.bfloat16, folder
        )
        words = lexical_vectors(data.item_texts, settings.lexical_dim if settings.lexical else 0, seed)
        features = np.concatenate([texts, words, NUMERIC_SCALE * data.numeric], axis=1).astype(np.float32)
        text_dim, width = texts.shape[1], min(texts.shape[1], frozen.shape[1])
        if team.size > 1:
            save_arrays({"features": features, "dims": np.array([text_dim, width])}, shared)
    team.wait()
    if not team.first:
        given = load_arrays(shared)
        features, (text_dim, width) = given["features"], given["dims"].tolist()
    adapted = features[:, text_dim - width : text_dim]  # as they are, where nothing is adapted
    term = neighbours_of(data, adapted, settings, seed)
    beside = NeighbourTerm.of(term, settings.training)
    shape = Shape.of(settings.training, settings.max_history)
    torch.manual_seed(seed)
    model = SequenceModel(shape, torch.from_numpy(features), text_dim, len(data.facts["user_attributes"])).to(device)
    training_data = TrainingData.of(data, settings.max_history, beside)
    score = train(model, training_data, settings.training, seed, precision, folder, team=team)
    if not team.first:
        team.wait()
        return
    fit = fit_on_validation(model, data, term, seed)
    facts = {
        "train_digest": digest,
        "settings": settings.model_dump(mode="json"),
        "seed": seed,
        "text_dim": text_dim,
        "shape": asdict(shape),
        "validation_ndcg": score,
        "validation_ndcg_by_history": fit.ndcg,
    }
    with write_artifact(output, TEACHER, facts) as partial:
        save_model(model, str(partial / "model.safetensors"))
        save_arrays({"frozen": frozen, "features": features}, partial / "text_vectors.safetensors")
        term.save(partial / "neighbours.safetensors")
        shutil.copytree(folder / "tensorboard", partial / "tensorboard")
        write_bundle(
            partial / "scorer",
            model,
            data,
            term,
            fit,
            lambda target: export_text_encoder(language_model, upper, target) if text_dim else None,
            settings.max_tokens,
            role="teacher",
        )
    shutil.rmtree(folder)
    team.wait()


def _text_vectors(
    language_model: LanguageModel,
    data: PreparedDataset,
    settings: FinetuneSettings,
    seed: int,
    device: torch.device,
    bf16: bool,
    folder: Path,
) -> tuple[NDArray[np.float32], NDArray[np.float32], UpperLayers | None]:
    """Frozen text vectors [items, d], those that the model reads [items, text_dim], and the adapted layers."""
    layers = len(language_model.layers)
    if settings.adaptation.layers > layers:
        raise UserError(
            f"finetune.adaptation.layers: is {settings.adaptation.layers}, but {settings.language_model} has {layers} layers"
        )
    frozen, cached = encode_texts(
        language_model, data.item_texts, device, bf16, cache_from=layers - settings.adaptation.layers
    )
    if settings.adaptation.method == "none":
        return frozen, frozen[:, :0], None
    parts, upper = [frozen], None
    if settings.adaptation.method != "frozen":
        upper = UpperLayers(language_model, layers - settings.adaptation.layers).to(device)
        if settings.adaptation.mlm_steps:
            pretrain(language_model, upper, data.item_texts, settings.adaptation, seed, bf16, folder)
        wordings = Wordings.of(data, language_model, settings.adaptation)
        texts = (
            AlteredTexts(wordings, language_model, upper.first, device, bf16)
            if wordings
            else PlainTexts(cached, frozen)
        )
        adapt(upper, texts, data.train_sequences(), settings.adaptation, seed, bf16, folder)
        parts.append(adapted_vectors(upper, cached, device, bf16))
    without_text = np.array([not text for text in data.item_texts])
    for part in parts:
        part[without_text] = 0.0  # an item without text is known by its id alone
    return frozen, np.concatenate(parts, axis=1), upper
