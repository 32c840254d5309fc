"""Trains teacher and student once more, on all events, for as many epochs as validation chose when some were held back.

The text features are the teacher's, the counts are made again as in a refresh, and all that validation chose stays: the mixture of the
sparse term, the terms' weights, the numbers of epochs. Seeds and settings are those of the first training.
"""

import logging
import tempfile
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch

from longtail.contracts.artifacts import BUNDLE, TEACHER, Artifact, check_place, read_artifact, write_artifact
from longtail.contracts.errors import UserError
from longtail.contracts.folders import place_of
from longtail.contracts.prepared import PreparedDataset, Split
from longtail.contracts.settings_base import parse
from longtail.modeling.bundling import Fitted, fill_bundle
from longtail.modeling.device import choose_precision
from longtail.modeling.distillation import Lesson, Teacher
from longtail.modeling.lesson_settings import LessonSettings
from longtail.modeling.neighbour_term import NeighbourTerm
from longtail.modeling.parallel import Team, form_team
from longtail.modeling.sequence_model import SequenceModel
from longtail.modeling.teacher_and_student import new_student, new_teacher
from longtail.modeling.training import Run, train
from longtail.modeling.training_data import TrainingData
from longtail.modeling.training_settings import TrainingSettings
from longtail.neighbours.fitting import Fit, Terms
from longtail.neighbours.item_to_item import ItemToItem
from longtail.neighbours.recounting import measured_digest, recount, refreshed_facts
from longtail.neighbours.traits import TraitTerm
from longtail.scoring.bundle import TEXT_ENCODER, Bundle, copy_files, load_bundle
from longtail.scoring.compression import write_compressed
from longtail.scoring.compression_settings import CompressionSettings

log = logging.getLogger(__name__)


def retrain(data: PreparedDataset, teacher: str | Path, bundle: str | Path, output: str | Path) -> None:
    """Write the bundle to ``output``, trained on all events of ``data``. A killed retrain begins again.

    Raises:
        UserError: teacher or bundle did not learn from the training events of ``data``, or do not say for how long; or the student
            had further teachers, which cannot be trained here.
    """
    check_place(output, BUNDLE)
    taught, measured = read_artifact(teacher, TEACHER), load_bundle(bundle)
    _check(data, taught, measured)
    everything = data.learnt_until(Split.TEST)
    counted = recount(measured, everything)
    term, tensors = counted.term, counted.bundle.tensors
    parent = place_of(output).parent
    parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(prefix=".retrain-", dir=parent) as work:
        training = _Training(everything, term, form_team("auto"), Path(work))
        model = training.student(training.teacher(taught), measured.facts)
        weights = (tensors.dense_weight, tensors.neighbour_weight, tensors.popularity_weight, tensors.trait_weight)
        fit = Fit(*weights, measured.facts["validation_ndcg_by_history"])
        traits = TraitTerm(measured.attributes, tensors.traits, tensors.trait_scale, tensors.trait_base)
        terms = Terms(term, tensors.log_popularity, traits)
        fitted = Fitted(model, everything, terms, measured.facts["popularity_half_life"], fit)
        facts = measured.facts | refreshed_facts(measured_digest(measured), everything, "retrain")
        with write_artifact(Path(work) / "bundle", BUNDLE, facts) as folder:
            fill_bundle(folder, fitted, lambda target: copy_files(measured.path, target, TEXT_ENCODER))
        with write_artifact(output, BUNDLE, facts) as folder:
            write_compressed(folder, load_bundle(Path(work) / "bundle"), _compression(measured))


def _check(data: PreparedDataset, teacher: Artifact, bundle: Bundle) -> None:
    for path, facts in ((teacher.path, teacher.facts), (bundle.path, bundle.facts)):
        if facts["train_digest"] != data.train_digest():
            raise UserError(f"{path}: did not learn from the training events of {data.artifact.path}; train it on them")
        if "epochs" not in facts:
            raise UserError(f"{path}: is of an earlier version and does not say for how many epochs; train it again")
    for known, what in (
        (teacher.facts["settings"].get("start_from"), "the teacher started from another one (finetune.start_from)"),
        (not teacher.facts["epochs"], "nothing was trained on this data"),
    ):
        if known:
            raise UserError(f"refresh.mode retrain trains again as before, and {what}; take refresh.mode refresh")
    if bundle.facts["settings"]["extra_teachers"]:
        raise UserError(
            "refresh.mode retrain trains one teacher, and the student had further ones (distill.extra_teachers); take "
            "refresh.mode refresh"
        )


def _compression(bundle: Bundle) -> CompressionSettings:
    """What makes the bundle as small as it was; its text encoder is copied as it is."""
    known = bundle.facts.get("compression", {}).get("settings", {})
    settings = parse(CompressionSettings, known, f"compression of {bundle.path}")
    return settings.model_copy(update={"int8_text_encoder": False})


def _settings(stage: str, facts: Mapping[str, Any]) -> TrainingSettings:
    """What teacher and student are both trained by; a stage's own settings are not asked again."""
    given = {
        name: value for name, value in facts["settings"]["training"].items() if name in TrainingSettings.model_fields
    }
    return parse(TrainingSettings, given, f"settings of {stage}")


@dataclass(frozen=True)
class _Training:
    """Trains models on all events, beside the sparse term of all events. folder: of their checkpoints."""

    data: PreparedDataset
    term: ItemToItem
    team: Team
    folder: Path

    def teacher(self, taught: Artifact) -> SequenceModel:
        torch.manual_seed(taught.facts["seed"])
        return self._train("finetune", new_teacher(taught), taught.facts, _settings("finetune", taught.facts))

    def student(self, teacher: SequenceModel, facts: Mapping[str, Any]) -> SequenceModel:
        given = facts["settings"]
        settings = _settings("distill", facts)
        lesson = parse(
            LessonSettings, {name: given[name] for name in LessonSettings.model_fields}, "settings of distill"
        )
        torch.manual_seed(facts["seed"])
        model = new_student(teacher, settings, given["start_from_teacher"])
        return self._train("distill", model, facts, settings, Lesson([Teacher(teacher)], lesson, model.shape.dim))

    def _train(
        self,
        stage: str,
        model: SequenceModel,
        facts: Mapping[str, Any],
        settings: TrainingSettings,
        lesson: Lesson | None = None,
    ) -> SequenceModel:
        model = model.to(self.team.device)
        precision = choose_precision(facts["settings"]["precision"], self.team.device)
        beside = TrainingData.of(self.data, model.shape.max_history, NeighbourTerm.of(self.term, settings))
        run = Run(stage, settings, facts["seed"], precision, self.folder / stage, self.team, facts["epochs"])
        log.info("refresh: training again, as %s did, for %d epochs on all events", stage, facts["epochs"])
        train(model, beside, run, lesson.to(self.team.device) if lesson is not None else None)
        return model
