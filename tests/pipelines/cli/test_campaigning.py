"""`longtail campaign plan | measure`, from tables to the next log."""

import numpy as np
import pandas as pd
import pyarrow.parquet as pq
import pytest
import yaml
from helpers_campaign import DAY, lists, settings, tables

from longtail.pipelines.cli.main import main


@pytest.mark.slow
def test_a_plan_and_its_measurement(tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    lists(tmp_path / "lists", tables(tmp_path))
    (tmp_path / "campaign.yaml").write_text(yaml.safe_dump(settings()))
    where = [
        "--interactions",
        "interactions.parquet",
        "--users",
        "users.csv",
        "--consent",
        "consent.csv",
        "--lists",
        "lists",
    ]
    asked = ["campaign", "plan", "--settings", "campaign.yaml", *where, "--output", "spring"]
    with pytest.raises(SystemExit) as ended:
        main([*asked, "--set", "budget=60", "--at", "2024-12-01T10:00"])
    assert ended.value.code == 0
    said = capsys.readouterr().out
    assert "of a budget of 60.00" in said and "what a contact changes is unknown" in said and "Highs" not in said
    table = pq.read_table("spring/campaign.parquet").to_pandas()
    drawn = table[table["arm"] != "left"]
    assert (drawn["send_at"] == pd.Timestamp("2024-12-01T10:00Z").value // 1000).all()
    came = np.random.default_rng(0).random(len(drawn)) < 0.3 + 0.3 * (drawn["arm"] == "contact")
    outcomes = pd.DataFrame({"user_id": drawn["user_id"], "time": drawn["send_at"] // 1_000_000 + DAY})[came]
    outcomes.to_csv("outcomes.csv", index=False)
    with pytest.raises(SystemExit) as ended:
        main(["campaign", "measure", "--campaign", "spring", "--outcomes", "outcomes.csv", "--output", "measured"])
    assert ended.value.code == 0
    assert "effect on the outcome: +0." in capsys.readouterr().out
    held = set(table.loc[table["arm"] == "hold-out", "user_id"])
    outcomes = pd.DataFrame({"user_id": drawn["user_id"], "outcome": came.astype(int)})
    outcomes[~(outcomes["user_id"].isin(held) & (np.arange(len(outcomes)) % 3 == 0))].to_csv("lost.csv", index=False)
    with pytest.raises(SystemExit) as ended:
        main(["campaign", "measure", "--campaign", "spring", "--outcomes", "lost.csv", "--output", "lost"])
    assert ended.value.code == 3
    assert "no verdict: the sample ratio" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("words", "said"),
    [
        ([], "give --lists or --bundle"),
        (["--lists", "l", "--bundle", "b"], "give --lists or --bundle"),
        (["--lists", "l", "--at", "soon"], "--at soon: is no time"),
        (["--lists", "l", "--prepared", "p", "--users", "users.csv"], "such folder|without --interactions"),
        (["--lists", "l", "--set", "price=price"], "lists hold no prices"),
        (["--lists", "l", "--set", "budget=0.01"], "below the cost of one contact"),
        (["--lists", "l", "--set", "offers=[]"], "there are none"),
    ],
)
def test_what_cannot_be_asked_is_said_in_one_line(tmp_path, monkeypatch, capsys, words, said):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "campaign.yaml").write_text(yaml.safe_dump(settings(consent="consent.csv")))
    pd.DataFrame({"user_id": ["a"]}).to_csv("users.csv", index=False)
    users = [] if "--users" in words else ["--users", "users.csv"]
    with pytest.raises(SystemExit) as ended:
        main(["campaign", "plan", "--settings", "campaign.yaml", "--output", "out", *users, *words])
    assert ended.value.code == 2
    message = capsys.readouterr().err
    assert message.startswith("error: ") and any(part in message for part in said.split("|")), message
    assert not (tmp_path / "out").exists()
