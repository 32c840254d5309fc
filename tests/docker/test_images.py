"""The images, really built by a real engine and really run. Skips where there is no engine or no base image to build on."""

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from longtail.components.predict.client import ask
from longtail.contracts.errors import UserError
from longtail.rollout.answers import TOLERANCE, greatest_difference
from longtail.system.http import call

pytestmark = pytest.mark.slow

ROOT = Path(__file__).parents[2]
BASE = os.environ.get("BASE_IMAGE", "python:3.11-slim-bookworm")
# The demo's pipeline with little training: about containers, not quality.
LITTLE = (
    "finetune.adaptation.steps=4",
    "finetune.training.dim=32",
    "finetune.training.epochs=1",
    "distill.training.dim=32",
    "distill.training.epochs=1",
    "evaluate.bootstrap_samples=100",
    "evaluate.gate_rules=[{must_be: not_worse, than: popularity, margin: 1000}]",
)
LOCKED = ("--read-only", "--cap-drop", "ALL", "--user", "65532", "--security-opt", "no-new-privileges")


def docker(*words: str) -> str:
    done = subprocess.run(["docker", *words], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    return done.stdout.strip()


def longtail(*words: object) -> "subprocess.CompletedProcess[str]":
    return subprocess.run(command(*words), capture_output=True, text=True)


def command(*words: object) -> list[str]:
    return [sys.executable, "-c", "from longtail.pipelines.cli.main import main; main()", *map(str, words)]


@pytest.fixture(scope="module")
def images() -> dict[str, str]:
    """Target -> name of its image."""
    if reason := os.environ.get("LONGTAIL_NO_IMAGES"):
        pytest.skip(reason)
    try:
        docker("info")
    except (OSError, AssertionError):
        pytest.skip("no Docker engine answers; .ci/run starts one as root on Debian")
    try:
        docker("image", "inspect", BASE)
    except AssertionError:
        pytest.skip(
            f"the base image {BASE} is not here; pull it, or make one by docker/base.sh and name it: BASE_IMAGE"
        )
    done = subprocess.run(["bash", "docker/build.sh"], cwd=ROOT, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr[-5000:]
    return dict(zip(("train-cpu", "predict"), done.stdout.split(), strict=True))


@pytest.fixture(scope="module")
def run_folder(images: dict[str, str], tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The demo pipeline's results, computed in containers of the train image."""
    folder = tmp_path_factory.mktemp("containers")
    assert longtail("demo-data", "--out", folder / "data").returncode == 0
    done = longtail(*run_words(folder, images))
    log = folder / "out/run.log"
    assert done.returncode == 0, done.stderr + (log.read_text()[-5000:] if log.exists() else "")
    for stage in ("fingerprint", "preprocess", "finetune", "distill", "evaluate", "refresh", "deploy"):
        assert f"{stage:<12} done" in done.stdout
    return folder / "out"


def run_words(folder: Path, images: dict[str, str]) -> list[object]:
    tables = [
        word for name in ("interactions", "items", "users") for word in (f"--{name}", folder / f"data/{name}.parquet")
    ]
    settings = [
        "--config",
        ROOT / "pipelines/cli/demo.yaml",
        *(word for setting in LITTLE for word in ("--set", setting)),
    ]
    return ["run", *tables, *settings, "--out", folder / "out", "--image", images["train-cpu"]]


@pytest.fixture(scope="module")
def server(images: dict[str, str], run_folder: Path) -> Iterator[tuple[str, str]]:
    """Container and address of the predict image's server on the bundle that was evaluated (a refresh answers otherwise)."""
    bundle = f"{run_folder / 'measured-bundle'}:/mnt/models:ro"
    container = docker(
        "run", "--detach", *LOCKED, "--volume", bundle, "--publish", "127.0.0.1:0:8080", images["predict"]
    )
    try:
        url = f"http://{docker('port', container, '8080/tcp')}"
        deadline = time.monotonic() + 120
        while True:
            try:
                call(f"{url}/v2/models/longtail/ready", timeout_seconds=5)
                break
            except UserError:
                assert time.monotonic() < deadline, docker("logs", container)
                time.sleep(0.2)
        yield container, url
    finally:
        docker("rm", "--force", "--volumes", container)


def inspected(image: str) -> dict[str, Any]:
    found: dict[str, Any] = json.loads(docker("image", "inspect", image))[0]
    return found


@pytest.mark.parametrize("target", ["train-cpu", "predict"])
def test_user_and_labels(images: dict[str, str], target: str) -> None:
    config = inspected(images[target])["Config"]
    assert config["User"] == "65532:65532"
    labels = {key.removeprefix("org.opencontainers.image."): value for key, value in config["Labels"].items()}
    assert labels["title"] == f"longtail-{target}"
    assert labels["version"] == images[target].rpartition(":")[2]
    assert labels["licenses"] == "Apache-2.0"
    assert labels["base.name"] == BASE
    assert labels["description"] and labels["revision"]
    history = docker("history", "--no-trunc", images[target])
    assert "ca-certificates.crt" not in history


def test_predict_is_small_and_without_torch_kfp_and_pip(images: dict[str, str]) -> None:
    assert inspected(images["predict"])["Size"] < 900e6
    script = "from importlib.util import find_spec; print([m for m in ('torch', 'transformers', 'kfp', 'pip') if find_spec(m)])"
    found = docker(
        "run", "--rm", *LOCKED, "--network", "none", "--entrypoint", "python3", images["predict"], "-c", script
    )
    assert found == "[]"


def test_train_loads_its_language_model_without_a_network(images: dict[str, str]) -> None:
    script = (
        "from transformers import AutoModel; import torch, kfp; "
        "from longtail.system.embedded_model import embedded_model_path; "
        "print(AutoModel.from_pretrained(embedded_model_path()).config.hidden_size, torch.__version__)"
    )
    options = ("--rm", *LOCKED, "--tmpfs", "/tmp", "--network", "none")
    assert docker("run", *options, images["train-cpu"], "python3", "-c", script).split()[0] == "384"


def test_pipeline_in_containers_leaves_results_and_no_container(images: dict[str, str], run_folder: Path) -> None:
    shown = {path.name for path in run_folder.iterdir()}
    assert {"bundle", "prepared", "evaluation.json", "report.html", "inferenceservice.yaml", "run.log"} <= shown
    assert containers_of(images["train-cpu"]) == []
    if os.getuid() == 0:
        assert {path.stat().st_uid for path in (run_folder / ".work/tasks").rglob("bundle")} == {65532}


def containers_of(image: str) -> list[str]:
    return docker("ps", "--all", "--quiet", "--filter", f"ancestor={image}").split()


def test_rerun_is_cached(images: dict[str, str], run_folder: Path) -> None:
    again = longtail(*run_words(run_folder.parent, images))
    assert again.returncode == 0, again.stderr
    for stage in ("preprocess", "finetune", "distill", "evaluate", "refresh"):
        assert f"{stage:<12} cached" in again.stdout


def test_it_serves_what_was_evaluated(server: tuple[str, str], run_folder: Path) -> None:
    (path,) = (run_folder / ".work/tasks").rglob("golden.json")
    golden = json.loads(path.read_text())
    instances = [
        {key: user[key] for key in ("history", "attributes", "context")} | {"k": len(user["expected"])}
        for user in golden
    ]
    assert greatest_difference("v1", golden, ask(server[1], "longtail", instances)) < TOLERANCE
    (newcomer,) = ask(server[1], "longtail", [{"interests": "growing vegetables and pruning roses", "k": 5}])
    assert [item["item_id"][:3] for item in newcomer["items"]] == ["GAR"] * 5


def test_server_ends_cleanly_on_sigterm(images: dict[str, str], server: tuple[str, str]) -> None:
    docker("kill", "--signal", "TERM", server[0])
    assert docker("wait", server[0]) == "0"


def test_what_a_user_got_wrong_is_one_message_from_inside_a_container(images: dict[str, str], tmp_path: Path) -> None:
    (tmp_path / "log.csv").write_text("user_id,when\nu1,1\n")
    (tmp_path / "items.csv").write_text("item_id,title\ni1,One\n")
    tables = ("--interactions", tmp_path / "log.csv", "--items", tmp_path / "items.csv")
    done = longtail("run", *tables, "--out", tmp_path / "out", "--image", images["train-cpu"])
    assert done.returncode == 2, done.stderr
    assert done.stderr.startswith("error: ")
    assert done.stderr.count("\n") == 1
    assert f"{tmp_path}/log.csv" in done.stderr


def test_an_ended_command_ends_its_container(images: dict[str, str], run_folder: Path, tmp_path: Path) -> None:
    words = [tmp_path / "out" if word == run_folder else word for word in run_words(run_folder.parent, images)]
    running = subprocess.Popen(command(*words), stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True)
    while not containers_of(images["train-cpu"]):
        assert running.poll() is None
        time.sleep(0.1)
    running.send_signal(signal.SIGTERM)
    _, error = running.communicate(timeout=60)
    assert running.returncode == 128 + signal.SIGTERM
    assert "Traceback" not in error
    assert containers_of(images["train-cpu"]) == []
