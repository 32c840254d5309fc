"""How runs are run: with a stub pipeline of the real one's shape, under the real runner."""

import re
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from longtail.contracts.artifacts import CAMPAIGN, read_artifact
from longtail.contracts.errors import UserError
from longtail.pipelines.local import run as local
from longtail.pipelines.local.run import RunInputs, run_local
from longtail.pipelines.local.runner import StageFailed
from longtail.pipelines.run_settings import load_settings

pytestmark = pytest.mark.slow  # they run pipelines

STUB = "helpers_stub_pipeline:build"
ASKED = "campaign.offers=[{name: reminder, channel: mail, cost: 0.1}]"
RESULTS = {
    "decision.json",
    "evaluation.json",
    "per_user.parquet",
    "report.html",
    "bundle",
    "measured-bundle",
    "teacher",
    "prepared",
    "results",
    "run.log",
}


def inputs(shop, *overrides, out="out"):
    return RunInputs(str(shop / "log.csv"), str(shop / "items.csv"), None, load_settings(None, overrides), shop / out)


def states(output):
    """stage -> state, as the lines end: without a terminal there is a line at the start and one at the end."""
    return {stage: state for stage, state in re.findall(r"^(\w+) +(\w+)", output, re.MULTILINE)}


def visible(folder):
    return {path.name for path in folder.iterdir() if not path.name.startswith(".")}


def test_run_fills_the_folder_and_keeps_noise_in_the_log(shop, capfd, monkeypatch):
    (shop / "temporary").mkdir()
    monkeypatch.setenv("TMPDIR", str(shop / "temporary"))
    run_local(inputs(shop), STUB)
    assert visible(shop / "temporary") == set()
    shown = capfd.readouterr()
    assert visible(shop / "out") == RESULTS | {"inferenceservice.yaml"}
    assert (shop / "out/bundle/learnt.txt").read_text() == "good seed 0"
    assert (shop / "out/bundle/refreshed.txt").exists() and not (shop / "out/measured-bundle/refreshed.txt").exists()
    assert (shop / "out/prepared/events.txt").read_text() == "good"
    assert {stage: state for stage, state in states(shown.out).items() if state != "done"} == {"campaign": "skipped"}
    assert list(states(shown.out)) == [
        "fingerprint",
        "preprocess",
        "finetune",
        "distill",
        "evaluate",
        "refresh",
        "deploy",
        "campaign",
    ]
    assert "\x1b" not in shown.out
    assert "KFP" not in shown.out + shown.err
    log = (shop / "out/run.log").read_text()
    assert "learning from" in log
    assert "KFP Executor" in log


def test_unchanged_rerun_is_cached_and_changed_data_behind_the_same_path_is_not(shop, capfd, monkeypatch):
    run_local(inputs(shop), STUB)
    capfd.readouterr()
    monkeypatch.setenv("LONGTAIL_TRAIN_IMAGE", "longtail-train-cpu:of-a-cluster")  # is nothing to a run here
    run_local(inputs(shop), STUB)
    second = states(capfd.readouterr().out)
    assert second == {
        "fingerprint": "done",
        "preprocess": "cached",
        "finetune": "cached",
        "distill": "cached",
        "evaluate": "cached",
        "refresh": "cached",
        "campaign": "skipped",
        "deploy": "done",
    }
    (shop / "log.csv").write_text("new")
    run_local(inputs(shop), STUB)
    assert "cached" not in states(capfd.readouterr().out).values()
    assert (shop / "out/report.html").read_text() == "new seed 0"


def test_a_stage_setting_reruns_its_stage_and_those_after_it_only(shop, capfd):
    run_local(inputs(shop), STUB)
    capfd.readouterr()
    run_local(inputs(shop, "distill.training.epochs=9"), STUB)
    assert states(capfd.readouterr().out) == {
        "fingerprint": "done",
        "preprocess": "cached",
        "finetune": "cached",
        "distill": "done",
        "evaluate": "done",
        "refresh": "done",
        "campaign": "skipped",
        "deploy": "done",
    }


