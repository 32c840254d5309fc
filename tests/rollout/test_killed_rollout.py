"""A rollout whose process is killed half-way is run again, and ends as if nothing had happened."""

import json
import os
import signal
import subprocess
import sys

import pytest

PROGRAM = """
import json, logging, signal, sys
signal.signal(signal.SIGINT, signal.default_int_handler)  # a test runner in the background hands on that it is ignored
from helpers_hand_bundle import GOLDEN
from longtail.rollout.kubernetes_api import connect
from longtail.rollout.roll_out import roll_out
from longtail.rollout.service_settings import ServiceSettings
from longtail.registry.opening import open_registry

kubeconfig, registry_uri, version, settings = sys.argv[1:]
registry = open_registry(registry_uri)
roll_out(connect("longtail", kubeconfig), registry, registry.version(version), GOLDEN, ServiceSettings(**json.loads(settings)))
"""


def start(stage, folder, rollout):
    """The rollout of the new bundle as a process."""
    settings = {
        "name": "shop", "rollout": rollout, "step_seconds": 0, "step_requests": 4, "drain_seconds": 0, "max_p95_ms": 1e6
    }  # fmt: skip
    command = [sys.executable, "-c", PROGRAM, str(stage.cluster.kubeconfig(folder)), stage.registry.uri]
    paths = os.pathsep.join(path for path in sys.path if path)
    return subprocess.Popen(
        [*command, stage.new.id, json.dumps(settings)], env=os.environ | {"PYTHONPATH": paths}, stderr=subprocess.PIPE
    )


def share(service):
    """The candidate's share; None: it is alone, or not there."""
    canary = service["spec"].get("canary")
    return canary[0]["trafficPercent"] if canary else None


@pytest.mark.slow
@pytest.mark.parametrize(
    ("rollout", "percent"),
    [("canary", 0), ("canary", 50), ("canary", 100), ("canary", None), ("rolling", None)],
    ids=["before traffic", "with traffic", "while it takes the stable place", "without the canary", "rolling"],
)
def test_a_killed_rollout_goes_on(serving, tmp_path, rollout, percent):
    """``percent``: the candidate's share at the moment of the kill; None: it is alone."""

    def kill(service):
        if share(service) == percent:
            process.kill()

    serving.cluster.on_apply = kill
    process = start(serving, tmp_path, rollout)
    _, errors = process.communicate(timeout=300)
    assert process.returncode == -signal.SIGKILL, errors.decode()
    assert serving.champion == serving.old.id

    serving.cluster.on_apply = lambda _: None
    serving.deploy(serving.new, rollout=rollout)
    assert serving.percents()[-1] is None
    assert "canary" not in serving.cluster.service["spec"]
    assert (serving.stable_uri(), serving.champion) == (serving.new.uri, serving.new.id)
    assert [move.version for move in serving.registry.promotions()] == [serving.old.id, serving.new.id]


@pytest.mark.slow
@pytest.mark.parametrize("sent", [signal.SIGTERM, signal.SIGINT])
@pytest.mark.parametrize(
    ("rollout", "percent", "shares"),
    [
        ("canary", 0, [0, None]),
        ("canary", 50, [0, 10, 50, 0, None]),
        ("canary", 100, [0, 10, 50, 100, 0, None]),
        ("rolling", None, [None, None]),
    ],
)
def test_a_rollout_that_is_ended_goes_back_first(serving, tmp_path, sent, rollout, percent, shares):
    """SIGTERM is what a cluster sends to a pod that it ends, SIGINT is Ctrl+C."""

    def end(service):
        if share(service) == percent:
            serving.cluster.on_apply = lambda _: None
            process.send_signal(sent)

    serving.cluster.on_apply = end
    process = start(serving, tmp_path, rollout)
    _, errors = process.communicate(timeout=300)
    assert process.returncode == {signal.SIGTERM: 143, signal.SIGINT: -signal.SIGINT}[sent], errors.decode()
    told = "rolled back to" if percent in (100, None) else "the canary is taken away"
    assert f"ended the rollout; {told}" in errors.decode()
    assert serving.percents() == shares
    assert (serving.stable_uri(), serving.champion) == (serving.old.uri, serving.old.id)
