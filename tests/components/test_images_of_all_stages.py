"""Pictures from the items table to an answer: what nothing but a picture tells is learnt, and items without one are served, too."""

from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from PIL import Image
from safetensors.numpy import load_file
from transformers import ViTConfig, ViTImageProcessor, ViTModel

from longtail.components.distill.distill import distill
from longtail.components.distill.settings import DistillSettings
from longtail.components.evaluate.evaluate import evaluate
from longtail.components.evaluate.settings import EvaluateSettings
from longtail.components.finetune.finetune import finetune
from longtail.components.finetune.settings import FinetuneSettings
from longtail.components.preprocess.prepare import prepare
from longtail.components.preprocess.settings import PreprocessSettings
from longtail.components.refresh.refresh import refresh
from longtail.components.refresh.settings import RefreshSettings
from longtail.contracts.artifacts import TEACHER, read_artifact
from longtail.scoring.recommender import Recommender

pytestmark = pytest.mark.slow
KINDS, ITEMS = 4, 40
TRAINING = {"dim": 16, "heads": 2, "epochs": 6, "batch_positions": 64, "epoch_steps": 20, "dropout": 0.1}
NEVER_CHOSEN = range(36, 40)  # one of each kind, and of each kind's look
BLANK = 5  # has no picture


def tables(folder: Path) -> tuple[str, str]:
    """Users who each choose items of one kind. An item's kind is seen, not read: all texts are alike."""
    rng = np.random.default_rng(0)
    looks = rng.normal(size=(KINDS, 8))
    items = [
        {
            "item_id": f"i{item:02d}",
            "title": "soap",
            "image": None if item == BLANK else (looks[item % KINDS] + 0.1 * rng.normal(size=8)).tolist(),
        }
        for item in range(ITEMS)
    ]
    events = [
        {"user_id": f"u{user}", "item_id": f"i{item:02d}", "timestamp": 1_600_000_000 + place}
        for user in range(120)
        for place, item in enumerate(rng.permutation(range(user % KINDS, 36, KINDS))[:6])
    ]
    for name, rows in (("items", items), ("interactions", events)):
        pq.write_table(pa.Table.from_pylist(rows), folder / f"{name}.parquet")
    return str(folder / "interactions.parquet"), str(folder / "items.parquet")


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory, tiny_encoder: Path) -> Path:
    folder = tmp_path_factory.mktemp("run")
    prepare(*tables(folder), None, folder / "prepared", PreprocessSettings(memory_limit_gb=0.5))
    teaching = FinetuneSettings.model_validate(
        {
            "language_model": str(tiny_encoder),
            "adaptation": {"method": "frozen"},
            "training": TRAINING | {"learning_rate": 0.01},
        }
    )
    finetune(folder / "prepared", folder / "teacher", teaching)
    student = DistillSettings.model_validate({"training": TRAINING | {"learning_rate": 0.003}})
    distill(folder / "prepared", folder / "teacher", folder / "bundle", student)
    evaluate(folder / "prepared", folder / "teacher", folder / "bundle", folder / "evaluation", EvaluateSettings())
    return folder


def test_the_teacher_says_how_wide_pictures_are(run: Path) -> None:
    artifact = read_artifact(run / "teacher", TEACHER)
    assert artifact.facts["image_dim"] == 8
    width = artifact.facts["text_dim"]
    pictures = load_file(artifact.file("text_vectors.safetensors"))["features"][:, width : width + 8]
    assert not pictures[BLANK].any()
    np.testing.assert_allclose(np.linalg.norm(np.delete(pictures, BLANK, axis=0), axis=1), 1, rtol=1e-5)


def test_an_item_that_nobody_chose_is_known_by_its_look(run: Path) -> None:
    """Its vector is most like those of its own kind, though its text is like all others."""
    matrix = np.asarray(Recommender.load(run / "bundle").bundle.tensors.item_matrix, np.float32)
    for item in NEVER_CHOSEN:
        likeness = [
            np.mean([matrix[item] @ matrix[other] for other in range(kind, 36, KINDS) if other != BLANK])
            for kind in range(KINDS)
        ]
        assert int(np.argmax(likeness)) == item % KINDS


def test_an_item_without_a_picture_is_recommended(run: Path) -> None:
    found = Recommender.load(run / "bundle").recommend(history=["i01", "i09", "i13"], k=6).items
    assert f"i{BLANK:02d}" in {item.item_id for item in found}


def test_a_retrain_reads_the_same_pictures(run: Path) -> None:
    settings = RefreshSettings.model_validate({"mode": "retrain"})
    refresh(run / "prepared", run / "teacher", run / "bundle", run / "fresh", settings)
    assert Recommender.load(run / "fresh").recommend(history=["i01"], k=3).items


def test_pictures_by_their_addresses(tmp_path: Path, tiny_encoder: Path) -> None:
    folder = tmp_path / "vit"
    tiny = {"hidden_size": 16, "num_hidden_layers": 1, "num_attention_heads": 2, "intermediate_size": 16}
    ViTModel(ViTConfig(image_size=32, patch_size=16, **tiny)).save_pretrained(folder)
    ViTImageProcessor(size={"height": 32, "width": 32}).save_pretrained(folder)
    interactions, items = tables(tmp_path)
    rows = pq.read_table(items).to_pylist()
    for number, row in enumerate(rows):
        row["image"] = f"pictures/{row['item_id']}.png"
        (tmp_path / "pictures").mkdir(exist_ok=True)
        Image.new("RGB", (20, 20), (number * 6, 100, 255 - number * 6)).save(tmp_path / row["image"])
    pq.write_table(pa.Table.from_pylist(rows), items)
    prepare(interactions, items, None, tmp_path / "prepared", PreprocessSettings(memory_limit_gb=0.5))
    settings = FinetuneSettings.model_validate(
        {
            "language_model": str(tiny_encoder),
            "image_model": str(folder),
            "adaptation": {"method": "frozen"},
            "training": TRAINING | {"epochs": 1, "epoch_steps": 1},
        }
    )
    finetune(tmp_path / "prepared", tmp_path / "teacher", settings)
    assert read_artifact(tmp_path / "teacher", TEACHER).facts["image_dim"] == 16
