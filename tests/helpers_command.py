"""The command `longtail`, asked in-process for what it should refuse."""

import pytest

from longtail.pipelines.cli import main as cli


def refused(capfd, *arguments):
    """Exit code and what was printed to standard error."""
    with pytest.raises(SystemExit) as ended:
        cli.main([str(argument) for argument in arguments])
    return ended.value.code, capfd.readouterr().err


def command(capfd, *arguments):
    """What a successful command printed."""
    with pytest.raises(SystemExit) as ended:
        cli.main([str(argument) for argument in arguments])
    shown = capfd.readouterr()
    assert ended.value.code == 0, shown.err
    return shown.out


def is_one_message(error, *parts):
    assert error.startswith("error: ")
    assert error.count("\n") == 1, error
    assert "Traceback" not in error
    for part in parts:
        assert part in error
    return True


def run_of(tables, *more):
    return (
        "run",
        "--interactions",
        tables / "log.csv",
        "--items",
        tables / "items.csv",
        "--out",
        tables / "out",
        *more,
    )
