"""What docs/cluster.md and docs/gpu.md tell readers to type is what the commands take."""

import re
import shlex
from pathlib import Path

import pytest
import typer
import yaml

from longtail.pipelines.cli import main as cli
from longtail.pipelines.resources import load_resources
from longtail.pipelines.run_settings import load_settings

DOCS = Path(__file__).parents[2] / "docs"
PAGES = ("cluster.md", "gpu.md")


def commands(text):
    """Every `longtail …` of the indented blocks, with its continued lines, without what a shell takes off."""
    joined = text.replace("\\\n", " ")
    return [
        shlex.split(line.split("#")[0].strip(" &")) for line in joined.splitlines() if re.match("    longtail ", line)
    ]


def test_the_commands_are_found():
    assert len(commands((DOCS / "cluster.md").read_text())) >= 4


@pytest.mark.parametrize("page", PAGES)
def test_commands_and_options_exist(page):
    known = typer.main.get_command(cli.app).commands
    for words in commands((DOCS / page).read_text()):
        options = {name for parameter in known[words[1]].params for name in parameter.opts}
        assert {word for word in words if word.startswith("--")} <= options, words


@pytest.mark.parametrize("page", PAGES)
def test_settings_exist(page):
    text = (DOCS / page).read_text()
    named = re.findall(r"--set (\w+\.\w+=[^\s`]+)", text)
    load_settings(None, named)
    known = load_settings(None, []).model_dump()
    for stage, setting in re.findall(r"`(finetune|distill|deploy)\.(\w+)(?:=\w+)?`", text):
        assert setting in known[stage], (page, setting)


@pytest.mark.parametrize("page", PAGES)
def test_linked_files_exist(page):
    for link in re.findall(r"\]\(([^)#:]+)\)", (DOCS / page).read_text()):
        assert (DOCS / link).exists(), (page, link)


def test_examples_of_resources_are_accepted(tmp_path):
    blocks = re.findall(r"```yaml\n# (resources\.yaml\n.*?)```", (DOCS / "gpu.md").read_text(), re.S)
    (text,) = blocks
    path = tmp_path / "resources.yaml"
    path.write_text(f"# {text}")
    given = load_resources(path)
    assert given.finetune.checkpoint_claim == "longtail-checkpoints"
    assert given.distill.accelerator_count == 1


def test_the_example_job_mounts_the_claim_where_the_pipeline_does():
    from longtail.pipelines.resources import CHECKPOINTS

    (text,) = re.findall(r"```yaml\n# checkpoints-owner\.yaml\n(.*?)```", (DOCS / "gpu.md").read_text(), re.S)
    pod = yaml.safe_load(text)["spec"]["template"]["spec"]
    (container,) = pod["containers"]
    assert container["volumeMounts"][0]["mountPath"] == CHECKPOINTS == container["command"][-1]
    assert pod["volumes"][0]["persistentVolumeClaim"]["claimName"] == "longtail-checkpoints"
