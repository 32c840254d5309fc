"""Students of several teachers, of the distillation layer's options, and of two processes."""

import json
import os
import subprocess
import sys
from pathlib import Path

import fsspec
import numpy as np
import pyarrow.parquet as pq
import pytest
from helpers_prepared import write_tiny_prepared
from helpers_ring import killed_after

from longtail.components.distill.distill import distill
from longtail.components.distill.settings import DistillSettings
from longtail.components.finetune.finetune import finetune
from longtail.components.finetune.settings import FinetuneSettings
from longtail.contracts.artifacts import TEACHER, read_artifact
from longtail.contracts.errors import UserError
from longtail.contracts.settings_base import from_json
from longtail.scoring.bundle import load_bundle

pytestmark = pytest.mark.slow
FROZEN = {"method": "frozen"}
SMALL = {"dim": 16, "heads": 2, "epochs": 1, "batch_positions": 64, "epoch_steps": 1}


@pytest.fixture(scope="module")
def shop(tmp_path_factory: pytest.TempPathFactory, tiny_encoder: Path) -> Path:
    """A prepared data set, two teachers of it (of different width), and one of other data."""
    folder = tmp_path_factory.mktemp("shop")
    write_tiny_prepared(folder / "prepared")
    write_tiny_prepared(folder / "other", seed=9)
    for name, data, more in (("one", "prepared", {}), ("two", "prepared", {"dim": 24}), ("strange", "other", {})):
        settings = FinetuneSettings.model_validate(
            {"language_model": str(tiny_encoder), "adaptation": FROZEN, "training": SMALL | more}
        )
        finetune(folder / data, folder / name, settings, seed=1)
    return folder


def item_matrix(shop: Path, output: Path, **more: object) -> np.ndarray:
    distill(shop / "prepared", shop / "one", output, DistillSettings.model_validate({"training": SMALL} | more), seed=1)
    return load_bundle(output).tensors.item_matrix


def test_a_second_teacher_and_alignment_change_the_student(shop: Path, tmp_path: Path) -> None:
    alone = item_matrix(shop, tmp_path / "alone")
    both = item_matrix(shop, tmp_path / "both", extra_teachers=[str(shop / "two")])
    aligned = item_matrix(shop, tmp_path / "aligned", alignment_weight=1.0)
    assert not np.allclose(alone, both, atol=1e-4) and not np.allclose(alone, aligned, atol=1e-4)
    # it starts from the first teacher whoever else teaches
    start = load_bundle(shop / "one" / "scorer").tensors.item_matrix
    assert (both * start).sum(axis=1).mean() > 0.9

    memory = fsspec.filesystem("memory")
    memory.put(str(shop / "two"), "/teachers/two", recursive=True)
    remote = item_matrix(shop, tmp_path / "remote", extra_teachers=["memory://teachers/two"])
    assert np.array_equal(remote, both)


def test_every_teacher_must_know_the_data(shop: Path, tmp_path: Path) -> None:
    with pytest.raises(UserError, match="strange: was trained on other events"):
        item_matrix(shop, tmp_path / "bundle", extra_teachers=[str(shop / "strange")])
    with pytest.raises(UserError, match="no such folder"):
        item_matrix(shop, tmp_path / "bundle", extra_teachers=[str(shop / "absent")])
    assert not (tmp_path / "bundle").exists()


def test_two_processes_write_one_teacher(shop: Path, tiny_encoder: Path, tmp_path: Path) -> None:
    launcher = [sys.executable, "-m", "torch.distributed.run", "--standalone", "--nproc-per-node", "2"]
    stage = [
        "-m",
        "longtail.components.finetune",
        "--prepared",
        str(shop / "prepared"),
        "--output",
        str(tmp_path / "two"),
    ]
    settings = {
        "language_model": str(tiny_encoder),
        "precision": "fp32",
        "adaptation": FROZEN,
        "training": SMALL | {"dropout": 0.0},
    }
    overrides = [part for name, value in settings.items() for part in ("--set", f"finetune.{name}={json.dumps(value)}")]
    done = subprocess.run([*launcher, *stage, *overrides], capture_output=True, text=True, env=dict(os.environ))
    assert done.returncode == 0, done.stderr
    finetune(shop / "prepared", tmp_path / "one", FinetuneSettings.model_validate(settings))
    one, two = (read_artifact(tmp_path / name, TEACHER) for name in ("one", "two"))
    assert two.facts["validation_ndcg"] == pytest.approx(one.facts["validation_ndcg"], abs=1e-3)
    matrices = [load_bundle(tmp_path / name / "scorer").tensors.item_matrix for name in ("one", "two")]
    assert np.allclose(*matrices, atol=1e-2)
    assert not any((tmp_path / "two.checkpoints").iterdir())


def test_a_bundle_says_how_new_its_data_are(shop: Path) -> None:
    events = pq.read_table(shop / "prepared" / "events.parquet")
    assert load_bundle(shop / "one" / "scorer").facts["data_until"] == max(events["timestamp"].to_pylist()) // 1_000_000


def test_a_killed_distill_goes_on_though_its_output_lies_elsewhere(
    shop: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    """In a pipeline each attempt has an output folder of its own; what it has learnt lies below ``checkpoints``."""
    settings = DistillSettings.model_validate({"training": SMALL | {"epochs": 3, "patience": 3}})

    def run(output: str, checkpoints: Path | None) -> np.ndarray:
        distill(shop / "prepared", shop / "one", tmp_path / output, settings, 1, checkpoints)
        return load_bundle(tmp_path / output).tensors.item_matrix

    whole = run("whole/bundle", None)
    with killed_after(2, monkeypatch):
        run("first/bundle", tmp_path / "kept")
    caplog.set_level("INFO", logger="longtail")
    assert np.array_equal(run("second/bundle", tmp_path / "kept"), whole)
    assert "going on from" in caplog.text and "after epoch 2" in caplog.text
    assert not any((tmp_path / "kept").iterdir())


def test_sharding_is_not_offered() -> None:
    with pytest.raises(UserError, match=r"there is no setting 'shard'"):
        from_json(DistillSettings, '{"shard": true}')
