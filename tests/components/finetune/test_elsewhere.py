"""A teacher that starts from one of another catalogue: what moves, what does not, and what is refused."""

import json
from pathlib import Path
from typing import Any

import numpy as np
import onnxruntime
import pytest
from helpers_language_model import WORDS
from helpers_prepared import Event, leave_last_out, write_tiny_prepared
from helpers_settings import SMALL, settings_with
from safetensors.numpy import load_file

from longtail.components.distill.distill import distill
from longtail.components.distill.settings import DistillSettings
from longtail.components.evaluate.evaluate import evaluate
from longtail.components.evaluate.settings import EvaluateSettings
from longtail.components.finetune.elsewhere import ADAPTED
from longtail.components.finetune.finetune import finetune
from longtail.components.finetune.settings import FinetuneSettings
from longtail.components.refresh.refresh import refresh
from longtail.components.refresh.settings import RefreshSettings
from longtail.contracts.errors import UserError
from longtail.contracts.prepared import PreparedDataset
from longtail.scoring.bundle import load_bundle
from longtail.scoring.query import Query
from longtail.scoring.scorer import Scorer

pytestmark = pytest.mark.slow
BASE: dict[str, Any] = {
    "neighbours": 5,
    "lexical_dim": 4,
    "precision": "fp32",
    "adaptation.steps": 5,
    "adaptation.batch": 8,
    "adaptation.learning_rate": 0.05,
    **SMALL,
    "training.learning_rate": 0.02,
}


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory, tiny_encoder: Path) -> Path:
    """A source with 120 users, a target with other items and texts, five events and other attributes, and their teachers."""
    folder = tmp_path_factory.mktemp("elsewhere")
    write_tiny_prepared(folder / "source-data", words=WORDS, seed=1)
    few: list[list[Event]] = [leave_last_out([3, 1, 4]), leave_last_out([1, 5])]
    write_tiny_prepared(
        folder / "few-data", few, n_items=24, words=WORDS[::-1], user_attributes=["gender=F", "gender=M", "gender=X"]
    )
    write_tiny_prepared(folder / "none-data", [leave_last_out([3])], n_items=24, words=WORDS[::-1])
    write_tiny_prepared(folder / "much-data", n_items=25, words=WORDS[::-1], seed=2)
    language_model = {"language_model": str(tiny_encoder)}
    finetune(folder / "source-data", folder / "source", settings_with(FinetuneSettings, BASE, language_model))
    for name in ("few", "none", "much"):
        settings = started(folder, language_model)
        finetune(folder / f"{name}-data", folder / name, settings)
    return folder


def started(folder: Path, *more: dict[str, Any]) -> FinetuneSettings:
    return settings_with(FinetuneSettings, BASE, {"start_from": str(folder / "source")}, *more)


@pytest.mark.parametrize("name", ["few", "none"])
def test_items_lie_where_the_source_puts_their_texts(folder: Path, name: str) -> None:
    """Its own text encoder, asked by onnxruntime, and its own projection say where."""
    source, target = load_bundle(folder / "source" / "scorer"), load_bundle(folder / name / "scorer")
    vectors = Scorer(source).text_vectors(target.item_texts())
    placed = vectors @ source.tensors.text_projection
    expected = placed / np.linalg.norm(placed, axis=1, keepdims=True)
    assert target.tensors.item_matrix == pytest.approx(expected, abs=2e-3)
    assert len(np.unique(np.round(expected, 3), axis=0)) > 1
    frozen = vectors.shape[1] // 2
    assert (
        np.abs(vectors[:, :frozen] - vectors[:, frozen:]).max() > 0.01
    )  # so that it was the adapted layers that moved


def test_the_encoder_and_attributes_of_the_same_name_move(folder: Path) -> None:
    source, few = (load_file(folder / name / "model.safetensors") for name in ("source", "few"))
    for name, value in source.items():
        if name.startswith("encoder.") or name == "start":
            assert np.array_equal(few[name], value)
    there, here = source["attributes.weight"], few["attributes.weight"]  # gender=F, gender=M; here gender=X beside them
    assert np.array_equal(here[:2], there) and np.abs(there).max() > 0
    assert not here[2].any()
    assert not few["ids.weight"].any()


def test_what_validation_chose_there_is_taken_here(folder: Path) -> None:
    source, few = (load_bundle(folder / name / "scorer") for name in ("source", "few"))
    assert few.facts["sparse_term"] == source.facts["sparse_term"]
    assert few.facts["has_dense_part"]
    for name in ("dense_weight", "neighbour_weight", "popularity_weight"):
        assert np.array_equal(getattr(few.tensors, name), getattr(source.tensors, name))


