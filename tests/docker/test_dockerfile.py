"""The essentials of Dockerfile, .dockerignore and build.sh, without an engine: a stub stands for the Docker client."""

import fnmatch
import os
import re
import shutil
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
TARGETS = ("train-cpu", "train-cuda", "predict")
# Knows one base image, keeps a log of builds, and remembers what was built.
DOCKER = """#!/bin/sh
case "$*" in
    "build --help") echo "${FAKE_HELP:---secret stringArray}" ;;
    info) exit ${FAKE_NO_ENGINE:-0} ;;
    "image inspect --format {{.Id}} "*) echo "sha256:${FAKE_BASE_ID:-1}" ;;
    "image inspect python:3.11-slim-bookworm") ;;
    "image inspect "*) grep -qx "$3" "$LOG.built" ;;
    pull*) exit 1 ;;
    build*)
        echo "$*" >>"$LOG"
        [ -e "${FAKE_CONTEXT:-/nowhere}" ] && (cd "$(echo "$*" | sed "s/.* //")" && find . ! -type d) >"$FAKE_CONTEXT"
        echo "$*" | sed "s/.*--tag \\([^ ]*\\).*/\\1/" >>"$LOG.built" ;;
esac
"""


def stages() -> dict[str, str]:
    """Name of a stage -> its instructions, one a line."""
    text = (ROOT / "docker/Dockerfile").read_text().replace("\\\n", " ")
    lines = [" ".join(line.split()) for line in text.splitlines() if line.strip() and not line.startswith("#")]
    parts = re.split(r"^FROM (\S+) AS (\S+)$", "\n".join(lines), flags=re.MULTILINE)
    return {name: body for name, body in zip(parts[2::3], parts[3::3])}


def copied() -> set[str]:
    """What the Dockerfile copies from the build context."""
    found = set()
    for line in "\n".join(stages().values()).splitlines():
        if line.startswith("COPY ") and "--from=" not in line:
            found |= {word.rstrip("/") for word in line.split()[1:-1] if not word.startswith("$")}
    return found


def ignored(path: str) -> bool:
    """What .dockerignore says of a path: the last pattern that fits it, or a folder above it, decides."""
    out = False
    for line in (ROOT / ".dockerignore").read_text().splitlines():
        pattern = line.removeprefix("!")
        if pattern and not pattern.startswith("#"):
            above = [path, *(str(parent) for parent in Path(path).parents if str(parent) != ".")]
            if any(fnmatch.fnmatch(f"/{name}", f"/{pattern}".replace("/**/", "*/")) for name in above):
                out = not line.startswith("!")
    return out


def test_the_context_holds_what_is_copied_and_nothing_else() -> None:
    assert {"pyproject.toml", "constraints.txt", "src", "components", "pipelines"} <= copied()
    for path in copied():
        assert (ROOT / path).exists(), path
        assert not ignored(path), path
    assert not ignored("docker/wheels/torch.whl")
    for path in (
        ".git/config",
        "tests/conftest.py",
        "runs/latest/run.log",
        ".venv/bin/python",
        "docs/quality.md",
        ".env",
    ):
        assert ignored(path), path
    assert ignored("src/longtail/__pycache__/x.pyc")
    assert not ignored("src/longtail/contracts/errors.py")


def test_final_images_run_as_a_numeric_user_who_is_not_root() -> None:
    for target in TARGETS:
        users = re.findall(r"^USER (.*)$", stages()[target], re.MULTILINE)
        assert users == ["65532:65532"], target


def test_nothing_of_the_build_comes_along_but_the_environment() -> None:
    for target in TARGETS:
        assert re.findall(r"^COPY .*$", stages()[target], re.MULTILINE) == [
            f"COPY --from={target}-build /opt/longtail /opt/longtail"
        ]


def test_no_floating_tags_no_add_and_no_passwords() -> None:
    text = (ROOT / "docker/Dockerfile").read_text()
    assert ":latest" not in text
    assert not re.search(r"^ADD ", text, re.MULTILINE)
    assert not re.search(r"^# *syntax *=", text, re.MULTILINE)  # it would be fetched from a registry
    assert re.search(r"^ARG BASE_IMAGE=\S+:\d\S+$", text, re.MULTILINE)
    assert not re.search(r"^(ARG|ENV) \S*(PASSWORD|TOKEN|CERT|SECRET)", text, re.MULTILINE)


