"""scripts/kind with stand-ins for the tools: order, idempotence, messages. A cluster itself is not made here."""

import hashlib
import re
import shutil
import socket
import subprocess

import pytest
import yaml
from helpers_kind import ROOT, World, secrets
from helpers_manifests import one, render

from longtail.pipelines.cli.options import read_settings

pytestmark = pytest.mark.slow  # they run the scripts to their end

SCRIPTS = ROOT / "scripts/kind"


@pytest.fixture
def world(tmp_path):
    return World(tmp_path)


def positions(calls, *texts):
    """Where each text is first found; every one is."""
    found = [next((at for at, call in enumerate(calls) if text in call), None) for text in texts]
    assert None not in found, [text for text, at in zip(texts, found) if at is None]
    return found


def test_shellcheck_finds_nothing():
    if not shutil.which("shellcheck"):
        pytest.skip("shellcheck is not installed")
    done = subprocess.run(
        ["shellcheck", "-x", *map(str, SCRIPTS.glob("*.sh"))], capture_output=True, text=True, cwd=ROOT
    )
    assert done.returncode == 0, done.stdout


def test_versions_lie_in_one_file():
    for path in SCRIPTS.iterdir():
        if path.name != "versions.sh":
            assert not re.search(r"v?\d+\.\d+\.\d+(?!\.)", path.read_text().replace("127.0.0.1", "")), path
    versions = (SCRIPTS / "versions.sh").read_text()
    assert "@sha256:" in versions.split("NODE_IMAGE=")[1].split("\n")[0]
    kfp = re.search(r"KFP_VERSION=(\S+)", versions)[1]
    assert f'"kfp=={kfp}"' in (ROOT / "pyproject.toml").read_text()


def test_make_has_every_step():
    targets = re.findall(
        r"^kind-([a-z]+):.*\n\t@bash scripts/kind/([a-z]+)\.sh$", (ROOT / "Makefile").read_text(), re.M
    )
    assert targets == [(step, step) for step in ("up", "images", "run", "predict", "down")]


def test_up_installs_in_order_and_touches_no_other_cluster(world):
    done = world.run("up")
    assert done.returncode == 0, done.stderr
    assert "needs 4 CPUs and 12 GB" in done.stdout
    assert done.stdout.splitlines()[-1] == "kind: ready; next: make kind-images kind-run kind-predict"
    calls = world.calls("kind", "kubectl")
    assert [
        call for call in calls if "kind create cluster --name longtail --image kindest/node:v1.36.4@sha256:" in call
    ]
    kubectl = [call for call in calls if call.startswith("kubectl") and "version --client" not in call]
    assert all(call.startswith("kubectl --context kind-longtail ") for call in kubectl)
    order = positions(
        kubectl,
        "wait --for=condition=Ready node",
        "apply --server-side -f .kind/downloads/cert-manager",
        "wait -n cert-manager",
        "/kserve-crds.yaml",
        "create namespace kserve",
        "/kserve.yaml",
        'patch configmap inferenceservice-config --type merge -p {"data": {"deploy": "{\\"defaultDeploymentMode\\": \\"Standard',
        "wait -n kserve",
        "/kserve-cluster-resources.yaml",
        "patch clusterstoragecontainer default --type merge --patch-file manifests/kserve/storage-initializer.patch.yaml",
        "cluster-scoped-resources?ref=2.17.0",
        "wait --for=condition=Established crd/applications.app.k8s.io",
        "env/platform-agnostic?ref=2.17.0",
        "wait -n kubeflow",
        "apply -k manifests/overlays/kind",
        "get secret mlpipeline-minio-artifact",
        "apply -f -",
    )
    assert order == sorted(order)


def test_the_credentials_go_to_both_namespaces_and_to_no_log(world):
    done = world.run("up")
    first, second = map(yaml.safe_load, secrets(world))
    assert [first["metadata"]["namespace"], second["metadata"]["namespace"]] == ["longtail", "kubeflow"]
    assert (
        first["stringData"]
        == second["stringData"]
        == {
            "AWS_ACCESS_KEY_ID": "minio",
            "AWS_SECRET_ACCESS_KEY": "a&b/c$d",
            "AWS_ENDPOINT_URL": "http://seaweedfs.kubeflow:8333",
            "AWS_DEFAULT_REGION": "us-east-1",
        }
    )
    assert first["metadata"]["annotations"] == {
        "serving.kserve.io/s3-endpoint": "seaweedfs.kubeflow:8333",
        "serving.kserve.io/s3-usehttps": "0",
        "serving.kserve.io/s3-verifyssl": "1",
        "serving.kserve.io/s3-region": "us-east-1",
    }
    assert "a&b/c$d" not in done.stdout + done.stderr + world.log.read_text()


def test_up_again_makes_and_downloads_nothing_anew(world):
    world.run("up")
    world.calls()
    done = world.run("up")
    assert done.returncode == 0, done.stderr
    calls = world.calls()
    assert not [call for call in calls if call.startswith("kind create") or "create namespace" in call]
    assert not [call for call in calls if call.startswith("curl")]
    assert "docker start longtail-control-plane" in calls
    assert "cluster longtail is there" in done.stdout