def test_the_student_is_the_teacher_and_answers_by_what_was_learnt_elsewhere(folder: Path) -> None:
    settings = settings_with(DistillSettings, {"precision": "fp32", **SMALL, "training.blocks": 1})
    distill(folder / "few-data", folder / "few", folder / "few-bundle", settings)
    teacher, student = (Scorer(load_bundle(folder / name)) for name in ("few/scorer", "few-bundle"))
    asked = [Query(np.array(history, np.int32)) for history in ([], [2], [2, 9])]
    assert student.score(asked) == pytest.approx(teacher.score(asked), abs=1e-4)
    evaluate(folder / "few-data", folder / "few", folder / "few-bundle", folder / "evaluation", EvaluateSettings())
    evaluation = json.loads((folder / "evaluation" / "evaluation.json").read_text())
    assert "2 validation users are fewer" in evaluation["not_trained"]
    assert evaluation["dense_part"]["all"]["users"] == 2
    with pytest.raises(UserError, match=r"the teacher started from another one .*; take refresh.mode refresh"):
        refresh(
            folder / "few-data", folder / "few", folder / "few-bundle", folder / "x", RefreshSettings(mode="retrain")
        )


def test_with_events_enough_it_learns_on(folder: Path) -> None:
    source, much = (load_file(folder / name / "model.safetensors") for name in ("source", "much"))
    changed = {
        name for name, value in source.items() if name.startswith("encoder.") and not np.array_equal(much[name], value)
    }
    assert changed and much["ids.weight"].any()
    layers = [load_file(folder / name / ADAPTED) for name in ("source", "much", "few")]
    assert any(not np.array_equal(layers[0][name], layers[1][name]) for name in layers[0])
    assert all(np.array_equal(layers[0][name], layers[2][name]) for name in layers[0])


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        (
            {"training.dim": 24},
            "was trained with finetune.training.dim 16, and here it is 24; set finetune.training.dim to that",
        ),
        ({"max_history": 7}, "finetune.max_history 50, and here it is 7"),
        ({"adaptation.method": "full"}, "finetune.adaptation.method 'lora', and here it is 'full'"),
        ({"start_from": "no/such/teacher"}, "no/such/teacher: no such folder"),
    ],
)
def test_what_does_not_fit_is_refused(
    folder: Path, tiny_encoder: Path, tmp_path: Path, changes: dict[str, Any], message: str
) -> None:
    settings = started(folder, {"language_model": str(tiny_encoder)}, changes)
    with pytest.raises(UserError, match=message):
        finetune(folder / "few-data", tmp_path / "teacher", settings)
    assert not (tmp_path / "teacher").exists()


def test_a_prefix_cannot_be_taken_over(folder: Path, tiny_encoder: Path, tmp_path: Path) -> None:
    prefix = {"adaptation.method": "prefix", "language_model": str(tiny_encoder)}
    finetune(folder / "source-data", tmp_path / "source", settings_with(FinetuneSettings, BASE, prefix))
    assert not (tmp_path / "source" / ADAPTED).exists()
    with pytest.raises(
        UserError, match=r"what adaptation.method 'prefix' puts into the language model cannot be taken over"
    ):
        finetune(
            folder / "few-data", tmp_path / "teacher", started(folder, prefix, {"start_from": str(tmp_path / "source")})
        )


def test_without_an_adapted_language_model_the_rest_moves(folder: Path, tiny_encoder: Path, tmp_path: Path) -> None:
    frozen = {
        "adaptation": {"method": "frozen"},
        "language_model": str(tiny_encoder),
        "lexical_dim": 0,
        "precision": "fp32",
        **SMALL,
    }
    finetune(folder / "source-data", tmp_path / "source", settings_with(FinetuneSettings, frozen))
    finetune(
        folder / "few-data",
        tmp_path / "few",
        settings_with(FinetuneSettings, frozen, {"start_from": str(tmp_path / "source")}),
    )
    source, few = (load_file(tmp_path / name / "model.safetensors") for name in ("source", "few"))
    assert np.array_equal(few["project.weight"], source["project.weight"])
    assert len(PreparedDataset(folder / "few-data").item_ids) == len(few["ids.weight"])
    assert onnxruntime.InferenceSession(str(tmp_path / "few" / "scorer" / "text_encoder.onnx")) is not None
