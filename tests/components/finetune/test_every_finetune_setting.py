"""Every setting of finetune changes the teacher, the memory that its training takes, or is refused: none is there for nothing."""

import itertools
import json
import shutil
from pathlib import Path
from typing import Any

import pytest
import torch
from helpers_language_model import WORDS
from helpers_prepared import tiny_images, write_tiny_prepared
from helpers_settings import SMALL, TRAINING_CHANGES, digests, noted_checkpoints, settings_with
from transformers import AutoTokenizer

from longtail.components.finetune import finetune as stage
from longtail.components.finetune.settings import FinetuneSettings
from longtail.contracts.errors import UserError
from longtail.contracts.settings_base import leaves

pytestmark = pytest.mark.slow
BASE: dict[str, Any] = {
    "neighbours": 5,
    "lexical_dim": 4,
    "precision": "fp32",
    "adaptation.steps": 3,
    "adaptation.batch": 8,
    **SMALL,
}
ADAPTATION: dict[str, Any] = {  # setting -> its changed value
    "layers": 1,
    "lora_rank": 4,
    "steps": 4,
    "batch": 16,
    "learning_rate": 0.01,
    "temperature": 0.1,
    "popularity_correction": 0.0,
    "optimizer": "adafactor",
    "schedule": "constant",
    "weight_decay": 0.5,
    "warmup_share": 0.5,
    "accumulation": 2,
    "clip": 0.01,
    "anchor_weight": 1.0,
    "fgm_epsilon": 1.0,
    "word_dropout": 0.5,
    "attribute_dropout": 0.5,
    "synonym_share": 0.5,
    "mlm_steps": 2,
}
TRAINING = TRAINING_CHANGES | {"term_after": 0.0}
CHANGES: dict[str, tuple[dict[str, Any], Any]] = {  # setting -> the others beside it, and its changed value
    "precision": ({}, "bf16"),
    "pooling": ({}, "cls"),
    "max_tokens": ({}, 4),
    "language_model_layers": ({}, 2),
    "lexical_dim": ({}, 2),
    "max_history": ({}, 2),
    "neighbours": ({}, 2),
    "cooccurrence": ({}, False),
    "lexical": ({}, False),
    **{f"adaptation.{name}": ({}, value) for name, value in ADAPTATION.items()},
    "adaptation.method": ({}, "full"),
    "adaptation.prefix_length": ({"adaptation.method": "prefix"}, 3),
    "adaptation.adapter_dim": ({"adaptation.method": "adapter"}, 8),
    "adaptation.mlm_learning_rate": ({"adaptation.mlm_steps": 2}, 0.01),
    "adaptation.mlm_share": ({"adaptation.mlm_steps": 2}, 0.5),
    **{f"training.{name}": ({}, value) for name, value in TRAINING.items()},
    "training.term_weight": ({"training.term_after": 0}, 1.0),
    "training.validation_users": ({}, 1000),
    "training.patience": (
        {"training.learning_rate": 1e-2, "training.epochs": 12, "training.patience": 1},
        11,
    ),
    "training.future_decay": ({"training.future_items": 3}, 1.0),
}
OF_MEMORY = {  # computes again what it does not keep: the same teacher, but for the last digits
    "adaptation.gradient_checkpointing": True,
    "training.block_checkpointing": True,
}
REFUSED = {
    "image_model": ("some/encoder", "the items have vectors in the column image"),
    "shard": (True, "this is one process"),
    "device": ("cuda", "torch sees no CUDA device here"),
}
OF_A_FILE = ("language_model", "adaptation.paraphrases")


def test_no_setting_is_forgotten() -> None:
    assert {*CHANGES, *OF_MEMORY, *REFUSED, *OF_A_FILE, "start_from"} == set(
        leaves(FinetuneSettings)
    )  # test_elsewhere has it


class Run:
    """Finetune with settings beside BASE; what was written, without the exported networks, which hold the weights again."""

    def __init__(self, folder: Path, language_model: Path) -> None:
        self.folder, self.language_model = folder, shutil.copytree(language_model, folder / "encoder")
        tokenizer = AutoTokenizer.from_pretrained(self.language_model)
        tokenizer.mask_token = "soft"  # the tiny tokenizer has none of its own
        tokenizer.save_pretrained(self.language_model)
        self.prepared = write_tiny_prepared(folder / "prepared", words=WORDS, images=tiny_images())
        self.outputs = (folder / f"teacher{number}" for number in itertools.count())

    def __call__(self, *changes: dict[str, Any]) -> dict[str, str]:
        output = next(self.outputs)
        settings = settings_with(FinetuneSettings, {"language_model": str(self.language_model)}, BASE, *changes)
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(stage, "write_bundle", lambda path, *_, **__: path.mkdir())
            stage.finetune(self.prepared, output, settings)
        return digests(output, "manifest.json")


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory, tiny_encoder: Path) -> Run:
    return Run(tmp_path_factory.mktemp("settings"), tiny_encoder)


@pytest.fixture(scope="module")
def plain(run: Run) -> dict[str, str]:
    """What BASE writes."""
    return run()


def test_the_same_settings_give_the_same_teacher(run: Run, plain: dict[str, str]) -> None:
    assert run() == plain


@pytest.mark.parametrize("setting", CHANGES)
def test_a_changed_setting_changes_the_teacher(run: Run, plain: dict[str, str], setting: str) -> None:
    beside, value = CHANGES[setting]
    assert run(beside, {setting: value}) != (run(beside) if beside else plain)


@pytest.mark.parametrize("setting", OF_MEMORY)
def test_a_setting_of_memory_computes_again(run: Run, setting: str, monkeypatch: pytest.MonkeyPatch) -> None:
    calls = noted_checkpoints(monkeypatch)
    run()
    assert not calls
    run({setting: OF_MEMORY[setting]})
    assert calls


@pytest.mark.parametrize("setting", REFUSED)
def test_a_setting_that_cannot_act_here_is_refused(run: Run, setting: str) -> None:
    value, message = REFUSED[setting]
    if setting == "device" and torch.cuda.is_available():
        pytest.skip("there is a CUDA device here")
    with pytest.raises(UserError, match=message):
        run({setting: value})


def test_files_that_settings_name_are_read(run: Run, plain: dict[str, str], tiny_decoder: Path, tmp_path: Path) -> None:
    paraphrases = tmp_path / "other-words.jsonl"
    paraphrases.write_text("".join(json.dumps({"item_id": f"i{n:03d}", "text": "soap"}) + "\n" for n in range(30)))
    assert plain != run({"adaptation.paraphrases": str(paraphrases)})
    assert plain != run({"language_model": str(tiny_decoder)})