@pytest.mark.parametrize(("machine", "cpus", "memory"), [("2 16800000000", 2, 16), ("8 8200000000", 8, 8)])
def test_a_small_machine_is_refused_with_what_helps(world, machine, cpus, memory):
    done = world.run("up", MACHINE=machine)
    assert done.returncode == 2
    assert f"Docker has {cpus} CPUs and {memory} GB of memory, but the cluster needs 4 and 12" in done.stderr
    assert f"make kind-up NEED_CPUS={cpus} NEED_MEMORY_GB={memory}" in done.stderr
    assert world.calls("kind", "kubectl", "curl") == []
    assert world.run("up", MACHINE=machine, NEED_CPUS=str(cpus), NEED_MEMORY_GB=str(memory)).returncode == 0


def test_without_docker_or_its_engine_nothing_begins(world):
    assert "no Docker engine answers" in world.run("up", FAIL="docker info").stderr
    world.remove("docker")
    done = world.run("up")
    assert (done.returncode, "docker is not installed" in done.stderr) == (2, True)
    assert world.calls("kind", "kubectl", "curl") == []


@pytest.mark.parametrize(
    ("fails", "what"),
    [
        ("wait -n kubeflow", "Kubeflow Pipelines (some minutes)"),
        ("wait -n kserve", "KServe"),
        ("wait -n cert-manager", "cert-manager"),
    ],
)
def test_what_does_not_come_up_is_shown_and_a_rerun_goes_on(world, fails, what):
    done = world.run("up", FAIL=fails)
    assert done.returncode == 2
    assert f"error: {what}: not there in time" in done.stderr
    calls = world.calls("kubectl")
    assert "get pods --all-namespaces" in calls[-2] and "get events --all-namespaces" in calls[-1]
    assert world.run("up").returncode == 0


def test_a_failed_cluster_is_said(world):
    done = world.run("up", FAIL="kind create", SAYS="ERROR: failed to create cluster")
    assert done.returncode == 2
    assert done.stderr.splitlines() == [
        "ERROR: failed to create cluster",
        "error: kind could not make the cluster; see the lines above, and docs/troubleshooting.md",
    ]


def pin(world, name, digest):
    path = world.root / "scripts/kind/versions.sh"
    path.write_text(path.read_text().replace(f"{name}=\n", f"{name}={digest}\n"))


def test_a_pinned_file_must_have_its_checksum(world):
    url = "https://github.com/cert-manager/cert-manager/releases/download/v1.17.0/cert-manager.yaml"
    pin(world, "CERT_MANAGER_SHA256", "0" * 64)
    done = world.run("up")
    assert done.returncode == 2
    assert f"{url} has the sha256" in done.stderr and "do not use it" in done.stderr
    assert not list((world.root / ".kind/downloads").glob("cert-manager*"))
    assert not [call for call in world.calls("kubectl") if "apply" in call]
    (world.root / "scripts/kind/versions.sh").write_text((SCRIPTS / "versions.sh").read_text())
    pin(world, "CERT_MANAGER_SHA256", hashlib.sha256(f"content of {url}\n".encode()).hexdigest())
    done = world.run("up")
    assert done.returncode == 0, done.stderr
    assert "cert-manager-v1.17.0.yaml: no published checksum" not in done.stdout
    assert "kserve.yaml: no published checksum, trusted by TLS alone; its sha256 is" in done.stdout


def test_a_download_that_was_cut_off_is_no_file(world):
    done = world.run("up", FAIL="kserve-crds.yaml")
    assert done.returncode == 2
    assert "cannot download https://github.com/kserve/kserve/releases/download/v0.20.0/kserve-crds.yaml" in done.stderr
    assert not list((world.root / ".kind/downloads/kserve-v0.20.0").glob("kserve-crds*"))
    assert world.run("up").returncode == 0


def test_a_tool_of_another_version_is_replaced_by_the_checked_one(world):
    done = world.run("up", KIND_SAYS="kind v0.11.0 go1.16 linux/amd64", SUM="f" * 64)
    assert done.returncode == 2
    assert "/kind-linux-" in done.stderr and "ffff was expected; it was cut off or changed" in done.stderr
    assert not (world.root / ".kind/bin/kind").exists()
    done = world.run("up", KIND_SAYS="kind v0.11.0 go1.16 linux/amd64")
    assert "kind v0.33.0 into .kind/bin" in done.stdout
    assert (
        (world.root / ".kind/bin/kind").read_text().startswith("content of https://kind.sigs.k8s.io/dl/v0.33.0/kind-")
    )


def test_images_are_loaded_and_named_to_the_runtime(world):
    world.run("up")
    world.calls()
    done = world.run("images")
    assert done.returncode == 0, done.stderr
    calls = world.calls()
    loads = [call for call in calls if call.startswith("kind load")]
    assert loads == [
        "kind load docker-image longtail-train-cpu:0.1.0-abc --name longtail",
        "kind load docker-image longtail-predict:0.1.0-def --name longtail",
    ]
    assert calls[-1] == "kubectl --context kind-longtail apply -k .kind/longtail/overlay"
    runtime = one(render(world.root / ".kind/longtail/overlay"), "ServingRuntime", "longtail")
    assert runtime["spec"]["containers"][0]["image"] == "longtail-predict:0.1.0-def"


