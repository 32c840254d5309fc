import io
import re

from longtail.pipelines.local.progress import Progress


class Terminal(io.StringIO):
    def isatty(self):
        return True


def follow(stream):
    with Progress(stream) as progress:
        progress.started("preprocess")
        progress.note("reading items")
        progress.ended("preprocess", "done")
        progress.passed_over("finetune", "cached")
    return stream.getvalue()


def test_plain_lines_where_there_is_no_terminal():
    shown = follow(io.StringIO())
    assert re.sub(r" +\d+\.\d s", " T s", shown).splitlines() == [
        "preprocess   running",
        "preprocess   done T s",
        "finetune     cached",
    ]


def test_live_line_on_a_terminal_shows_the_latest_word_and_is_cleared():
    shown = follow(Terminal())
    assert "reading items" in shown
    lines = [part.split("\r\x1b[K")[-1] for part in shown.split("\n")]  # what stays visible
    assert [re.sub(r" +\d+\.\d s", " T s", line) for line in lines] == [
        "preprocess   done T s",
        "finetune     cached",
        "",
    ]


def test_live_line_fits_the_terminal(monkeypatch):
    monkeypatch.setenv("COLUMNS", "60")
    stream = Terminal()
    with Progress(stream) as progress:
        progress.started("finetune")
        progress.note("x" * 500)
    assert max(map(len, stream.getvalue().split("\r\x1b[K"))) <= 59
