"""Events of several processes come whole and in order, and what a task has to say comes at all."""

import json
import logging
import subprocess
import sys
from pathlib import Path

import pytest

from longtail.contracts.errors import UserError
from longtail.system import channel


@pytest.fixture
def told(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    path = channel.opened(tmp_path / "tasks")
    monkeypatch.setenv(channel.VARIABLE, str(path))
    return lambda: list(channel.follow(path, lambda: False))


def test_a_user_error_is_told_and_printed_and_ends_the_task_with_two(told, capsys):
    with pytest.raises(SystemExit) as ended, channel.reported():
        raise UserError("items.csv: row 3 has no id; give it one")
    assert ended.value.code == 2
    assert told() == [{"event": "error", "message": "items.csv: row 3 has no id; give it one"}]
    assert capsys.readouterr().err == "error: items.csv: row 3 has no id; give it one\n"


def test_other_errors_pass_and_tell_nothing(told):
    with pytest.raises(ZeroDivisionError), channel.reported():
        _ = 1 / 0
    assert told() == []


def test_without_a_channel_a_user_error_is_only_printed(monkeypatch, tmp_path, capsys):
    monkeypatch.delenv(channel.VARIABLE, raising=False)
    monkeypatch.chdir(tmp_path)
    with pytest.raises(SystemExit), channel.reported():
        logging.getLogger("longtail.some").warning("a word")
        raise UserError("no.csv: is not there")
    assert capsys.readouterr().err == "error: no.csv: is not there\n"
    assert list(tmp_path.iterdir()) == []


def test_notes_are_the_first_lines_of_what_our_loggers_say_while_the_task_lasts(told):
    ours, theirs = logging.getLogger("longtail.stage"), logging.getLogger("library")
    with channel.reported():
        ours.warning("epoch %d\nand more", 3)
        theirs.warning("hello")
    ours.warning("later")
    assert told() == [{"event": "note", "text": "epoch 3"}]


def test_a_log_line_that_cannot_be_told_does_not_end_the_stage(told, monkeypatch, tmp_path, capsys):
    monkeypatch.setenv(channel.VARIABLE, str(tmp_path / "gone.jsonl"))
    with channel.reported():
        logging.getLogger("longtail.stage").warning("epoch 3")
    assert "FileNotFoundError" in capsys.readouterr().err


def test_events_of_processes_that_write_at_once_are_whole_and_in_their_order(tmp_path, monkeypatch):
    path = channel.opened(tmp_path)
    monkeypatch.setenv(channel.VARIABLE, str(path))
    script = (
        "import sys; from longtail.system.channel import tell\n"
        "for number in range(200): tell('note', who=sys.argv[1], number=number, text='é' * 500)"
    )
    writers = [subprocess.Popen([sys.executable, "-c", script, who]) for who in "ab"]
    events = list(channel.follow(path, lambda: any(writer.poll() is None for writer in writers)))
    assert [writer.returncode for writer in writers] == [0, 0]
    for who in "ab":
        assert [event["number"] for event in events if event["who"] == who] == list(range(200))
    assert {event["text"] for event in events} == {"é" * 500}


def test_what_is_told_last_is_read_and_half_a_line_waits_for_its_end(tmp_path):
    path = channel.opened(tmp_path)
    steps = iter([(b'{"event": "no', True), (b'te", "text": "1"}\n', True), (b'{"event": "finished"}\n{"eve', False)])

    def lives() -> bool:
        added, alive = next(steps)
        with path.open("ab") as stream:
            stream.write(added)
        return alive

    assert [json.dumps(event) for event in channel.follow(path, lives)] == [
        '{"event": "note", "text": "1"}',
        '{"event": "finished"}',
    ]
