"""A registry of two bundles, a cluster with KServe, and one real model server that answers for both bundles."""

import dataclasses

import pytest
from helpers_decision import publish_rivals
from helpers_hand_bundle import GOLDEN, write_hand_bundle
from helpers_kubernetes import FakeCluster

from longtail.components.deploy.local_server import running_server
from longtail.registry.opening import open_registry
from longtail.rollout import readiness, routes
from longtail.rollout.kubernetes_api import connect
from longtail.rollout.roll_out import roll_out
from longtail.rollout.service_settings import ServiceSettings

# nothing is timed here, so that a busy machine fails no test
SETTINGS = ServiceSettings(
    name="shop", step_seconds=0, step_requests=4, drain_seconds=0, max_p95_ms=1e6, ready_seconds=60
)


@pytest.fixture(autouse=True)
def quick_looks(monkeypatch):
    """The cluster of these tests is ready after so many looks, not after so many seconds."""
    monkeypatch.setattr(readiness, "FIRST_PAUSE", 0.02)
    monkeypatch.setattr(routes, "FIRST_PAUSE", 0.02)


@pytest.fixture(scope="session")
def model_server(tmp_path_factory):
    folder = tmp_path_factory.mktemp("served")
    with running_server(write_hand_bundle(folder / "bundle"), "shop", 120, folder / "log") as server:
        yield server.url


@pytest.fixture(scope="session")
def bundles(tmp_path_factory):
    """Two bundles that answer alike and are not the same."""
    folder = tmp_path_factory.mktemp("bundles")
    other = ("Red lamp", "Blue lamp", None, "Stool")
    return write_hand_bundle(folder / "old"), write_hand_bundle(folder / "new", titles=other)


@dataclasses.dataclass
class Stage:
    """What a rollout has to do with. ``old`` and ``new`` are versions; ``deploy`` rolls one out."""

    cluster: FakeCluster
    connection: object
    registry: object
    old: object
    new: object

    def deploy(self, version, golden=GOLDEN, override=None, **settings):
        chosen = SETTINGS.model_copy(update=settings)
        return roll_out(self.connection, self.registry, version, golden, chosen, override)

    @property
    def champion(self):
        champion = self.registry.champion()
        return champion.id if champion else None

    def percents(self):
        """The candidate's share after each apply."""
        return [
            spec["canary"][0]["trafficPercent"] if "canary" in spec else spec["predictor"].get("canaryTrafficPercent")
            for spec in (document["spec"] for document in self.cluster.applied)
        ]

    def stable_uri(self):
        return self.cluster.service["spec"]["predictor"]["model"]["storageUri"]


def make_stage(folder, model_server, bundles, knative=False):
    cluster = FakeCluster(model_server, knative)
    registry = open_registry(str(folder / "registry"))
    old, new = publish_rivals(registry, *bundles)
    connection = connect("longtail", str(cluster.kubeconfig(folder)))
    return Stage(cluster, dataclasses.replace(connection, patience_seconds=30.0), registry, old, new)


@pytest.fixture
def stage(tmp_path, model_server, bundles):
    """Standard mode, nothing deployed."""
    made = make_stage(tmp_path, model_server, bundles)
    yield made
    made.cluster.stop()


@pytest.fixture
def serving(stage):
    """The old bundle serves and is the champion."""
    stage.deploy(stage.old)
    stage.cluster.applied.clear()
    return stage


@pytest.fixture
def knative(tmp_path, model_server, bundles):
    """Knative mode, where the old bundle serves and is the champion."""
    made = make_stage(tmp_path, model_server, bundles, knative=True)
    gateway = made.cluster.url
    deploy = made.deploy
    made.deploy = lambda version, **settings: deploy(version, gateway_url=gateway, **settings)
    made.deploy(made.old)
    made.cluster.applied.clear()
    yield made
    made.cluster.stop()
