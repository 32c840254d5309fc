"""Following a run to its end, over an API that restarts."""

import subprocess
import sys
import threading
import time

import pytest
from helpers_kfp_api import tasks

from longtail.contracts.errors import UserError
from longtail.pipelines.cli import main as cli
from longtail.pipelines.kubeflow.api import Api
from longtail.pipelines.kubeflow.follow import RunFailed, follow

POD = "longtail-activation-x7k2p-system-container-impl-1001"  # of the second stage of helpers_kfp_api.tasks
RETRIED = "longtail-activation-x7k2p-retry-system-container-impl-1001"
DONE = {"fingerprint": "SUCCEEDED", "preprocess": "SUCCEEDED"}
ALL = {stage: "SUCCEEDED" for stage in ("fingerprint", "preprocess", "finetune", "distill", "evaluate", "deploy")}
FAILED = {"state": "FAILED"} | tasks(fingerprint="SUCCEEDED", preprocess="FAILED")


@pytest.fixture
def run(kfp_api):
    kfp_api.runs["r1"] = {"run_id": "r1", "state": "PENDING"}
    return kfp_api


def watch(api, **more):
    return follow(Api(api.url, "kubeflow"), "r1", interval_seconds=0.01, **more)


def test_each_change_of_a_stage_is_one_line(run, capsys):
    run.plan = [
        {"state": "PENDING"},
        {"state": "RUNNING"} | tasks(fingerprint="RUNNING"),
        {"state": "RUNNING"} | tasks(fingerprint="RUNNING"),
        {"state": "RUNNING"} | tasks(fingerprint="SUCCEEDED", preprocess="RUNNING"),
        {"state": "SUCCEEDED"} | tasks(**ALL),
    ]
    watch(run)
    lines = capsys.readouterr().out.splitlines()
    assert lines[:4] == [
        "fingerprint  running",
        "fingerprint  done           42 s",
        "preprocess   running",
        "preprocess   done           42 s",
    ]
    assert lines[-2:] == ["deploy       done           42 s", f"The run succeeded: {run.url}/#/runs/details/r1"]
    assert len(lines) == 9


def test_a_gate_that_did_not_pass_is_told(run, capsys):
    run.plan = [{"state": "SUCCEEDED"} | tasks(**DONE, evaluate="SUCCEEDED")]
    assert watch(run) is False
    assert "Not deployed: the gate did not pass" in capsys.readouterr().out


@pytest.mark.parametrize("deploy, code", [({"deploy": "SUCCEEDED"}, 0), ({"deploy": "SKIPPED"}, 3), ({}, 3)])
def test_the_command_ends_as_the_gate_did(run, deploy, code):
    run.plan = [{"state": "SUCCEEDED"} | tasks(**{**DONE, "evaluate": "SUCCEEDED"}, **deploy)]
    with pytest.raises(SystemExit) as ended:
        cli.main(["follow", "--host", run.url, "--run", "r1"])
    assert ended.value.code == code


@pytest.mark.parametrize("pod", [POD, RETRIED])
def test_the_failed_stage_says_why_in_its_own_words(run, pod):
    run.plan = [FAILED]
    run.logs[pod] = "reading\nerror: s3://shop/log.parquet: there is no column user_id; map it\nexit status 2\n"
    with pytest.raises(
        UserError, match=rf"^preprocess: s3://shop/log\.parquet: .*; map it \({run.url}/#/runs/details/r1\)"
    ):
        watch(run)


def test_a_bug_shows_the_end_of_the_log(run):
    run.plan = [FAILED]
    run.logs[POD] = "\n".join(
        [f"line {n}" for n in range(100)] + ["Traceback (most recent call last):", "KeyError: 'x'"]
    )
    with pytest.raises(RunFailed, match=r"(?s)^preprocess failed: .*line 99\n.*KeyError: 'x'$") as failure:
        watch(run)
    assert "line 80" not in str(failure.value)


