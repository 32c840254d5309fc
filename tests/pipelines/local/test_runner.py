"""What the runner makes of the worker's events."""

import io
import re

import pytest

from longtail.pipelines.local import runner
from longtail.pipelines.local.progress import Progress

STAGES = ("preprocess", "finetune", "deploy")


def shown(*events, terminal=False):
    stream = io.StringIO()
    stream.isatty = lambda: terminal
    with Progress(stream) as progress:
        outcome = runner._show(events, STAGES, progress)
    return re.sub(r" +\d+\.\d s", " T s", stream.getvalue()), outcome


def test_a_run_with_cached_and_unwanted_stages():
    text, outcome = shown(
        {"event": "started", "stage": "finetune"},
        {"event": "note", "text": "epoch 1"},
        {"event": "ended", "stage": "finetune", "code": 0},
        {"event": "finished", "outputs": {"bundle": "/tasks/bundle"}},
    )
    assert text.splitlines() == [
        "preprocess   cached",
        "finetune     running",
        "finetune     done T s",
        "deploy       skipped",
    ]
    assert (outcome.outputs, outcome.failed, outcome.error) == ({"bundle": "/tasks/bundle"}, None, None)


def test_a_terminal_shows_the_latest_note():
    text, _ = shown(
        {"event": "started", "stage": "preprocess"},
        {"event": "note", "text": "reading items"},
        {"event": "note", "text": "reading users"},
        terminal=True,
    )
    assert re.findall(r"running T s  (.*?)\r", text) == ["", "reading items", "reading users"]


def test_a_users_error_and_the_code_of_the_stage_are_kept():
    text, outcome = shown(
        {"event": "started", "stage": "preprocess"},
        {"event": "error", "message": "log.csv: row 1 is bad"},
        {"event": "ended", "stage": "preprocess", "code": 2},
    )
    assert text.splitlines()[-1] == "preprocess   failed T s"
    assert (outcome.outputs, outcome.failed, outcome.error) == (None, ("preprocess", 2), "log.csv: row 1 is bad")


@pytest.mark.parametrize("code", [-9, 137])  # of a process, of a container
def test_a_killed_stage_names_the_setting_that_takes_memory(tmp_path, code):
    assert "lower distill.training.batch_positions" in str(runner._failure("distill", code, tmp_path / "run.log"))
    assert "traceback is in" in str(runner._failure("distill", 1, tmp_path / "run.log"))
