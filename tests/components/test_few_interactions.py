"""A shop without interactions, or with a few, from its tables to answers: everything works, and what cannot be judged has not passed."""

import json
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from helpers_language_model import WORDS

from longtail.components.deploy.deploy import deploy
from longtail.components.deploy.settings import DeploySettings
from longtail.components.distill.distill import distill
from longtail.components.distill.settings import DistillSettings
from longtail.components.evaluate.evaluate import evaluate
from longtail.components.evaluate.report import render_report
from longtail.components.evaluate.settings import EvaluateSettings
from longtail.components.evaluate.summary import segment_table
from longtail.components.finetune.finetune import finetune
from longtail.components.finetune.settings import FinetuneSettings
from longtail.components.preprocess.prepare import prepare
from longtail.components.preprocess.settings import PreprocessSettings
from longtail.components.refresh.refresh import refresh
from longtail.components.refresh.settings import RefreshSettings
from longtail.contracts.errors import UserError
from longtail.scoring.recommender import Recommender

pytestmark = pytest.mark.slow
N_ITEMS = 40


@pytest.fixture(scope="module", params=[0, 30, 300])
def shop(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory, tiny_encoder: Path
) -> dict[str, Any]:
    """Users who choose at random, five events each; the stages' results and the number of events."""
    folder, rng, count = tmp_path_factory.mktemp("few"), np.random.default_rng(0), request.param
    items = {
        "item_id": [f"i{n:02d}" for n in range(N_ITEMS)],
        "title": [" ".join(rng.choice(WORDS, 3)) for _ in range(N_ITEMS)],
    }
    pq.write_table(pa.table(items), folder / "items.parquet")
    events = [(f"u{n // 5}", items["item_id"][int(rng.integers(N_ITEMS))], 1_600_000_000 + n) for n in range(count)]
    table = dict(zip(("user_id", "item_id", "timestamp"), map(list, zip(*events)))) if events else {}
    if events:
        pq.write_table(pa.table(table), folder / "events.parquet")
    path = {name: folder / name for name in ("prepared", "teacher", "bundle", "evaluation", "served")}
    interactions = str(folder / "events.parquet") if events else None
    prepare(interactions, str(folder / "items.parquet"), None, path["prepared"], PreprocessSettings())
    training = {"dim": 16, "heads": 2, "epochs": 1}
    settings = FinetuneSettings.model_validate({"language_model": str(tiny_encoder), "training": training})
    finetune(path["prepared"], path["teacher"], settings)
    distill(path["prepared"], path["teacher"], path["bundle"], DistillSettings.model_validate({"training": training}))
    passed = evaluate(path["prepared"], path["teacher"], path["bundle"], path["evaluation"], EvaluateSettings())
    refresh(path["prepared"], path["teacher"], path["bundle"], path["served"], RefreshSettings())
    return path | {"events": count, "passed": passed}


def evaluation_of(shop: dict[str, Any]) -> dict[str, Any]:
    found: dict[str, Any] = json.loads((shop["evaluation"] / "evaluation.json").read_text())
    return found


def test_what_cannot_be_judged_has_not_passed(shop: dict[str, Any]) -> None:
    findings = evaluation_of(shop)["decision"]["findings"]
    assert not shop["passed"] and findings
    if shop["events"] < 300:  # no more than six test users
        assert {finding["verdict"] for finding in findings} == {"too few users"}


def test_nothing_is_trained_and_that_is_said(shop: dict[str, Any]) -> None:
    evaluation = evaluation_of(shop)
    users = shop["events"] // 5
    why = f"{users} validation users are fewer than finetune.training.validation_users 100"
    assert evaluation["not_trained"] == why
    assert f"Nothing was trained on these events, as {why}." in segment_table(evaluation)
    page = render_report(evaluation)
    assert why in page and ("There is no user to measure on." in page) == (users == 0)
    facts = Recommender.load(shop["bundle"]).bundle.facts
    assert not facts["has_dense_part"] and "counted_alone" not in facts


def test_without_test_users_the_summary_shows_no_empty_tables(shop: dict[str, Any]) -> None:
    shown = segment_table(evaluation_of(shop))
    if shop["events"]:
        assert "Segment of users" in shown
    else:
        assert "nothing could be measured" in shown and "Gate: FAILED" in shown
        assert (
            shown.count("All (0 users): nobody could be asked, so nothing is shown.") == 2
        )  # two rules, each said once
        assert "–" not in shown and "Segment of users" not in shown


def test_everybody_gets_an_answer(shop: dict[str, Any]) -> None:
    for served in ("bundle", "served"):
        recommender = Recommender.load(shop[served])
        titles = {item.item_id: item.title for item in recommender.recommend(k=N_ITEMS).items}
        asked = recommender.recommend(interests=titles["i03"], k=3)
        assert asked.items[0].item_id == "i03" and "i03" not in {
            i.item_id for i in recommender.recommend(history=["i03"]).items
        }
        after = recommender.recommend(history=["i03"], k=5)
        assert len(after.items) == 5
        assert all(item.reason.startswith(("because of", "fits your history")) for item in after.items)


def test_popular_is_said_only_of_what_somebody_chose(shop: dict[str, Any]) -> None:
    recommender = Recommender.load(shop["served"])
    counts = dict(zip(recommender.bundle.item_ids, recommender.bundle.train_counts.tolist()))
    for item in recommender.recommend(k=N_ITEMS).items:
        assert item.reason == ("popular with newcomers" if counts[item.item_id] else "nobody has chosen it yet")
    if not shop["events"]:
        assert not any(counts.values())


def test_what_nobody_could_judge_is_deployed_at_somebodys_word_alone(shop: dict[str, Any], tmp_path: Path) -> None:
    golden = json.loads((shop["evaluation"] / "golden.json").read_text())
    assert golden and all(user["expected"] for user in golden)
    if not shop["events"]:
        assert [user["history"] for user in golden] == [[], ["i00"], ["i01"], ["i02"], ["i03"]]
    given = (str(shop["bundle"]), str(shop["evaluation"]), str(tmp_path / "service"), DeploySettings())
    with pytest.raises(UserError, match="the gate did not pass"):
        deploy(*given)
    deploy(*given, override="the first week of a shop")
    assert json.loads((tmp_path / "service" / "smoke.json").read_text())["golden_users"] == len(golden)
