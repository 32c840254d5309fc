"""Every setting of distill changes the bundle, the memory that its training takes, or is refused: none is there for nothing."""

import itertools
from pathlib import Path
from typing import Any

import pytest
import torch
from helpers_prepared import tiny_images, write_tiny_prepared
from helpers_settings import SMALL, TRAINING_CHANGES, digests, noted_checkpoints, settings_with

from longtail.components.distill.distill import distill
from longtail.components.distill.settings import DistillSettings
from longtail.components.finetune.finetune import finetune
from longtail.components.finetune.settings import FinetuneSettings
from longtail.contracts.errors import UserError
from longtail.contracts.settings_base import leaves

pytestmark = pytest.mark.slow
BASE = {"precision": "fp32", **SMALL}
TRAINING = TRAINING_CHANGES | {"term_weight": 1.0, "term_after": 0.9}
CHANGES: dict[str, tuple[dict[str, Any], Any]] = {  # setting -> the others beside it, and its changed value
    "precision": ({}, "bf16"),
    "start_from_teacher": ({}, False),
    "soft_label_weight": ({}, 1.0),
    "soft_label_temperature": ({}, 2.0),
    "soft_label_top": ({}, 3),
    "alignment_weight": ({}, 1.0),
    **{f"training.{name}": ({}, value) for name, value in TRAINING.items()},
    "training.patience": (
        {"start_from_teacher": False, "training.learning_rate": 2e-1, "training.epochs": 12, "training.patience": 1},
        11,
    ),
    "training.future_decay": ({"training.future_items": 3}, 1.0),
    **{
        f"compression.{name}": ({"compression.keep_ndcg": 0.0}, value)
        for name, value in {
            "int8_items": True,
            "int8_sequence_encoder": True,
            "int8_text_encoder": True,
            "keep_neighbours": 3,
        }.items()
    },
}
REFUSED: dict[str, tuple[dict[str, Any], str]] = {
    "device": ({"device": "cuda"}, "torch sees no CUDA device here"),
    "compression.keep_ndcg": ({"compression.keep_ndcg": 1.0, "compression.keep_neighbours": 1}, "keep_ndcg"),
}
ELSEWHERE = {"training.block_checkpointing", "extra_teachers"}  # tests below


def test_no_setting_is_forgotten() -> None:
    assert {*CHANGES, *REFUSED, *ELSEWHERE} == set(leaves(DistillSettings))


class Run:
    """Distill with settings beside BASE, from a teacher of a tiny shop; what was written."""

    def __init__(self, folder: Path, language_model: Path) -> None:
        self.prepared, self.teacher, self.other = folder / "prepared", folder / "teacher", folder / "other"
        write_tiny_prepared(self.prepared, images=tiny_images())
        frozen = {"language_model": str(language_model), "neighbours": 8, "adaptation.method": "frozen"}
        for seed, teacher in enumerate((self.teacher, self.other)):
            finetune(self.prepared, teacher, settings_with(FinetuneSettings, SMALL, frozen), seed)
        self.outputs = (folder / f"bundle{number}" for number in itertools.count())

    def __call__(self, *changes: dict[str, Any]) -> dict[str, str]:
        output = next(self.outputs)
        distill(self.prepared, self.teacher, output, settings_with(DistillSettings, BASE, *changes))
        return digests(output, "manifest.json")


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory, tiny_encoder: Path) -> Run:
    return Run(tmp_path_factory.mktemp("settings"), tiny_encoder)


@pytest.fixture(scope="module")
def plain(run: Run) -> dict[str, str]:
    """What BASE writes."""
    return run()


def test_the_same_settings_give_the_same_bundle(run: Run, plain: dict[str, str]) -> None:
    assert run() == plain


@pytest.mark.parametrize("setting", CHANGES)
def test_a_changed_setting_changes_the_bundle(run: Run, plain: dict[str, str], setting: str) -> None:
    beside, value = CHANGES[setting]
    assert run(beside, {setting: value}) != (run(beside) if beside else plain)


def test_another_teacher_changes_the_bundle(run: Run, plain: dict[str, str]) -> None:
    assert run({"extra_teachers": [str(run.other)]}) != plain


def test_blocks_are_computed_again(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    calls = noted_checkpoints(monkeypatch)
    run()
    assert not calls
    run({"training.block_checkpointing": True})
    assert calls


@pytest.mark.parametrize("setting", REFUSED)
def test_a_setting_that_cannot_act_here_is_refused(run: Run, setting: str) -> None:
    change, message = REFUSED[setting]
    if setting == "device" and torch.cuda.is_available():
        pytest.skip("there is a CUDA device here")
    with pytest.raises(UserError, match=message):
        run(change)
    if len(change) > 1:
        run(change, {setting: 0.0})
