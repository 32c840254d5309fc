"""Context from the events to the golden answers: what is chosen depends on the occasion, and on nothing else."""

import json
from pathlib import Path

import numpy as np
import pytest
from helpers_prepared import write_tiny_prepared

from longtail.components.distill.distill import distill
from longtail.components.distill.settings import DistillSettings
from longtail.components.evaluate.evaluate import evaluate
from longtail.components.evaluate.settings import EvaluateSettings
from longtail.components.finetune.finetune import finetune
from longtail.components.finetune.settings import FinetuneSettings
from longtail.components.refresh.refresh import refresh
from longtail.components.refresh.settings import RefreshSettings
from longtail.contracts.prepared import Split
from longtail.scoring.recommender import Recommender

pytestmark = pytest.mark.slow
DAY = 86_400_000_000
SMALL = {"dim": 16, "heads": 2, "epochs": 1, "batch_positions": 64, "epoch_steps": 1}
OCCASIONS = {"occasion=party": range(10), "occasion=work": range(10, 20)}


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory, tiny_encoder: Path) -> Path:
    """600 users who come once each, for a party or for work, and choose among ten items; the last 200 validate and test."""
    folder, rng = tmp_path_factory.mktemp("run"), np.random.default_rng(0)
    occasions = [list(OCCASIONS)[int(rng.integers(2))] for _ in range(600)]
    users = [
        [(int(rng.choice(OCCASIONS[occasion])), number * DAY, Split((number >= 400) + (number >= 500)))]
        for number, occasion in enumerate(occasions)
    ]
    clock = {"protocol": "global_time", "split": {"rule": "global_time"}}
    write_tiny_prepared(folder / "prepared", users, n_items=20, contexts=[[name] for name in occasions], **clock)
    teaching = FinetuneSettings.model_validate(
        {"language_model": str(tiny_encoder), "adaptation": {"method": "frozen"}, "training": SMALL}
    )
    finetune(folder / "prepared", folder / "teacher", teaching)
    distill(
        folder / "prepared", folder / "teacher", folder / "bundle", DistillSettings.model_validate({"training": SMALL})
    )
    evaluate(folder / "prepared", folder / "teacher", folder / "bundle", folder / "evaluation", EvaluateSettings())
    return folder


def test_newcomers_are_asked_for_the_occasion(run: Path) -> None:
    recommender = Recommender.load(run / "bundle")
    assert recommender.bundle.facts["trait_columns"]["occasion"] > 0
    for occasion, items in OCCASIONS.items():
        found = recommender.recommend(context=[occasion], k=5).items
        assert {item.item_id for item in found} < {f"i{item:03d}" for item in items}
        assert {item.reason for item in found} == {f"often chosen with {occasion}"}


def test_the_evaluation_asks_with_context_and_says_what_it_is_worth(run: Path) -> None:
    found = json.loads((run / "evaluation" / "evaluation.json").read_text())
    student, popular = (found["systems"][name]["cold"]["ndcg@10"] for name in ("student", "popularity"))
    assert student > 1.3 * popular
    worth = {entry["column"]: entry["verdict"] for entry in found["attributes"] if entry["group"] == "cold"}
    assert worth["occasion"] == "helps"
    golden = json.loads((run / "evaluation" / "golden.json").read_text())
    assert all(user["context"][0] in OCCASIONS for user in golden)


def test_a_refresh_counts_context_again(run: Path) -> None:
    refresh(run / "prepared", run / "teacher", run / "bundle", run / "fresh", RefreshSettings())
    before, after = (Recommender.load(run / name).bundle.tensors for name in ("bundle", "fresh"))
    assert after.traits.sum() != before.traits.sum()
