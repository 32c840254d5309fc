"""The command as a whole: its help, its version, and options that many commands share."""

import re
import subprocess
import sys

import pytest
from helpers_command import command, is_one_message, refused
from typer.main import get_command

from longtail import __version__
from longtail.contracts.errors import UserError
from longtail.pipelines.cli import cluster, demo, start, train
from longtail.pipelines.cli import main as cli

HEADINGS = {
    "Start here": ["demo", "run", "report", "recommend"],
    "Lists for everybody": ["recommend-all", "similar-items", "reach"],
    "Data and training": [
        *("demo-data", "preprocess", "finetune", "distill", "evaluate", "tune", "compress", "add-items"),
    ],
    "Serving": ["serve", "token", "refresh", "deploy", "status", "promote", "rollback"],
    "Campaigns and policies": ["campaign", "policy"],
    "Cluster": ["compile", "submit", "follow", "schedule", "schedules", "unschedule"],
}
HEAVY = ("numpy", "torch", "kfp", "kserve", "pyarrow", "transformers")
TABLES = ("--interactions", "s3://b/log.csv", "--items", "s3://b/items.csv")
SEEDED = {
    "run": TABLES,
    "demo": (),
    "finetune": ("--prepared", "p", "--output", "o"),
    "distill": ("--prepared", "p", "--teacher", "t", "--output", "o"),
    "evaluate": ("--prepared", "p", "--teacher", "t", "--bundle", "b", "--output", "o"),
    "tune": ("--space", "s", "--trials", 1, "--study", "s", "--output", "o"),
    "compress": ("--bundle", "b", "--prepared", "p", "--output", "o"),
    "submit": ("--host", "h", *TABLES),
    "schedule": ("--host", "h", "--name", "n", *TABLES),
}


def test_help_shows_groups_with_one_whole_line_a_command(capfd, monkeypatch):
    monkeypatch.setenv("COLUMNS", "80")
    shown = command(capfd, "--help").rstrip()
    parts = [part.splitlines() for part in shown.split("\n\n")[-len(HEADINGS) :]]
    assert [part[0] for part in parts] == [f"{heading}:" for heading in HEADINGS]
    lines = [re.fullmatch(r"  (([a-z-]+) +)(\S.*)", line) for part in parts for line in part[1:]]
    assert all(lines), shown  # also: none is wrapped
    assert [line[2] for line in lines] == [name for names in HEADINGS.values() for name in names]
    assert {len(line[1]) for line in lines} == {len("recommend-all  ")}
    assert all(line[3].endswith(".") and not line[3].endswith("...") for line in lines), shown


def test_help_loads_nothing_heavy():
    script = (
        "import sys\nfrom longtail.pipelines.cli.main import main\n"
        "try:\n    main(['--help'])\nexcept SystemExit:\n    print('heavy:', [m for m in sys.argv[1:] if m in sys.modules])"
    )
    shown = subprocess.run([sys.executable, "-c", script, *HEAVY], capture_output=True, text=True, check=True).stdout
    assert shown.endswith("heavy: []\n")


def test_version(capfd):
    assert command(capfd, "--version") == f"longtail {__version__}\n"


def commands(group, before=()):
    """Words of each command, those within others too, and what it is."""
    for name, found in group.commands.items():
        yield from commands(found, (*before, name)) if hasattr(found, "commands") else [((*before, name), found)]


@pytest.mark.parametrize(("name", "found"), commands(get_command(cli.app)))
def test_every_option_is_explained(capfd, name, found):
    shown = command(capfd, *name, "--help")
    for parameter in found.params:
        assert parameter.help, f"{name} {parameter.name}"
        assert parameter.opts[0] in shown


@pytest.mark.parametrize("name", SEEDED)
def test_the_seed_reaches_the_settings(name, capfd, monkeypatch):
    def read_settings(*_, seed=None, **__):
        raise UserError(f"seed {seed}")

    def read_settings_of_tables(config, overrides, layout, seed):
        read_settings(seed=seed)

    by_name = read_settings_of_tables if name in ("run", "submit", "schedule") else read_settings
    for module in (start, train, cluster, demo):
        monkeypatch.setattr(module, "read_settings", by_name)
    code, error = refused(capfd, name, *SEEDED[name], "--seed", 0)
    assert code == 2
    assert is_one_message(error, "seed 0")
