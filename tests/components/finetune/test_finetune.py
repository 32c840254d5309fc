"""Finetune and distill on a tiny shop with a tiny random language model: the real functions, real files."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from helpers_prepared import write_tiny_prepared
from helpers_trained import train_tiny

from longtail.components.distill.distill import distill
from longtail.components.distill.settings import DistillSettings, StudentTraining
from longtail.components.finetune.finetune import finetune
from longtail.components.finetune.settings import FinetuneSettings
from longtail.contracts.artifacts import TEACHER, read_artifact
from longtail.contracts.errors import UserError
from longtail.contracts.prepared import PreparedDataset
from longtail.modeling.adaptation_settings import AdaptationSettings
from longtail.scoring.bundle import load_bundle
from longtail.scoring.query import Query
from longtail.scoring.scorer import Scorer

pytestmark = pytest.mark.slow
SMALL: dict[str, Any] = {"dim": 16, "heads": 2, "epochs": 2, "batch_positions": 64, "epoch_steps": 1}


@pytest.fixture(scope="module")
def trained(tmp_path_factory: pytest.TempPathFactory, tiny_encoder: Path) -> Path:
    folder = tmp_path_factory.mktemp("trained")
    train_tiny(folder, tiny_encoder, SMALL)
    return folder


def test_both_bundles_score_without_torch(trained: Path) -> None:
    prepared = PreparedDataset(trained / "prepared")
    for path in (trained / "teacher" / "scorer", trained / "bundle"):
        bundle = load_bundle(path)
        assert bundle.item_ids == prepared.item_ids
        assert bundle.facts["train_digest"] == prepared.train_digest()
        scores = Scorer(bundle).score([Query(np.array([0, 1], np.int32)), Query(np.zeros(0, np.int32))])
        assert scores.shape == (2, len(prepared.item_ids)) and np.isfinite(scores).all()


def test_the_artifacts_are_whole_and_no_checkpoint_is_left(trained: Path) -> None:
    assert read_artifact(trained / "teacher", TEACHER).facts["seed"] == 1
    assert next(path.name for path in (trained / "teacher" / "tensorboard").iterdir()).startswith("events")
    assert not any((trained / "teacher.checkpoints").iterdir())


def test_stated_interests_change_a_newcomers_answer(trained: Path) -> None:
    scorer = Scorer(load_bundle(trained / "bundle"))
    nothing = np.zeros(0, np.int32)
    without, red, oil = scorer.score([Query(nothing), Query(nothing, (), "red lip"), Query(nothing, (), "hair oil")])
    assert not np.allclose(without, red, atol=1e-4)
    assert not np.allclose(red, oil, atol=1e-4)


def test_the_student_learns_from_a_teacher_of_the_same_data_only(trained: Path, tmp_path: Path) -> None:
    write_tiny_prepared(tmp_path / "other", seed=9)
    with pytest.raises(UserError, match="other events"):
        distill(tmp_path / "other", trained / "teacher", tmp_path / "bundle", DistillSettings(), 0)
    assert not (tmp_path / "bundle").exists()


def test_same_seed_same_result(trained: Path, tmp_path: Path) -> None:
    settings = DistillSettings(training=StudentTraining(**SMALL))
    distill(trained / "prepared", trained / "teacher", tmp_path / "bundle", settings, seed=1)
    one, other = load_bundle(trained / "bundle").tensors, load_bundle(tmp_path / "bundle").tensors
    assert np.array_equal(one.item_matrix, other.item_matrix)
    assert np.array_equal(one.neighbour_weight, other.neighbour_weight)


def test_more_adapted_layers_than_there_are_is_one_clear_error(
    trained: Path, tiny_encoder: Path, tmp_path: Path
) -> None:
    settings = FinetuneSettings(language_model=str(tiny_encoder), adaptation=AdaptationSettings(layers=9))
    with pytest.raises(UserError, match=r"finetune\.adaptation\.layers"):
        finetune(trained / "prepared", tmp_path / "teacher", settings)
    assert not (tmp_path / "teacher").exists()
