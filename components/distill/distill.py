"""Stage 3: trains the student on labels and on the teacher's scores, and writes the Student bundle."""

import hashlib
import json
import shutil
import tempfile
from pathlib import Path

import torch
from safetensors.numpy import load_file
from safetensors.torch import load_model

from longtail.components.distill.settings import DistillSettings
from longtail.contracts.artifacts import TEACHER, Artifact, read_artifact
from longtail.contracts.errors import UserError
from longtail.contracts.prepared import PreparedDataset
from longtail.modeling.bundling import fit_on_validation, write_bundle
from longtail.modeling.device import choose_device, choose_precision
from longtail.modeling.distillation import Lesson, Teacher
from longtail.modeling.neighbour_term import NeighbourTerm
from longtail.modeling.parallel import Team
from longtail.modeling.sequence_model import SequenceModel, Shape
from longtail.modeling.training import TrainingData, train
from longtail.neighbours.item_to_item import ItemToItem
from longtail.scoring.bundle import TEXT_ENCODER, copy_files
from longtail.scoring.compression_loss import compress
from longtail.system.machine import available_cores
from longtail.tables.sources import fetch_folder


def distill(
    prepared: str | Path, teacher: str | Path, output: str | Path, settings: DistillSettings, seed: int = 0
) -> None:
    """Write the Student bundle to ``output``; of several processes (``modeling.parallel``) the first does.

    Raises:
        UserError: where a teacher was trained on other data than ``prepared``.
    """
    data = PreparedDataset(prepared)
    digest = data.train_digest()
    artifact = read_teacher(teacher, prepared, digest)
    team = Team(choose_device(settings.device), settings.shard)
    torch.set_num_threads(max(available_cores() // team.neighbours, 1))
    device = team.device
    precision = choose_precision(settings.precision, device)
    features = load_file(artifact.file("text_vectors.safetensors"))["features"]
    taught = load_teacher(artifact, device)
    teachers, identities = [Teacher(taught)], [_identity(artifact)]
    for path in settings.extra_teachers:
        with tempfile.TemporaryDirectory() as temporary:
            extra = read_teacher(fetch_folder(path, Path(temporary)), prepared, digest, path)
            teachers.append(Teacher(load_teacher(extra, device)))
            identities.append(_identity(extra))
    shape = Shape.of(settings.training, taught.shape.max_history)
    torch.manual_seed(seed)
    n_attributes = len(data.facts["user_attributes"])
    student = SequenceModel(shape, torch.from_numpy(features), taught.text_dim, n_attributes).to(device)
    if settings.start_from_teacher and settings.training.dim == taught.shape.dim:
        start_from_teacher(student, taught)
    lesson = Lesson(teachers, settings, shape.dim).to(device)
    key = hashlib.sha256(json.dumps([digest, settings.canonical(), seed, *identities]).encode()).hexdigest()[:16]
    folder = Path(output).with_name(f"{Path(output).name}.checkpoints") / key
    term = ItemToItem.load(artifact.file("neighbours.safetensors"))
    beside = NeighbourTerm.of(term, settings.training)
    training_data = TrainingData.of(data, shape.max_history, beside)
    score = train(student, training_data, settings.training, seed, precision, folder, lesson, team)
    if not team.first:
        team.wait()
        return
    fit = fit_on_validation(student, data, term, seed)
    scorer = artifact.file("scorer")
    written = folder / "bundle" if settings.compression.compresses else Path(output)
    write_bundle(
        written,
        student,
        data,
        term,
        fit,
        lambda target: copy_files(scorer, target, TEXT_ENCODER),
        artifact.facts["settings"]["max_tokens"],
        role="student",
        settings=settings.model_dump(mode="json"),
        seed=seed,
        validation_ndcg=score,
    )
    if settings.compression.compresses:
        compress(written, output, settings.compression, data, seed)
    shutil.rmtree(folder)


def start_from_teacher(student: SequenceModel, teacher: SequenceModel) -> None:
    """Give the student the teacher's item vectors and its lowest blocks: it then needs few epochs (DistilBERT, section 2).

    What has another shape in the student, or is not in the teacher, keeps its random start.
    """
    own = student.state_dict()
    inherited = {
        name: value for name, value in teacher.state_dict().items() if name in own and own[name].shape == value.shape
    }
    student.load_state_dict(own | inherited)


def read_teacher(path: str | Path, prepared: str | Path, digest: str, name: str | Path | None = None) -> Artifact:
    """A teacher that learnt from the training events with this digest. name: what the user called it.

    Raises:
        UserError: where it was trained on other data.
    """
    artifact = read_artifact(path, TEACHER)
    if artifact.facts["train_digest"] != digest:
        raise UserError(
            f"{name or path}: was trained on other events than {prepared} holds; run finetune on this data first"
        )
    return artifact


def load_teacher(artifact: Artifact, device: torch.device) -> SequenceModel:
    """The teacher's sequence model, ready to be asked."""
    shape = Shape(**artifact.facts["shape"])
    features = load_file(artifact.file("text_vectors.safetensors"))["features"]
    vocabulary = json.loads(artifact.file("scorer/attributes.json").read_text())
    model = SequenceModel(shape, torch.from_numpy(features), artifact.facts["text_dim"], len(vocabulary))
    load_model(model, str(artifact.file("model.safetensors")))
    return model.to(device).eval()


def _identity(artifact: Artifact) -> str:
    return hashlib.sha256(artifact.file("manifest.json").read_bytes()).hexdigest()
