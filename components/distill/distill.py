"""Stage 3: trains the student on labels and on the teacher's scores, and writes the Student bundle."""

import hashlib
import json
import shutil
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from safetensors.numpy import load_file
from safetensors.torch import load_model
from torch import Tensor

from longtail.contracts.artifacts import TEACHER, Artifact, read_artifact
from longtail.contracts.errors import UserError
from longtail.contracts.machine import available_cores
from longtail.contracts.prepared import PreparedDataset
from longtail.contracts.settings import DistillSettings, FinetuneSettings
from longtail.modeling.bundling import copy_text_encoder, fit_on_validation, write_bundle
from longtail.modeling.device import choose_bf16, choose_device
from longtail.modeling.sequence_model import SequenceModel, Shape
from longtail.modeling.sequences import Batch
from longtail.modeling.training import SoftLabels, TrainingData, train


def distill(
    prepared: str | Path, teacher: str | Path, output: str | Path, settings: DistillSettings, seed: int = 0
) -> None:
    """Write the Student bundle to ``output``.

    Raises:
        UserError: where the teacher was trained on other data than ``prepared``.
    """
    data = PreparedDataset(prepared)
    artifact = read_artifact(teacher, TEACHER)
    digest = data.train_digest()
    if artifact.facts["train_digest"] != digest:
        raise UserError(
            f"{teacher}: was trained on other events than {prepared} holds; run finetune on this data first"
        )
    torch.set_num_threads(available_cores())
    device = choose_device(settings.device)
    bf16 = choose_bf16(settings.precision, device)
    features = load_file(artifact.file("text_vectors.safetensors"))["features"]
    taught = load_teacher(artifact, features, device)
    shape = Shape(
        settings.dim, settings.blocks, settings.heads, taught.shape.max_history, settings.dropout, settings.temperature
    )
    torch.manual_seed(seed)
    n_attributes = len(data.facts["user_attributes"])
    student = SequenceModel(shape, torch.from_numpy(features), taught.text_dim, n_attributes).to(device)
    if settings.dim == taught.shape.dim:
        start_from_teacher(student, taught)
    soft_labels = SoftLabels(TeacherLogits(taught), settings.soft_label_weight, settings.soft_label_temperature)
    key = hashlib.sha256(json.dumps([digest, settings.canonical(), seed, _identity(artifact)]).encode()).hexdigest()[
        :16
    ]
    folder = Path(output).with_name(f"{Path(output).name}.checkpoints") / key
    score = train(student, TrainingData.of(data, shape.max_history), settings, seed, bf16, folder, soft_labels)
    fit = fit_on_validation(student, data, settings.neighbours, seed)
    scorer = artifact.file("scorer")
    write_bundle(
        Path(output),
        student,
        data,
        fit,
        lambda target: copy_text_encoder(scorer, target),
        artifact.facts["settings"]["max_tokens"],
        role="student",
        settings=settings.model_dump(mode="json"),
        seed=seed,
        validation_ndcg=score,
    )
    shutil.rmtree(folder)


def start_from_teacher(student: SequenceModel, teacher: SequenceModel) -> None:
    """Give the student the teacher's item vectors and its lowest blocks: it then needs few epochs (DistilBERT, section 2)."""
    inherited = {
        name: value
        for name, value in teacher.state_dict().items()
        if not name.startswith("encoder.blocks") or int(name.split(".")[2]) < student.shape.blocks
    }
    student.load_state_dict(inherited)


def load_teacher(artifact: Artifact, features: NDArray[np.float32], device: torch.device) -> SequenceModel:
    """The teacher's sequence model, ready to be asked."""
    settings = FinetuneSettings(**artifact.facts["settings"])
    shape = Shape(
        settings.dim, settings.blocks, settings.heads, settings.max_history, settings.dropout, settings.temperature
    )
    vocabulary = json.loads(artifact.file("scorer/attributes.json").read_text())
    model = SequenceModel(shape, torch.from_numpy(features), artifact.facts["text_dim"], len(vocabulary))
    load_model(model, str(artifact.file("model.safetensors")))
    return model.to(device).eval()


class TeacherLogits:
    """The teacher's scores at every training position of a batch."""

    def __init__(self, teacher: SequenceModel) -> None:
        self.teacher = teacher
        with torch.no_grad():
            self.vectors = teacher.item_vectors()  # [items, dim]

    def __call__(self, batch: Batch, valid: Tensor) -> Tensor:
        device = self.vectors.device
        starts = self.teacher.starts(batch.attributes.to(device), batch.offsets.to(device))
        queries = self.teacher(self.vectors, batch.histories.to(device), starts)
        scores: Tensor = queries[:, :-1][valid] @ self.vectors.T
        return scores


def _identity(artifact: Artifact) -> str:
    return hashlib.sha256(artifact.file("manifest.json").read_bytes()).hexdigest()