def test_whatever_uses_the_network_is_given_the_ca_bundle() -> None:
    runs = re.findall(r"^RUN .*$", "\n".join(stages().values()), re.MULTILINE)
    outside = [run for run in runs if "apt-get" in run or re.search(r"pip\.sh (?!install --no-deps /wheel/)", run)]
    assert len(outside) >= 5
    assert all("--mount=type=secret,id=ca" in run for run in outside)


def test_predict_gets_neither_the_pipeline_nor_torch() -> None:
    assert "libraries predict.txt" in stages()["predict-build"]
    assert "torch" not in stages()["predict-build"]
    assert re.search(r"requirements\.py serving tracing >predict\.txt", stages()["build"])


def test_requirements_are_those_of_pyproject() -> None:
    script = ROOT / "docker/requirements.py"
    shown = subprocess.run([sys.executable, str(script), "serving"], capture_output=True, text=True, check=True).stdout
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    assert shown.splitlines() == [*project["dependencies"], *project["optional-dependencies"]["serving"]]
    assert "torch" not in shown
    assert "kfp" not in shown


def test_every_pinned_version_of_torch_is_the_one_of_set_up() -> None:
    pinned = re.search(r"^torch==(\S+)$", (ROOT / "constraints.txt").read_text(), re.MULTILINE)
    assert pinned
    assert f"TORCH=torch=={pinned[1]}\n" in (ROOT / "scripts/setup.sh").read_text()


@pytest.mark.skipif(shutil.which("shellcheck") is None, reason="shellcheck is not installed")
def test_scripts_pass_shellcheck() -> None:
    scripts = [*sorted((ROOT / "docker").glob("*.sh")), ROOT / ".ci/engine.sh"]
    assert len(scripts) >= 4
    checked = subprocess.run(["shellcheck", *map(str, scripts)], capture_output=True, text=True)
    assert checked.returncode == 0, checked.stdout


class Checkout:
    """A copy of what build.sh reads, with a stub of the Docker client."""

    def __init__(self, folder: Path) -> None:
        self.root = folder / "checkout"
        for name in ("docker", "scripts", "src", "components", "pipelines"):
            ignore = shutil.ignore_patterns("__pycache__", "*.whl")
            shutil.copytree(ROOT / name, self.root / name, symlinks=True, ignore=ignore)
        for name in ("pyproject.toml", "constraints.txt", "README.md", "LICENSE", ".dockerignore", "Makefile"):
            shutil.copy(ROOT / name, self.root / name)
        self.log = folder / "log"
        for path in (self.log, folder / "log.built"):
            path.write_text("")
        self.docker = folder / "docker"
        self.docker.write_text(DOCKER)
        self.docker.chmod(0o755)
        self.environment = {"PATH": os.environ["PATH"], "LOG": str(self.log), "DOCKER": str(self.docker)}

    def build(self, *options: str, **environment: str) -> "subprocess.CompletedProcess[str]":
        return subprocess.run(
            ["bash", "docker/build.sh", *options],
            cwd=self.root,
            env=self.environment | environment,
            capture_output=True,
            text=True,
        )

    def names(self, **environment: str) -> list[str]:
        done = self.build("--names", **environment)
        assert done.returncode == 0, done.stderr
        return done.stdout.splitlines()


@pytest.fixture
def checkout(tmp_path: Path) -> Checkout:
    return Checkout(tmp_path)


def test_names_hold_version_and_content(checkout: Checkout) -> None:
    train, predict = checkout.names()
    assert re.fullmatch(r"longtail-train-cpu:0\.1\.0-[0-9a-f]{16}", train)
    assert predict == train.replace("train-cpu", "predict")
    assert checkout.names() == [train, predict]
    assert checkout.names(IMAGES="predict", IMAGE_PREFIX="hub.example/team/") == [f"hub.example/team/{predict}"]
    (checkout.root / "src/longtail/__pycache__").mkdir()
    (checkout.root / "src/longtail/__pycache__/x.pyc").write_text("compiled")
    (checkout.root / "notes.txt").write_text("does not go in")
    assert checkout.names() == [train, predict]
    assert checkout.log.read_text() == ""


