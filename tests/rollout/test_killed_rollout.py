"""A rollout whose process is killed half-way is run again, and ends as if nothing had happened."""

import json
import os
import signal
import subprocess
import sys

import pytest

PROGRAM = """
import json, logging, sys
from helpers_hand_bundle import GOLDEN
from longtail.rollout.kubernetes_api import connect
from longtail.rollout.roll_out import roll_out
from longtail.rollout.service_settings import ServiceSettings
from longtail.registry.opening import open_registry

kubeconfig, registry_uri, version, settings = sys.argv[1:]
registry = open_registry(registry_uri)
roll_out(connect("longtail", kubeconfig), registry, registry.version(version), GOLDEN, ServiceSettings(**json.loads(settings)))
"""


@pytest.mark.slow
@pytest.mark.parametrize(
    ("rollout", "percent"),
    [("canary", 0), ("canary", 50), ("canary", 100), ("canary", None), ("rolling", None)],
    ids=["before traffic", "with traffic", "while it takes the stable place", "without the canary", "rolling"],
)
def test_a_killed_rollout_goes_on(serving, tmp_path, rollout, percent):
    """``percent``: the candidate's share at the moment of the kill; None: it is alone."""

    def kill(service):
        canary = service["spec"].get("canary")
        if (canary[0]["trafficPercent"] if canary else None) == percent:
            process.kill()

    serving.cluster.on_apply = kill
    settings = {"name": "shop", "rollout": rollout, "step_seconds": 0, "step_requests": 4, "max_p95_ms": 1e6}
    command = [sys.executable, "-c", PROGRAM, str(serving.cluster.kubeconfig(tmp_path)), serving.registry.uri]
    paths = os.pathsep.join(path for path in sys.path if path)
    process = subprocess.Popen(
        [*command, serving.new.id, json.dumps(settings)], env=os.environ | {"PYTHONPATH": paths}, stderr=subprocess.PIPE
    )
    _, errors = process.communicate(timeout=300)
    assert process.returncode == -signal.SIGKILL, errors.decode()
    assert serving.champion == serving.old.id

    serving.cluster.on_apply = lambda _: None
    serving.deploy(serving.new, rollout=rollout)
    assert serving.percents()[-1] is None
    assert "canary" not in serving.cluster.service["spec"]
    assert (serving.stable_uri(), serving.champion) == (serving.new.uri, serving.new.id)
    assert [move.version for move in serving.registry.promotions()] == [serving.old.id, serving.new.id]