def test_other_code_does_not_take_cached_results(shop, capfd, monkeypatch):
    run_local(inputs(shop), STUB)
    capfd.readouterr()
    monkeypatch.setattr(local, "code_digest", lambda: "another release")
    run_local(inputs(shop), STUB)
    assert "cached" not in states(capfd.readouterr().out).values()


def test_results_of_earlier_runs_do_not_pile_up(shop):
    for text in ("good", "new"):
        (shop / "log.csv").write_text(text)
        run_local(inputs(shop), STUB)
    tasks = shop / "out/.work/tasks"
    assert [path.read_text() for path in tasks.rglob("events.txt")] == ["new"]
    assert len(list(tasks.iterdir())) == 1


def test_failed_gate_leaves_no_service_behind(shop, capfd):
    run_local(inputs(shop), STUB)
    (shop / "log.csv").write_text("worse")
    capfd.readouterr()
    run_local(inputs(shop), STUB)
    assert states(capfd.readouterr().out)["deploy"] == "skipped"
    assert not (shop / "out/bundle/refreshed.txt").exists()
    assert visible(shop / "out") == RESULTS
    assert not (shop / "out/results/inferenceservice.yaml").exists()


def test_user_error_inside_a_task_is_its_one_message_and_leaves_the_former_results(shop):
    run_local(inputs(shop), STUB)
    (shop / "log.csv").write_text("bad")
    with pytest.raises(UserError, match=r"^.*log\.csv: row 1 is bad; mend it$"):
        run_local(inputs(shop), STUB)
    assert (shop / "out/report.html").read_text() == "good seed 0"
    (shop / "log.csv").write_text("bug")  # the former message must not be found again
    with pytest.raises(StageFailed):
        run_local(inputs(shop), STUB)


def test_bug_in_a_stage_names_stage_and_log_where_the_traceback_is(shop):
    (shop / "log.csv").write_text("bug")
    with pytest.raises(StageFailed, match=r"^finetune failed; its traceback is in .*run\.log$"):
        run_local(inputs(shop), STUB)
    log = (shop / "out/run.log").read_text()
    assert "Traceback" in log
    assert "a fault of ours" in log
    assert visible(shop / "out") == {"run.log"}


def test_killed_stage_says_that_memory_ran_out_and_the_remedy(shop):
    (shop / "log.csv").write_text("too big")
    with pytest.raises(
        StageFailed, match=r"^finetune was killed, .* memory ran out; .*lower finetune\.adaptation\.batch"
    ):
        run_local(inputs(shop), STUB)


def test_missing_input_is_one_message(shop):
    (shop / "items.csv").unlink()
    with pytest.raises(RuntimeError):  # the stub's fingerprint does not report, so it counts as a bug
        run_local(inputs(shop), STUB)


def test_two_runs_in_one_folder_are_refused(shop):
    run_local(inputs(shop), STUB)
    holder = subprocess.Popen(
        [
            sys.executable,
            "-c",
            "import fcntl,sys;f=open(sys.argv[1],'w');fcntl.flock(f,fcntl.LOCK_EX);print('held',flush=True);sys.stdin.read()",
            str(shop / "out/.work/lock"),
        ],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
    )
    assert holder.stdout is not None
    assert holder.stdout.readline() == b"held\n"
    try:
        with pytest.raises(UserError, match="another run is at work in this folder"):
            run_local(inputs(shop), STUB)
    finally:
        holder.communicate()
    run_local(inputs(shop), STUB)


