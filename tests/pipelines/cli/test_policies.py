import json

import numpy as np
import pandas as pd
import pytest
from helpers_command import command, is_one_message, refused

LOG, NEW, CHANCE = np.array([0.5, 0.3, 0.2]), np.array([0.2, 0.2, 0.6]), np.array([0.1, 0.2, 0.5])
TRUTH = float(NEW @ CHANCE)


@pytest.fixture
def tables(tmp_path):
    rng = np.random.default_rng(0)
    action = rng.choice(3, 3000, p=LOG)
    clicks = (rng.random(3000) < CHANCE[action]).astype(int)
    names = np.array(["x", "y", "z"])
    log = pd.DataFrame({"item_id": names[action], "position": 1, "click": clicks, "propensity_score": LOG[action]})
    log.to_parquet(tmp_path / "log.parquet")
    pd.DataFrame({"item_id": names, "probability": NEW}).to_csv(tmp_path / "policy.csv", index=False)
    return tmp_path


def test_a_table_of_estimators_and_the_same_as_json(tables, capfd):
    options = ("--log", tables / "log.parquet", "--policy", tables / "policy.csv", "--output", tables / "value.json")
    printed = command(capfd, "policy", "evaluate", *options)
    assert [line.split()[0] for line in printed.splitlines()[2:8]] == ["ips", "snips", "dm", "dr", "switch-dr", "dros"]
    assert printed.splitlines()[8].startswith("gain over the log ") and printed.rstrip().endswith(
        "by dr, paired: better"
    )
    found = json.loads((tables / "value.json").read_text())
    for estimate in found["estimates"]:
        assert estimate["low"] < TRUTH < estimate["high"]
        assert f"{estimate['value']:.5f}" in printed
    assert found["logged"]["value"] == pytest.approx(LOG @ CHANCE, abs=0.03)
    assert found["gain_over_log"]["low"] < TRUTH - LOG @ CHANCE < found["gain_over_log"]["high"]
    assert found["warnings"] == []
    assert command(capfd, "policy", "evaluate", *options) == printed  # the same again


def test_clipping_and_doubts_are_printed(tables, capfd):
    pd.DataFrame({"item_id": ["z", "new"], "probability": [0.5, 0.5]}).to_csv(tables / "policy.csv", index=False)
    options = ("--log", tables / "log.parquet", "--policy", tables / "policy.csv", "--clip", 1.5)
    printed = command(capfd, "policy", "evaluate", *options)
    assert "! 50.0% of what the policy would do was never done in the log" in printed
    assert "! the mean weight is 0.5" in printed
    share = float(next(line for line in printed.splitlines() if line.startswith("ips")).split()[-1].rstrip("%"))
    assert share == pytest.approx(20, abs=3)  # of the rounds showed z, at a weight of .5 / .2


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (("--column", "reward"), "--column reward: is no ROLE=NAME"),
        (("--column", "reward=sales"), "has no column sales (for reward)"),
        (("--policy", "nowhere.csv"), "nowhere.csv: no such file"),
        (("--confidence", "1"), "--confidence 1: must be from 0.5 to below 1"),
        (("--context", "age"), "no column is called age"),
        (("--output", "/nowhere/at/all.json"), "--output /nowhere/at/all.json: cannot be written"),
    ],
)
def test_faults_are_one_message(tables, capfd, options, message):
    code, error = refused(capfd, "policy", "evaluate", "--log", tables / "log.parquet", *options)
    assert code == 2 and is_one_message(error, message)


def test_a_bad_log_leaves_no_file(tables, capfd):
    log = pd.read_parquet(tables / "log.parquet")
    log.loc[7, "propensity_score"] = 0
    log.to_parquet(tables / "log.parquet")
    code, error = refused(
        capfd, "policy", "evaluate", "--log", tables / "log.parquet", "--output", tables / "value.json"
    )
    assert code == 2 and is_one_message(error, "row 7, column propensity_score: 0.0 must be above 0")
    assert not (tables / "value.json").exists()


def test_kept_answers_are_judged_list_by_list(tables, capfd):
    rng = np.random.default_rng(1)
    lines = []
    for number in range(300):
        code = int(rng.choice(3, p=LOG))
        item = {"item_id": "xyz"[code], "propensity": LOG[code], "reward": int(rng.random() < CHANCE[code])}
        lines.append(json.dumps({"user_id": number, "prediction": {"items": [item]}}) + "\n")
    (tables / "answers.jsonl").write_text("".join(lines))
    options = ("--log", tables / "answers.jsonl", "--policy", tables / "policy.csv")
    printed = command(capfd, "policy", "evaluate", *options)
    assert [line.split()[0] for line in printed.splitlines()[2:5]] == ["standard", "reward-interaction", "cascade-dr"]
    assert "reward of a list" in printed
    code, error = refused(capfd, "policy", "evaluate", *options, "--context", "age")
    assert code == 2 and is_one_message(error, "do nothing for a log of the server's answers")