@pytest.mark.parametrize("changed", ["components/predict/server.py", "constraints.txt", "docker/Dockerfile", "LICENSE"])
def test_other_content_is_another_name(checkout: Checkout, changed: str) -> None:
    before = checkout.names()
    with (checkout.root / changed).open("a") as stream:
        stream.write("# changed\n")
    assert not set(before) & set(checkout.names())


def test_another_base_or_another_build_of_torch_is_another_name(checkout: Checkout) -> None:
    names = {checkout.names()[0], checkout.names(FAKE_BASE_ID="2")[0]}
    names.add(checkout.names(TORCH_INDEX_URL="https://torch.example/cpu")[0])
    assert len(names) == 3


def test_what_is_built_is_printed_and_not_built_again(checkout: Checkout) -> None:
    first = checkout.build()
    assert first.returncode == 0, first.stderr
    assert first.stdout.splitlines() == checkout.names()
    builds = checkout.log.read_text().splitlines()
    assert [re.findall(r"--target (\S+)", line) for line in builds] == [["train-cpu"], ["predict"]]
    again = checkout.build()
    assert again.stdout == first.stdout
    assert "is there already" in again.stderr
    assert checkout.log.read_text().splitlines() == builds


def test_arguments_are_passed_and_secrets_are_secrets(checkout: Checkout, tmp_path: Path) -> None:
    for name in ("ca.pem", "pip.conf", "context"):
        (tmp_path / name).write_text("secret")
    (tmp_path / "wheels").mkdir()
    (tmp_path / "wheels/torch-1-py3-none-any.whl").write_text("")
    done = checkout.build(
        IMAGES="predict",
        CA_BUNDLE=str(tmp_path / "ca.pem"),
        PIP_CONFIG=str(tmp_path / "pip.conf"),
        PIP_INDEX_URL="https://index.example/simple",
        WHEELS=str(tmp_path / "wheels"),
        NETWORK="host",
        FAKE_CONTEXT=str(tmp_path / "context"),
    )
    assert done.returncode == 0, done.stderr
    command = checkout.log.read_text()
    assert f"--secret id=ca,src={tmp_path}/ca.pem" in command
    assert f"--secret id=pip,src={tmp_path}/pip.conf" in command
    assert "--build-arg PIP_INDEX_URL=https://index.example/simple" in command
    assert "--network host" in command
    context = set((tmp_path / "context").read_text().split())
    assert "./docker/wheels/torch-1-py3-none-any.whl" in context
    assert "./src/longtail/components" in context
    assert not any("secret" in path or "tests/" in path for path in context)


@pytest.mark.parametrize(
    ("environment", "says"),
    [
        ({"IMAGES": "serve"}, "serve is none of train-cpu, train-cuda, predict"),
        ({"CA_BUNDLE": "/nowhere.pem"}, "/nowhere.pem: no such file"),
        ({"WHEELS": "/nowhere"}, "/nowhere is no folder"),
        ({"FAKE_HELP": "without"}, "no Docker client with BuildKit"),
        ({"FAKE_NO_ENGINE": "1"}, "no Docker engine answers"),
        ({"BASE_IMAGE": "ours:1"}, "ours:1 is not here and cannot be pulled; make one with docker/base.sh"),
    ],
)
def test_what_is_refused_before_anything_is_built(checkout: Checkout, environment: dict[str, str], says: str) -> None:
    done = checkout.build(**environment)
    assert done.returncode == 2
    assert done.stderr.splitlines()[-1].startswith("error: ")
    assert says in done.stderr
    assert checkout.log.read_text() == ""


def test_make_passes_its_variables_on(checkout: Checkout) -> None:
    done = subprocess.run(
        ["make", "-s", "images", "IMAGES=predict", "IMAGE_PREFIX=team/"],
        cwd=checkout.root,
        env=checkout.environment,
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0, done.stderr
    assert done.stdout.startswith("team/longtail-predict:")
