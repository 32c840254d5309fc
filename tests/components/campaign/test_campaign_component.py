"""The component plans on a run's own results, and writes what the command writes."""

import json
from pathlib import Path
from types import SimpleNamespace

import pandas as pd
import pytest
from helpers_command import command
from helpers_prepared import write_bundle_for
from markupsafe import escape

from longtail.components.campaign.component import campaign
from longtail.components.campaign.settings import CampaignSettings
from longtail.components.preprocess.prepare import prepare
from longtail.components.preprocess.settings import PreprocessSettings
from longtail.contracts.artifacts import CAMPAIGN, read_artifact
from longtail.contracts.prepared import PreparedDataset
from longtail.synthetic.shop import generate_shop, write_shop


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Prepared data of a small demo shop, a bundle of it, and consent of every second user."""
    folder = tmp_path_factory.mktemp("run")
    write_shop(generate_shop(users=600, items=120), folder)
    tables = (str(folder / f"{name}.parquet") for name in ("interactions", "items", "users"))
    prepare(*tables, folder / "prepared", PreprocessSettings())
    data = PreparedDataset(folder / "prepared")
    write_bundle_for(folder / "bundle", data, 0)
    consent = pd.DataFrame({"user_id": sorted(data.user_ids)[::2], "channel": "mail"})
    consent.to_csv(folder / "consent.csv", index=False)
    return folder


@pytest.mark.slow
def test_the_component_writes_what_the_command_writes(run: Path, capfd: pytest.CaptureFixture[str]) -> None:
    asked = {
        "offers": [{"name": "greeting", "channel": "mail", "cost": 0.1}],
        "budget": 10.0,
        "consent": str(run / "consent.csv"),
        "hold_out": {"least_effect": 0.2, "too_small": "say"},
    }
    settings = CampaignSettings.model_validate(asked)
    places = {name: SimpleNamespace(path=str(run / name)) for name in ("prepared", "bundle", "planned")}
    campaign.python_func(**places, settings=settings.canonical(), seed=3)
    (run / "campaign.yaml").write_text(json.dumps(asked))
    words = ["--settings", run / "campaign.yaml", "--prepared", run / "prepared", "--bundle", run / "bundle"]
    command(capfd, "campaign", "plan", *words, "--seed", 3, "--output", run / "by-command")
    ours, other = (pd.read_parquet(run / name / "campaign.parquet") for name in ("planned", "by-command"))
    pd.testing.assert_frame_equal(ours, other)
    contacted = ours[ours.arm == "contact"]
    assert 0 < len(contacted) <= 100
    assert set(contacted.user_id) <= set(pd.read_csv(run / "consent.csv").user_id)
    assert (contacted["items"].map(len) == 3).all()
    assert read_artifact(run / "planned", CAMPAIGN).facts["users"] == 600
    page = (run / "planned/report.html").read_text()
    assert f"Contact {len(contacted)} of 600 users" in page
    assert sum(str(escape(message)) in page for message in contacted.message) == 5  # the examples
