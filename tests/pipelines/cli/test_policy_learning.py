"""`longtail policy learn`: a better policy is written and told of, another is not and ends with 3, faults are one message."""

import json

import pytest
from helpers_command import command, is_one_message, refused
from helpers_policies import LIKED, shown_lists, tiny_bundle, write_log

from longtail.contracts.errors import GATE_EXIT_CODE
from longtail.pipelines.cli import main as cli
from longtail.scoring.bundle import load_bundle
from longtail.scoring.recommender import Recommender


@pytest.fixture(scope="module")
def given(tmp_path_factory):
    folder = tmp_path_factory.mktemp("policy")
    bundle = tiny_bundle(folder)
    return bundle, *write_log(shown_lists(bundle, 700, LIKED), folder)


def learn(given, output, *more):
    bundle, log, outcomes = given
    options = ("--bundle", bundle.path, "--log", log, "--outcomes", outcomes, "--output", output)
    return ("policy", "learn", *options, "--set", "folds=3", *more)


def test_a_better_policy_is_written(given, tmp_path, capfd):
    said = command(capfd, *learn(given, tmp_path / "new", "--method", "linucb"))
    assert "Learnt from 700 lists of 700 users; 100% of them were drawn by this bundle" in said
    assert f"Wrote {tmp_path / 'new'}" in said
    new = load_bundle(tmp_path / "new")
    value = new.facts["policy"]["value"]
    assert value["low"] > 0
    assert f"Difference {value['difference']:+.4f} (95% interval {value['low']:+.4f} to {value['high']:+.4f})" in said
    assert new.facts["policy"]["settings"]["folds"] == 3
    Recommender(new, threads=1).recommend(history=["i001"], k=3)


def test_one_that_is_not_shown_to_be_better_is_not_written(given, tmp_path, capfd):
    arguments = learn(given, tmp_path / "new", "--set", "least_effective_lists=701")
    with pytest.raises(SystemExit) as ended:
        cli.main([str(argument) for argument in arguments])
    assert ended.value.code == GATE_EXIT_CODE
    assert "Nothing was written: its value rests on" in capfd.readouterr().out
    assert not (tmp_path / "new").exists()


@pytest.mark.parametrize(
    ("more", "said"),
    [
        (("--set", "cap=3"), ("--set cap: acts with --method policy-gradient alone",)),
        (("--set", "cap"), ("--set cap: give KEY=VALUE",)),
        (("--set", "foldz=3"), ("foldz",)),
        (("--set", "window_hours=0"), ("window_hours",)),
        (("--set", "window_hours=0.001"), ("--outcomes", "nothing that users chose within 0.001 hours")),
    ],
)
def test_settings_that_cannot_act_are_refused(given, tmp_path, capfd, more, said):
    code, error = refused(capfd, *learn(given, tmp_path / "new", *more))
    assert code == 2
    assert is_one_message(error.splitlines(keepends=True)[-1], *said)
    assert not (tmp_path / "new").exists()


def test_a_question_that_is_none_names_its_line(given, tmp_path, capfd):
    bundle, log, outcomes = given
    lines = log.read_text().splitlines()
    broken = json.loads(lines[4])
    broken["instance"]["historie"] = ["i001"]
    (tmp_path / "log.jsonl").write_text("\n".join([*lines[:4], json.dumps(broken)]) + "\n")
    code, error = refused(capfd, *learn((bundle, tmp_path / "log.jsonl", outcomes), tmp_path / "new"))
    assert code == 2
    assert "log.jsonl, line 5: instance: has the unknown key 'historie'; known: " in error
