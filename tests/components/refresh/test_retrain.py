"""Training once more on all events, with a tiny random language model: the real functions, real files."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from helpers_prepared import write_tiny_prepared
from helpers_trained import train_tiny
from safetensors.numpy import load_file

from longtail.components.distill.distill import distill
from longtail.components.distill.settings import DistillSettings, StudentTraining
from longtail.components.refresh.refresh import refresh
from longtail.components.refresh.retrain import retrain
from longtail.components.refresh.settings import RefreshSettings
from longtail.contracts.artifacts import MANIFEST, sha256
from longtail.contracts.errors import UserError
from longtail.contracts.prepared import PreparedDataset
from longtail.neighbours.recounting import write_recounted
from longtail.pipelines.run_settings import load_settings
from longtail.scoring.bundle import load_bundle
from longtail.scoring.compression_settings import CompressionSettings
from longtail.scoring.int8 import Int8Rows
from longtail.scoring.query import Query
from longtail.scoring.scorer import Scorer

pytestmark = pytest.mark.slow
SMALL: dict[str, Any] = {"dim": 16, "heads": 2, "epochs": 3, "batch_positions": 64, "epoch_steps": 2}


@pytest.fixture(scope="module")
def trained(tmp_path_factory: pytest.TempPathFactory, tiny_encoder: Path) -> Path:
    folder = tmp_path_factory.mktemp("trained")
    train_tiny(folder, tiny_encoder, SMALL, alignment_weight=0.1)
    return folder


@pytest.fixture
def data(trained: Path) -> PreparedDataset:
    return PreparedDataset(trained / "prepared")


def test_without_further_events_it_is_the_same_training(
    trained: Path, data: PreparedDataset, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Settings, seeds, features, epochs and counts are those of finetune and distill, to the last bit."""
    monkeypatch.setattr(PreparedDataset, "learnt_until", lambda self, _: self)
    retrain(data, trained / "teacher", trained / "bundle", tmp_path / "out")
    before, after = (load_file(path / "tensors.safetensors") for path in (trained / "bundle", tmp_path / "out"))
    assert before.keys() == after.keys()
    assert [name for name, values in before.items() if not np.array_equal(values, after[name])] == []


def test_all_events_are_learnt_and_what_validation_chose_stays(
    trained: Path, data: PreparedDataset, tmp_path: Path
) -> None:
    refresh(
        trained / "prepared", trained / "teacher", trained / "bundle", tmp_path / "out", RefreshSettings(mode="retrain")
    )
    write_recounted(trained / "bundle", data, tmp_path / "counted")
    before, after, counted = (
        load_file(path / "tensors.safetensors") for path in (trained / "bundle", tmp_path / "out", tmp_path / "counted")
    )
    for name in ("neighbours.data", "neighbours.indices", "log_popularity"):
        assert np.array_equal(after[name], counted[name])  # the counts are those of a refresh
    for name in ("neighbour_weight", "popularity_weight", "decay"):
        assert np.array_equal(after[name], before[name])
    assert not np.array_equal(after["item_matrix"], before["item_matrix"])
    made = load_bundle(tmp_path / "out")
    known = {"mode": "retrain", "from": sha256(trained / "bundle" / MANIFEST), "events": len(data.splits)}
    assert known.items() <= made.facts["refreshed"].items()
    assert made.train_counts.sum() == len(data.splits)
    scores = Scorer(made).score([Query(np.array([0, 1], np.int32)), Query(np.zeros(0, np.int32), (), "red lip")])
    assert np.isfinite(scores).all()
    assert {path.name for path in tmp_path.iterdir()} == {"out", "counted"}


def test_it_stays_as_small_as_it_was(trained: Path, data: PreparedDataset, tmp_path: Path) -> None:
    small = CompressionSettings(int8_items=True, keep_neighbours=2, keep_ndcg=0)
    student = DistillSettings(training=StudentTraining(**SMALL), compression=small)
    distill(trained / "prepared", trained / "teacher", tmp_path / "bundle", student, seed=1)
    retrain(data, trained / "teacher", tmp_path / "bundle", tmp_path / "out")
    tensors = load_bundle(tmp_path / "out").tensors
    assert isinstance(tensors.item_matrix, Int8Rows)
    assert np.diff(tensors.neighbours.indptr).max() == 2


def test_a_teacher_of_other_events_is_refused(trained: Path, tmp_path: Path) -> None:
    other = PreparedDataset(write_tiny_prepared(tmp_path / "other", seed=9))
    with pytest.raises(UserError, match="did not learn from the training events of"):
        retrain(other, trained / "teacher", trained / "bundle", tmp_path / "out")


def test_further_teachers_are_refused_before_anything_is_trained() -> None:
    with pytest.raises(UserError, match=r"retrain trains one teacher, and distill\.extra_teachers names more"):
        load_settings(None, ["refresh.mode=retrain", "distill.extra_teachers=[s3://b/teacher]"])
