"""Every command with every one of its options, each in a process of its own: no library that the command imports later takes the
command line for its own (kserve parses it when it is imported)."""

import json
import os
import subprocess
import sys
from typing import Literal, get_args, get_origin

import pytest
import typer

from longtail.pipelines.cli import main as cli

pytestmark = pytest.mark.slow  # each imports kserve


def commands(group, before=""):
    """Of each command, those within others too: its words -> what it is."""
    found = {}
    for name, one in group.commands.items():
        found |= commands(one, f"{before}{name} ") if hasattr(one, "commands") else {f"{before}{name}": one}
    return found


COMMANDS = commands(typer.main.get_command(cli.app))
# Each command as its script runs it, in a fork of a process that holds what takes long to import, but not kserve. Then, with
# the same command line, what imports kserve, whether the command came that far or not.
PROGRAM = """
import json, os, sys
import fastapi, grpc, kubernetes, onnxruntime, pandas, uvicorn
from longtail.pipelines.cli import main as cli
import longtail.scoring.scorer
assert "kserve" not in sys.modules
for command, words in json.load(sys.stdin).items():
    if os.fork():
        os.wait()
        continue
    told = open(command, "w")
    os.dup2(told.fileno(), 1), os.dup2(told.fileno(), 2)
    sys.argv = ["longtail", *words]
    os.execv = lambda *_: sys.exit("this process became the server")
    try:
        cli.main()
        print("ended")
    except SystemExit as ended:
        print("ended with", ended.code, flush=True)
    import longtail.components.deploy.serving_runtime, longtail.components.predict.model, longtail.rollout.inference_service
    print("kserve is imported")
    sys.exit()
"""
REFUSED = ("demo",)  # would work for minutes: they get a setting that does not exist


SIMULATED = {
    "shops": "2",
    "users": "200",
    "rounds": "2",
    "messages": "0.2",
    "mean_effect": "0.05",
}  # as small as may be


def value(option, command):
    """One that is accepted, as far as its type says."""
    if option.name == "overrides":
        return "no.such_setting=1" if command in REFUSED else "seed=1"
    given = {
        "config": "settings.yaml",
        "resources": "resources.yaml",
        "format": "longtail",
        "host": "nowhere",  # refused before anything is asked
        "cron": "0 3 * * *",
        "kubeconfig": "no-kubeconfig",
        "scope": "ask",
        "output": "written.yaml" if command == "compile" else "written",
    }
    if command == "campaign simulate":
        given |= SIMULATED
    if option.name in given:
        return given[option.name]
    annotation = option.type_descriptor.annotation
    if get_origin(annotation) is Literal:
        return get_args(annotation)[0]
    return "1" if annotation in (int, float, int | None, float | None) else f"no-{option.name}"


def command_line(command):
    words = command.split()
    for option in COMMANDS[command].params:
        if option.name == "help":
            continue
        is_named = option.param_type_name == "option"
        words += [max(option.opts, key=len)] if is_named else []
        if not is_named or not option.is_flag:
            words.append(value(option, command))
    return words


@pytest.fixture(scope="module")
def told(tmp_path_factory):
    """What each command printed."""
    folder = tmp_path_factory.mktemp("here")
    (folder / "settings.yaml").write_text("seed: 1\n")
    (folder / "resources.yaml").write_text("{}\n")
    paths = os.pathsep.join(path for path in sys.path if path)
    lines = json.dumps({command: command_line(command) for command in COMMANDS})
    done = subprocess.run(
        [sys.executable, "-c", PROGRAM],
        cwd=folder,
        env=os.environ | {"PYTHONPATH": paths},
        input=lines,
        capture_output=True,
        text=True,
        timeout=600,
    )
    assert done.returncode == 0, done.stderr
    return {command: (folder / command).read_text() for command in COMMANDS}


def test_every_option_is_among_those_given():
    """A new option, and one whose value cannot be guessed, comes in by itself."""
    for command in COMMANDS:
        words = command_line(command)
        for option in COMMANDS[command].params:
            expected = option.opts if option.param_type_name == "option" else [value(option, command)]
            assert option.name == "help" or set(expected) & set(words), (command, option.name)


@pytest.mark.parametrize("command", COMMANDS)
def test_no_library_takes_the_command_line_for_its_own(told, command):
    assert "kserve is imported" in told[command], told[command]
    assert "ended" in told[command]
    assert "usage:" not in told[command].lower()
