"""Stage 2: adapts the language model, trains the sequence model beside it, and writes the Teacher.

Files of the artifact:
    scorer/                    a scoring bundle (scoring.bundle): how evaluate asks the teacher
    model.safetensors          weights of the sequence model: how distill asks it for soft labels
    text_vectors.safetensors   frozen [items, text_dim] unit rows; features [items, feature_dim], the model's inputs
    neighbours.safetensors     the sparse term (neighbours.item_to_item), the student's too
    adapted_layers.safetensors of the language model, for a teacher of another catalogue (finetune.start_from)
    tensorboard/               training curves
"""

import logging
import shutil
from dataclasses import asdict
from pathlib import Path

import numpy as np
import torch
from safetensors.numpy import save_file as save_arrays
from safetensors.torch import save_model

from longtail.components.finetune.elsewhere import Elsewhere, save_layers
from longtail.components.finetune.settings import FinetuneSettings
from longtail.components.finetune.text_features import Reading, TextFeatures, read_texts
from longtail.contracts.artifacts import TEACHER, check_place, manifest_digest, write_artifact
from longtail.contracts.prepared import PreparedDataset, Split
from longtail.modeling.adaptation_settings import AdaptationSettings
from longtail.modeling.bundling import Fitted, write_bundle
from longtail.modeling.checkpoint import run_folder
from longtail.modeling.device import choose_precision
from longtail.modeling.neighbour_term import NeighbourTerm
from longtail.modeling.parallel import Team, form_team
from longtail.modeling.pictures import check_dropout, has_pictures
from longtail.modeling.sequence_model import SequenceModel, Shape
from longtail.modeling.training import Run, train
from longtail.modeling.training_data import TrainingData
from longtail.neighbours.item_to_item import item_to_item
from longtail.neighbours.usual import USUAL
from longtail.neighbours.validation_cases import ValidationCases

log = logging.getLogger(__name__)


def finetune(
    prepared: str | Path,
    output: str | Path,
    settings: FinetuneSettings,
    seed: int = 0,
    checkpoints: str | Path | None = None,
) -> None:
    """Write the Teacher artifact to ``output``.

    ``checkpoints``: folder where a killed run finds its progress again; it keeps one sub-folder for each set of data,
    settings, seed and code, which is removed when the run has finished. Of several processes (``modeling.parallel``) the first
    adapts the language model and writes the artifact.

    Raises:
        UserError: where the language model cannot be loaded.
    """
    check_place(output, TEACHER)
    data = PreparedDataset(prepared)
    check_dropout(has_pictures(data, settings.image_model), settings.training, "finetune")
    elsewhere = Elsewhere.of(settings)
    why = too_few(data, settings)
    if why:
        also = f", beside what {settings.start_from} learnt" if elsewhere else ""
        log.warning("%s: nothing is trained; counts and texts are served%s", why, also)
        settings = without_training(settings)
    folder = run_folder(output, checkpoints, settings, seed, [manifest_digest(data.artifact.path)])
    team = form_team(settings.device, settings.shard)
    precision = choose_precision(settings.precision, team.device)
    run, reading = Run("finetune", settings.training, seed, precision, folder, team), None
    if team.first:
        reading = read_texts(data, settings, run, elsewhere)
    features = _shared(reading, team, folder)
    cases = ValidationCases.of(data)
    usual = elsewhere.usual if elsewhere else USUAL
    term = item_to_item(data.train_sequences(), data.item_texts, features.adapted, settings, cases, seed, usual)
    torch.manual_seed(seed)
    shape, n_attributes = Shape.of(settings.training, settings.max_history), len(data.facts["user_attributes"])
    model = SequenceModel(shape, torch.from_numpy(features.values), features.text_dim, n_attributes, features.image_dim)
    if elsewhere is not None:
        elsewhere.put_model(model, data.facts["user_attributes"])
    model.to(team.device)
    beside = TrainingData.of(data, settings.max_history, NeighbourTerm.of(term, settings.training))
    best = train(model, beside, run)
    if reading is not None:
        facts = {"settings": settings.model_dump(mode="json"), "seed": seed, "not_trained": why} | best.facts()
        fitted = Fitted.on_validation(model, data, term, seed, best.trained or elsewhere is not None, usual)
        _write(output, fitted, reading, settings.adaptation.method, facts, folder / "tensorboard")
        shutil.rmtree(folder)
    team.wait()


def too_few(data: PreparedDataset, settings: FinetuneSettings) -> str | None:
    """Why nothing is trained on this data; None where it is."""
    found, needed = len(np.unique(data.user_codes[data.splits == Split.VALIDATION])), settings.training.validation_users
    if found < needed:
        return f"{found} validation users are fewer than finetune.training.validation_users {needed}"
    return None if (data.splits == Split.TRAIN).any() else "there is no training event"


def without_training(settings: FinetuneSettings) -> FinetuneSettings:
    """The same, but nothing is adapted and nothing trained."""
    adaptation = settings.adaptation
    if settings.start_from is not None:  # what was adapted there is taken as it is
        adaptation = adaptation.model_copy(update={"steps": 0, "mlm_steps": 0})
    elif adaptation.method not in ("none", "frozen"):
        adaptation = AdaptationSettings(method="frozen")
    return settings.model_copy(
        update={"adaptation": adaptation, "training": settings.training.model_copy(update={"epochs": 0})}
    )


def _shared(reading: Reading | None, team: Team, folder: Path) -> TextFeatures:
    """What the first process read, in all processes."""
    path = folder / "features.safetensors"
    if reading is not None and team.size > 1:
        reading.features.save(path)
    team.wait()
    return reading.features if reading is not None else TextFeatures.load(path)


def _write(
    output: str | Path, fitted: Fitted, reading: Reading, method: str, facts: dict[str, object], curves: Path
) -> None:
    """Write the Teacher. method: of the adaptation; facts: of the run; curves: the folder of TensorBoard's files."""
    features, model = reading.features, fitted.model
    known = {
        "train_digest": fitted.prepared.train_digest(),
        "text_dim": features.text_dim,
        "image_dim": features.image_dim,
        "user_attributes": len(fitted.prepared.facts["user_attributes"]),
        "shape": asdict(model.shape),
        "validation_ndcg_by_history": fitted.fit.ndcg,
    }
    with write_artifact(output, TEACHER, known | facts) as partial:
        save_model(model, str(partial / "model.safetensors"))
        save_arrays({"frozen": reading.frozen, "features": features.values}, partial / "text_vectors.safetensors")
        fitted.terms.item_to_item.save(partial / "neighbours.safetensors")
        save_layers(reading.upper, method, partial)
        shutil.copytree(curves, partial / "tensorboard")
        write_bundle(partial / "scorer", fitted, reading.export, reading.language_model.max_tokens, role="teacher")