@pytest.mark.parametrize("sign", [signal.SIGTERM, signal.SIGINT, signal.SIGKILL])
def test_ended_command_ends_its_tasks(shop, sign):
    (shop / "log.csv").write_text("slow")
    script = (
        "import signal\nsignal.signal(signal.SIGINT, signal.default_int_handler)\n"  # ignored, if the tests run in the background
        "import sys\nfrom longtail.pipelines.cli import main as cli\nfrom longtail.pipelines.local import run as local\n"
        "local.run_local.__defaults__ = (sys.argv[1],)\ncli.main(sys.argv[2:])"
    )
    words = ["run", "--interactions", shop / "log.csv", "--items", shop / "items.csv", "--out", shop / "out"]
    process = subprocess.Popen(
        [sys.executable, "-c", script, STUB, *map(str, words)], stderr=subprocess.PIPE, text=True
    )
    pid = shop / "out/.work/checkpoints/pid"
    wait_for(lambda: pid.exists() and pid.read_text() != "")
    process.send_signal(sign)
    _, error = process.communicate(timeout=30)
    assert process.returncode not in (0, 1, 2)
    assert "Traceback" not in error
    wait_for(lambda: not Path(f"/proc/{pid.read_text()}").exists())


def wait_for(condition):
    for _ in range(600):
        if condition():
            return
        time.sleep(0.1)
    raise AssertionError("it did not happen within a minute")


def test_paths_with_blanks_and_python3_in_them(shop):
    folder = shop / "my python3 $HOME shop"
    folder.mkdir()
    for name in ("log.csv", "items.csv"):
        (folder / name).write_text("good")
    run_local(inputs(folder), STUB)
    assert (folder / "out/report.html").read_text() == "good seed 0"


def test_foreign_packages_in_the_working_folder_do_no_harm(shop, monkeypatch):
    for name in ("components", "pipelines", "longtail", "kfp", "json"):
        (shop / name).mkdir()
        (shop / name / "__init__.py").write_text("raise SystemExit('the foreign package was imported')")
    monkeypatch.chdir(shop)
    run_local(inputs(shop), STUB)
    assert (shop / "out/evaluation.json").is_file()


def test_out_that_cannot_be_made(shop):
    (shop / "taken").write_text("")
    with pytest.raises(UserError, match=r"^--out .*taken/out/results: cannot be written, .*taken is a file"):
        run_local(inputs(shop, out="taken/out"), STUB)


def test_a_campaign_is_among_the_results_and_what_came_before_it_is_cached(shop, capfd):
    run_local(inputs(shop), STUB)
    assert states(capfd.readouterr().out)["campaign"] == "skipped"
    assert visible(shop / "out") == RESULTS | {"inferenceservice.yaml"}
    run_local(inputs(shop, ASKED), STUB)
    found = states(capfd.readouterr().out)
    assert {stage for stage, state in found.items() if state == "done"} == {"fingerprint", "campaign", "deploy"}
    assert (shop / "out/campaign/contacts.csv").read_text() == "good seed 0"
    facts = read_artifact(shop / "out/campaign", CAMPAIGN).facts
    assert facts["settings"] == load_settings(None, [ASKED]).campaign.canonical()
    run_local(inputs(shop), STUB)  # without one, the last run's is not shown as this one's
    assert visible(shop / "out") == RESULTS | {"inferenceservice.yaml"}
    assert not (shop / "out/results/campaign").exists()


def test_a_bundle_that_the_gate_refused_makes_no_campaign(shop, capfd):
    (shop / "log.csv").write_text("worse")
    run_local(inputs(shop, ASKED), STUB)
    assert states(capfd.readouterr().out)["campaign"] == "skipped"
    assert not (shop / "out/results/campaign").exists()


@pytest.mark.parametrize(("key", "value"), [("log", "[{}]"), ("consent", "{}"), ("do_not_contact", "{}")])
def test_files_of_a_campaign_are_no_reason_to_train_again(tmp_path, key, value):
    file = tmp_path / "users.csv"
    names = set()
    for text in ("user_id\none\n", "user_id\ntwo\n"):
        file.write_text(text)
        names.add(local._image(load_settings(None, [ASKED, f"campaign.{key}={value.format(file)}"]), "code"))
    assert len(names) == 1