def test_up_again_keeps_the_images_that_were_loaded(world):
    world.run("up")
    world.run("images")
    world.calls()
    world.run("up")
    overlays = [
        call.rsplit(" ", 1)[1] for call in world.calls("kubectl") if "apply -k" in call and "github" not in call
    ]
    assert overlays == [".kind/longtail/overlay"]


def test_run_submits_what_was_loaded_and_ends_as_it_ends(world):
    world.run("up")
    assert "no images were loaded; first: make kind-images" in world.run("run").stderr
    world.run("images")
    world.calls()
    done = world.run("run", LONGTAIL_FLAGS="--set deploy.golden_users=4")
    assert done.returncode == 0, done.stderr
    calls = world.calls()
    data, upload, submit = (
        next(call for call in calls if call.startswith(start))
        for start in ("longtail demo-data", "python", "longtail submit")
    )
    assert calls.index(data) < calls.index(upload) < calls.index(submit)
    assert "--follow" in submit and "--set deploy.golden_users=4" in submit
    assert "--interactions s3://mlpipeline/longtail/data/interactions.parquet" in submit
    assert "--users s3://mlpipeline/longtail/data/users.parquet" in submit
    for option in ("--resources", "--config"):
        assert (ROOT / submit.split(f"{option} ")[1].split()[0]).is_file()
    assert "--set deploy.target=cluster --set deploy.registry_uri=s3://mlpipeline/longtail/registry" in submit
    overrides = re.findall(r"--set (\S+)", submit)
    read_settings(None, overrides, None)  # are settings that longtail has
    assert (world.folder / "image").read_text() == "longtail-train-cpu:0.1.0-abc"
    assert "/#/runs/details/1" in done.stdout
    assert world.forwards_alive() == []
    assert world.run("run", FAIL="longtail submit").returncode == 1
    assert world.forwards_alive() == []


def test_run_takes_tables_of_your_own(world):
    world.run("up")
    world.run("images")
    world.calls()
    assert world.run("run", INTERACTIONS="s3://mine/i", ITEMS="s3://mine/j").returncode == 0
    calls = world.calls()
    assert not [call for call in calls if call.startswith(("python", "longtail demo-data"))]
    (submit,) = [call for call in calls if call.startswith("longtail submit")]
    assert "--interactions s3://mine/i --items s3://mine/j --resources" in submit  # without the demo's settings
    world.run("run", INTERACTIONS="s3://mine/i", ITEMS="s3://mine/j", CONFIG="mine.yaml")
    assert [call for call in world.calls("longtail") if "--config mine.yaml" in call]


def test_predict_asks_the_service(world):
    world.run("up")
    world.calls()
    done = world.run("predict", REQUEST='{"instances": [{"k": 1}]}')
    assert done.returncode == 0, done.stderr
    assert '{"predictions": []}' in done.stdout.splitlines()
    asked = next(call for call in world.calls("curl") if ":predict" in call)
    assert '--data {"instances": [{"k": 1}]} http://127.0.0.1:' in asked
    assert asked.endswith("/v1/models/longtail:predict")
    assert '{"interests": "a gift for a coffee lover", "k": 5}' in world.run("predict").stdout
    assert world.forwards_alive() == []


def test_predict_says_when_there_is_no_service(world):
    world.run("up")
    done = world.run("predict", FAIL="get inferenceservice longtail")
    assert (done.returncode, "there is no InferenceService longtail" in done.stderr) == (2, True)


def test_a_port_in_use_is_not_asked(world):
    world.run("up")
    with socket.create_server(("127.0.0.1", 0)) as other:
        done = world.run("predict", PORT=str(other.getsockname()[1]))
    assert done.returncode == 2
    assert "is in use; stop what listens there, or give another" in done.stderr


def test_a_forward_that_ends_is_said_with_its_reason(world):
    world.run("up")
    done = world.run(
        "predict", FAIL="port-forward|/ready", SAYS="error: unable to forward port because pod is not running"
    )
    assert done.returncode == 2
    assert "unable to forward port because pod is not running; see docs/troubleshooting.md" in done.stderr


@pytest.mark.parametrize("step", ["images", "run", "predict"])
def test_steps_before_the_cluster_say_so(world, step):
    done = world.run(step)
    assert (done.returncode, "there is no cluster longtail; make one first: make kind-up" in done.stderr) == (2, True)


def test_down_deletes_and_may_be_repeated(world):
    world.run("up")
    assert world.run("down").returncode == 0
    assert [call for call in world.calls("kind") if "delete" in call]
    assert not (world.root / ".kind/longtail").exists()
    done = world.run("down")
    assert (done.returncode, "there is no cluster longtail" in done.stdout) == (0, True)
    assert not [call for call in world.calls("kind") if "delete" in call]
