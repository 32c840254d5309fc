import json
import subprocess
import sys

import pytest
from helpers_hand_bundle import write_hand_bundle
from helpers_prepared import write_tiny_prepared

from longtail.contracts.prepared import PreparedDataset
from longtail.pipelines.cli import main as cli

COMMANDS = [
    "run",
    "compile",
    "submit",
    "serve",
    "recommend",
    "report",
    "demo-data",
    "demo",
    "preprocess",
    "finetune",
    "distill",
    "evaluate",
    "deploy",
]
HEAVY = ("numpy", "torch", "kfp", "kserve", "pyarrow", "transformers")


def command(capfd, *arguments):
    """What a successful command printed."""
    with pytest.raises(SystemExit) as ended:
        cli.main([str(argument) for argument in arguments])
    shown = capfd.readouterr()
    assert ended.value.code == 0, shown.err
    return shown.out


def test_help_lists_every_command_and_loads_nothing_heavy():
    script = (
        "import sys\nfrom longtail.pipelines.cli.main import main\n"
        "try:\n    main(['--help'])\nexcept SystemExit:\n    print('heavy:', [m for m in sys.argv[1:] if m in sys.modules])"
    )
    shown = subprocess.run([sys.executable, "-c", script, *HEAVY], capture_output=True, text=True, check=True).stdout
    for name in COMMANDS:
        assert f"  {name} " in shown
    assert shown.endswith("heavy: []\n")


@pytest.mark.parametrize("name", COMMANDS)
def test_every_option_is_explained(capfd, name):
    from typer.main import get_command

    shown = command(capfd, name, "--help")
    for parameter in get_command(cli.app).commands[name].params:
        assert parameter.help, f"{name} {parameter.name}"
        assert parameter.opts[0] in shown


def test_recommend_for_a_history(tmp_path, capfd):
    bundle = write_hand_bundle(tmp_path / "bundle")
    shown = command(capfd, "recommend", "--bundle", bundle, "--history", "a", "-k", "2")
    assert shown.splitlines()[0] == "History: Red lamp"
    assert "1. Blue lamp" in shown
    assert "because of Red lamp in your history" in shown


def test_recommend_json_is_what_the_scorer_says(tmp_path, capfd):
    from longtail.scoring.recommender import Recommender

    bundle = write_hand_bundle(tmp_path / "bundle")
    answers = json.loads(
        command(capfd, "recommend", "--bundle", bundle, "--attribute", "gender=F", "-k", "3", "--json")
    )
    expected = Recommender.load(bundle).recommend(attributes=["gender=F"], k=3).items
    assert [answer["item_id"] for answer in answers] == [each.item_id for each in expected]
    assert [answer["score"] for answer in answers] == pytest.approx([each.score for each in expected])


def test_recommend_takes_interests_and_nothing_at_all(tmp_path, capfd):
    bundle = write_hand_bundle(tmp_path / "bundle")
    assert "matches your interest in red" in command(
        capfd, "recommend", "--bundle", bundle, "--interests", "red", "-k", 1
    )
    assert "popular with newcomers" in command(capfd, "recommend", "--bundle", bundle, "-k", 1)


def test_recommend_knows_the_whole_history_of_a_user(tmp_path, capfd):
    from helpers_bundle import write_tiny_bundle

    prepared = PreparedDataset(write_tiny_prepared(tmp_path / "run/prepared"))
    write_tiny_bundle(tmp_path / "run/bundle", item_ids=prepared.item_ids)
    user = 3
    history = [prepared.item_ids[item] for item in prepared.item_codes[prepared.user_codes == user]]
    by_user = command(
        capfd, "recommend", "--run", tmp_path / "run", "--user", prepared.user_ids[user], "-k", "5", "--json"
    )
    attributes = [part for name in prepared.user_attributes[user] for part in ("--attribute", name)]
    by_history = command(
        capfd, "recommend", "--bundle", tmp_path / "run/bundle", "--history", ",".join(history), *attributes, "-k", "5",
        "--json",
    )  # fmt: skip
    assert json.loads(by_user) == json.loads(by_history)
    assert len(json.loads(by_user)) == 5


def test_demo_data_is_reproducible(tmp_path, capfd):
    for name in ("first", "second"):
        shown = command(capfd, "demo-data", "--out", tmp_path / name)
    assert "3,000 users" in shown
    for table in ("interactions", "items", "users"):
        first, second = (tmp_path / name / f"{table}.parquet" for name in ("first", "second"))
        assert first.read_bytes() == second.read_bytes()


def test_serve_hands_over_to_the_model_server(tmp_path, monkeypatch):
    import os

    called = []
    monkeypatch.setattr(os, "execv", lambda program, words: called.append((program, words)))
    with pytest.raises(SystemExit):
        cli.main(["serve", "--bundle", str(tmp_path), "--http-port", "9000"])
    ((program, words),) = called
    assert program == sys.executable
    assert words[1:4] == ["-P", "-m", "longtail.components.predict.server"]
    options = dict(zip(words[4::2], words[5::2]))
    assert options == {"--bundle": str(tmp_path), "--name": "longtail", "--http-port": "9000", "--grpc-port": "0"}


def test_demo_settings_are_valid_and_small():
    from importlib.resources import files

    from longtail.components.finetune.settings import FinetuneSettings
    from longtail.pipelines.run_settings import load_settings

    settings = load_settings(str(files("longtail.pipelines.cli") / "demo.yaml"))
    assert settings.finetune.adaptation.steps < FinetuneSettings().adaptation.steps
    assert settings.finetune.training.dim % settings.finetune.training.heads == 0
