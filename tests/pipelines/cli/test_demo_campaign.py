"""The demo's last screen: the campaign of its run, as it lies in its folder, and a simulation."""

import json
from pathlib import Path

import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from helpers_campaign_page import facts, plan

from longtail.contracts.artifacts import CAMPAIGN, write_artifact
from longtail.pipelines.cli import demo_campaign
from longtail.pipelines.cli.demo_campaign import campaign_asked, show_campaign, write_consent
from longtail.pipelines.run_settings import load_settings


class Prepared:
    """As much of a Prepared data set as the screen reads."""

    item_ids = ("i1", "i2", "i3")
    titles = ("Tea Cup", None, "Lamp")


def test_the_demo_asks_for_a_campaign_that_may_be_planned(tmp_path: Path) -> None:
    campaign = load_settings(None, campaign_asked(tmp_path / "a b: c.csv")).campaign
    assert campaign.asked
    assert campaign.consent == str(tmp_path / "a b: c.csv")
    assert not load_settings(None).campaign.asked


def test_all_users_of_the_demo_shop_agree_to_mail(tmp_path: Path) -> None:
    pq.write_table(pa.table({"user_id": ["007", "u2"], "age": [1, 2]}), tmp_path / "users.parquet")
    write_consent(tmp_path / "users.parquet", tmp_path / "consent.csv")
    found = pd.read_csv(tmp_path / "consent.csv", dtype=str)
    assert found.to_dict("list") == {"user_id": ["007", "u2"], "channel": ["mail", "mail"]}


def test_the_screen_shows_whom_with_what_the_hold_out_and_the_simulation(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(demo_campaign, "_simulated", lambda: "THE TABLE")
    told = facts(
        users=8, arms={"contact": 4, "left": 3}, contacts_by={"action": {"greeting": 4}}, left_out={}, rewriting=None
    )
    with write_artifact(tmp_path / "results/campaign", CAMPAIGN, {}) as folder:
        plan().to_parquet(folder / "campaign.parquet")
        (folder / "plan.json").write_text(json.dumps(told))
    show_campaign(tmp_path, Prepared())  # type: ignore[arg-type]
    shown = capsys.readouterr().out
    assert "4 to contact, 1 held out, 3 left alone; costs 2.00 of a budget of 2.50" in shown
    assert "u2 (tail, at risk): i2\n      why the first: because of i2" in shown
    assert "u1 (tail, at risk): Tea Cup; i2" in shown
    assert "THE TABLE" in shown


def test_without_a_campaign_the_screen_says_why(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "results").mkdir()
    show_campaign(tmp_path, Prepared())  # type: ignore[arg-type]
    assert "No campaign is planned: the gate did not pass." in capsys.readouterr().out
