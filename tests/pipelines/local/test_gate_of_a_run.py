"""What a run's gate means to the command, and whom a run is compared with: with the stub pipeline of test_run."""

from pathlib import Path

import pytest
from helpers_command import is_one_message
from helpers_decision import write_decision_of
from helpers_hand_bundle import write_hand_bundle
from test_run import STUB, inputs

from longtail.contracts.decision import load_decision
from longtail.contracts.errors import GATE_EXIT_CODE
from longtail.pipelines.cli import main as cli
from longtail.pipelines.local import run as local
from longtail.pipelines.local.run import run_local
from longtail.registry.opening import open_registry


def ended_with(monkeypatch, *words):
    """Exit code of the command, with the stub's pipeline in place of the real one."""
    monkeypatch.setattr(local.run_local, "__defaults__", (STUB,))
    with pytest.raises(SystemExit) as ended:
        cli.main([str(word) for word in words])
    return ended.value.code


@pytest.mark.parametrize("text, code", [("good", 0), ("worse", GATE_EXIT_CODE)])
def test_the_command_ends_as_the_gate_did_and_the_folder_remembers_it(shop, monkeypatch, capfd, text, code):
    (shop / "log.csv").write_text(text)
    words = ("run", "--interactions", shop / "log.csv", "--items", shop / "items.csv", "--out", shop / "out")
    assert ended_with(monkeypatch, *words) == code
    assert load_decision(shop / "out").passed is load_decision(shop / "out/results").passed is (code == 0)
    shown = capfd.readouterr()
    assert ("Not deployed: the gate did not pass" in shown.out) is (code != 0)
    assert f"Report: {shop}/out/results/report.html" in shown.out
    assert "error" not in shown.err


@pytest.mark.slow
def test_a_champion_is_the_one_that_deploy_would_replace(shop, monkeypatch):
    bundle = write_hand_bundle(shop / "bundle")
    registry = open_registry(str(shop / "models"))
    version = registry.publish(bundle)
    settings = f"deploy.registry_uri={shop}/models"
    run_local(inputs(shop, settings), STUB)
    assert (shop / "out/report.html").read_text() == "good seed 0"  # there is none yet
    registry.promote(version, None, "the first")
    run_local(inputs(shop, settings), STUB)
    link = (shop / "out/report.html").read_text().removeprefix("good seed 0, compared with ")
    assert Path(link).resolve() == shop / "models/versions" / version.id


def test_a_run_whose_gate_did_not_pass_is_no_champion_without_a_reason(shop, monkeypatch, capfd):
    bundle = write_hand_bundle(shop / "earlier/results/bundle")
    write_decision_of(bundle, bundle.parent, passed=False)
    words = ("run", "--interactions", shop / "log.csv", "--items", shop / "items.csv", "--out", shop / "out")
    assert ended_with(monkeypatch, *words, "--champion", shop / "earlier") == 2
    assert is_one_message(capfd.readouterr().err, "--champion", "the gate did not pass", "--override")
    assert ended_with(monkeypatch, *words, "--champion", shop / "earlier", "--override", "it serves today") == 0
    link = (shop / "out/report.html").read_text().removeprefix("good seed 0, compared with ")
    assert Path(link).resolve() == bundle