def test_without_a_log_the_api_s_word_and_the_way_to_the_log(run):
    history = [{"state": "FAILED", "error": {"code": 2, "message": "pod deleted: node preempted", "details": []}}]
    run.plan = [FAILED | {"state_history": history}]
    with pytest.raises(RunFailed, match=r"(?s)pod deleted: node preempted.*kubectl -n kubeflow logs .*runid=r1"):
        watch(run)


def test_a_cancelled_run_is_no_success(run):
    run.plan = [{"state": "CANCELED"}]
    with pytest.raises(RunFailed, match="the run ended as canceled: "):
        watch(run)


@pytest.mark.slow
def test_an_api_that_restarts_is_waited_for(run):
    """The server really goes away, with its port, and comes back with its state; the command says it in two lines."""

    def restart():
        def again():
            run.stop()
            time.sleep(0.3)
            run.start()

        threading.Thread(target=again).start()

    run.plan = [{"state": "RUNNING"} | tasks(fingerprint="RUNNING"), restart, {"state": "SUCCEEDED"} | tasks(**ALL)]
    command = [sys.executable, "-c", "from longtail.pipelines.cli.main import main; main()"]
    done = subprocess.run([*command, "follow", "--host", run.url, "--run", "r1"], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    assert done.stdout.endswith("/#/runs/details/r1\n")
    assert len(done.stderr.splitlines()) == 2, done.stderr
    first, second = done.stderr.splitlines()
    assert first.startswith(f"No answer from {run.url}; the run goes on")
    assert second == "The API answers again."


def test_errors_of_a_starting_api_pass(run, capsys):
    run.plan = [13, 13, {"state": "SUCCEEDED"} | tasks(**ALL)]
    watch(run)
    assert capsys.readouterr().err.count("No answer") == 1


def test_an_api_that_takes_the_question_and_says_nothing_is_asked_again(run, capsys, monkeypatch):
    monkeypatch.setattr("longtail.pipelines.kubeflow.api.ANSWER_SECONDS", 0.2)
    end, silent = threading.Event(), threading.Semaphore(4)  # the question, and the client's three repetitions of it

    def before(method, path):
        if path.endswith("/runs/r1") and silent.acquire(blocking=False):
            end.wait(60)

    run.before = before
    run.plan = [{"state": "SUCCEEDED"} | tasks(**ALL)]
    try:
        watch(run)
    finally:
        end.set()
    assert "The API answers again." in capsys.readouterr().err


def test_an_api_that_stays_away_is_given_up_with_the_command_to_go_on(run):
    run.plan = [lambda: threading.Thread(target=run.stop).start()]
    with pytest.raises(UserError, match=rf"longtail follow --host {run.url} --namespace kubeflow --run r1$"):
        watch(run, patience_seconds=0.2)


def test_a_token_that_ran_out_ends_the_following(run):
    run.plan = [{"state": "RUNNING"}, 16]
    with pytest.raises(UserError, match=r"HTTP 401\); sign in"):
        watch(run)


def test_a_run_that_is_not_there(run):
    with pytest.raises(UserError, match=r"Run ghost not found\. \(HTTP 404\)"):
        follow(Api(run.url, "kubeflow"), "ghost")


@pytest.mark.parametrize(
    ("log", "code", "said"),
    [("error: the log is empty; give another\n", 2, "error: preprocess: the log is empty"), ("boom\n", 1, "boom")],
)
def test_commands_end_as_the_run_does(run, capfd, log, code, said):
    run.plan = [FAILED]
    run.logs[POD] = log
    inputs = ("--interactions", "s3://shop/log", "--items", "s3://shop/items")
    for command in (("follow", "--run", "r1"), ("submit", "--follow", *inputs)):
        with pytest.raises(SystemExit) as ended:
            cli.main([*command, "--host", run.url])
        assert ended.value.code == code
        assert said in capfd.readouterr().err
