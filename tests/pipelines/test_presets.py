"""Each settings file of configs/ goes all the way on data of its kind."""

from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from helpers_language_model import WORDS

from longtail.components.distill.distill import distill
from longtail.components.evaluate.evaluate import evaluate
from longtail.components.finetune.finetune import finetune
from longtail.components.preprocess.prepare import prepare
from longtail.contracts.decision import load_decision
from longtail.contracts.prepared import PreparedDataset
from longtail.pipelines.run_settings import RunSettings, load_settings
from longtail.scoring.recommender import Recommender

CONFIGS = Path(__file__).parents[2] / "configs"
DAY = 86_400
KINDS = {  # events in the order in which users go on, and how many items they meet
    "shop": (["view", "cart", "purchase"], 60),
    "content": (["view", "read", "like"], 60),
    "courses": (["enroll", "start", "complete"], 25),
    "social": (["follow", "like", "comment"], 40),
    "small": (["view", "click", "purchase"], 40),
}
SHARED = Path(__file__).parents[2].parent / "shared" / "datasets"


def test_every_preset_is_tested() -> None:
    assert {path.stem for path in CONFIGS.glob("*.yaml")} == set(KINDS)
    assert all(path.read_text().startswith("# ") for path in CONFIGS.glob("*.yaml"))  # says whom it is for


def settings_of(preset: str, tiny_encoder: Path) -> RunSettings:
    small = ["dim=16", "heads=2", "epoch_steps=1"]
    taught = [] if preset == "small" else ["finetune.training.epochs=2"]
    return load_settings(
        CONFIGS / f"{preset}.yaml",
        [
            *(f"{stage}.training.{one}" for stage in ("finetune", "distill") for one in small),
            *taught,
            "distill.training.epochs=1",
            f"finetune.language_model={tiny_encoder}",
            *([] if preset == "small" else ["finetune.adaptation.steps=2", "finetune.adaptation.batch=8"]),
        ],
    )


@pytest.mark.slow
@pytest.mark.parametrize("preset", KINDS)
def test_it_goes_all_the_way(preset: str, tiny_encoder: Path, tmp_path: Path) -> None:
    """Users who come over a year, each for a while: one to six items, an event of each kind or of the first alone."""
    kinds, n_items = KINDS[preset]
    rng, rows = np.random.default_rng(0), []
    for user in range(1500):
        time = 1_600_000_000 + int(rng.integers(365)) * DAY
        for item in rng.choice(n_items, int(rng.integers(1, 7)), replace=False).tolist():
            for kind in kinds[: int(rng.integers(1, 4))]:
                time += int(rng.integers(1, DAY))
                rows.append((f"u{user}", f"i{item}", time, kind))
    names = ("user_id", "item_id", "timestamp", "event")
    pq.write_table(pa.table(dict(zip(names, map(list, zip(*rows))))), tmp_path / "events.parquet")
    titles = [" ".join(rng.choice(WORDS, 3)) for _ in range(n_items)]
    pq.write_table(
        pa.table({"item_id": [f"i{n}" for n in range(n_items)], "title": titles}), tmp_path / "items.parquet"
    )
    settings = settings_of(preset, tiny_encoder)
    path = {name: tmp_path / name for name in ("prepared", "teacher", "bundle", "evaluation")}
    prepare(
        str(tmp_path / "events.parquet"), str(tmp_path / "items.parquet"), None, path["prepared"], settings.preprocess
    )
    data = PreparedDataset(path["prepared"])
    assert data.facts["rejected"] == {}
    assert data.by_clock == (settings.preprocess.split == "global_time")
    finetune(path["prepared"], path["teacher"], settings.finetune)
    distill(path["prepared"], path["teacher"], path["bundle"], settings.distill)
    evaluate(path["prepared"], path["teacher"], path["bundle"], path["evaluation"], settings.evaluate)
    assert load_decision(path["evaluation"]).findings
    recommender = Recommender.load(path["bundle"])
    assert recommender.bundle.facts["has_dense_part"] == (preset != "small")
    assert len(recommender.recommend(history=["i3"], k=5).items) == 5


@pytest.mark.parametrize(("preset", "dataset"), [("content", "movietweetings-100k"), ("shop", "rent-the-runway")])
def test_it_reads_real_data_of_its_kind(preset: str, dataset: str, tmp_path: Path) -> None:
    folder = SHARED / dataset
    if not folder.is_dir():
        pytest.skip(f"{folder} is not here")
    settings = load_settings(CONFIGS / f"{preset}.yaml").preprocess
    prepare(str(folder / "interactions.parquet"), str(folder / "items.parquet"), None, tmp_path / "prepared", settings)
    counts = PreparedDataset(tmp_path / "prepared").facts["counts"]
    assert min(counts["train"], counts["validation"], counts["test"]) > 9_000
