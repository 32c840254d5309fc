"""Stage 3: trains the student on labels and on the teacher's scores, and writes the Student bundle."""

import copy
import shutil
from pathlib import Path

import torch

from longtail.components.distill.settings import DistillSettings
from longtail.components.distill.teachers import extra_teachers, read_teacher
from longtail.contracts.artifacts import BUNDLE, Artifact, check_place, manifest_digest
from longtail.contracts.prepared import PreparedDataset
from longtail.modeling.bundling import Fitted, write_bundle
from longtail.modeling.checkpoint import run_folder
from longtail.modeling.device import choose_precision
from longtail.modeling.distillation import Lesson, Teacher
from longtail.modeling.neighbour_term import NeighbourTerm
from longtail.modeling.parallel import form_team
from longtail.modeling.pictures import check_dropout
from longtail.modeling.teacher_and_student import load_teacher, new_student
from longtail.modeling.training import Run, train
from longtail.modeling.training_data import TrainingData
from longtail.neighbours.item_to_item import ItemToItem
from longtail.neighbours.usual import Usual
from longtail.scoring.bundle import TEXT_ENCODER, copy_files, load_bundle
from longtail.scoring.compression_loss import compress


def distill(
    prepared: str | Path,
    teacher: str | Path,
    output: str | Path,
    settings: DistillSettings,
    seed: int = 0,
    checkpoints: str | Path | None = None,
) -> None:
    """Write the Student bundle to ``output``; of several processes (``modeling.parallel``) the first does.

    The student of a teacher that was not trained is a copy of it.

    ``checkpoints``: folder where a killed run finds its progress again, as in finetune.

    Raises:
        UserError: where a teacher was trained on other data than ``prepared``.
    """
    check_place(output, BUNDLE)
    data = PreparedDataset(prepared)
    artifact = read_teacher(teacher, data)
    check_dropout(artifact.facts["image_dim"] > 0, settings.training, "distill")
    team = form_team(settings.device)
    taught = load_teacher(artifact, team.device)
    others = list(extra_teachers(settings.extra_teachers, data, team.device))
    inputs = [manifest_digest(data.artifact.path), manifest_digest(artifact.path), *(other for _, other in others)]
    folder = run_folder(output, checkpoints, settings, seed, inputs)
    torch.manual_seed(seed)
    teaches = artifact.facts.get("epochs", 1) > 0
    student = new_student(taught, settings.training, settings.start_from_teacher) if teaches else copy.deepcopy(taught)
    student.to(team.device)
    teachers = [Teacher(model) for model in (taught, *(model for model, _ in others))]
    lesson = Lesson(teachers, settings, student.shape.dim)
    term = ItemToItem.load(artifact.file("neighbours.safetensors"))
    beside = TrainingData.of(data, student.shape.max_history, NeighbourTerm.of(term, settings.training))
    precision = choose_precision(settings.precision, team.device)
    run = Run("distill", settings.training, seed, precision, folder, team, None if teaches else 0)
    best = train(student, beside, run, lesson.to(team.device))
    if team.first:
        scorer = load_bundle(artifact.file("scorer"))
        knows = best.trained or bool(scorer.facts.get("has_dense_part"))
        fitted = Fitted.on_validation(student, data, term, seed, knows, Usual.of(scorer))
        facts = {
            "settings": settings.model_dump(mode="json"),
            "seed": seed,
            "not_trained": artifact.facts.get("not_trained"),
        }
        facts |= best.facts() | ({"counted_alone": fitted.counted_alone(seed).weights()} if knows else {})
        written = folder / "bundle" if settings.compression.compresses else Path(output)
        _write(written, fitted, artifact, facts)
        if settings.compression.compresses:
            compress(written, output, settings.compression, data, seed)
        shutil.rmtree(folder)
    team.wait()


def _write(output: Path, fitted: Fitted, teacher: Artifact, facts: dict[str, object]) -> None:
    """Write the bundle; the text encoder is the teacher's. facts: of the run."""
    scorer, max_tokens = teacher.file("scorer"), teacher.facts["settings"]["max_tokens"]
    write_bundle(
        output,
        fitted,
        lambda target: copy_files(scorer, target, TEXT_ENCODER),
        max_tokens,
        role="student",
        **facts,
    )
