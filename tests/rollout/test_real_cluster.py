"""Rollouts on a real cluster with KServe: an InferenceService becomes Ready from a ``pvc://`` bundle, and answers.

Skipped unless LONGTAIL_KUBECONFIG names the kubeconfig of a user who may write there. Where these are not set, what they name
is made, and removed again:

    LONGTAIL_TEST_NAMESPACE  a namespace
    LONGTAIL_TEST_PVC        a claim in it that a pod may write; the bundles are copied to <claim>/longtail-test
    LONGTAIL_TEST_IMAGE      image of the model server that the cluster can pull or has loaded; otherwise the ``predict`` that
                             ``make images`` has built of this code, as ``make kind-images`` loads it
"""

import base64
import contextlib
import dataclasses
import io
import os
import subprocess
import tarfile
import time
import uuid
from pathlib import Path

import pytest
from helpers_decision import publish_rivals
from helpers_hand_bundle import GOLDEN, write_hand_bundle
from kubernetes import client

from longtail.components.deploy.serving_runtime import serving_runtime
from longtail.contracts.errors import UserError
from longtail.registry.opening import open_registry
from longtail.rollout.kubernetes_api import connect, find_service
from longtail.rollout.operations import describe, roll_back_served
from longtail.rollout.roll_out import roll_out
from longtail.rollout.service_settings import ServiceSettings

KUBECONFIG = os.environ.get("LONGTAIL_KUBECONFIG")
pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(not KUBECONFIG, reason="no real cluster: LONGTAIL_KUBECONFIG not set"),
]
ROOT = Path(__file__).parents[2]
FOLDER = "longtail-test"
UNPACK = (
    "import tarfile; tarfile.open('/packed/bundles.tar').extractall('/claim/longtail-test')"  # 3.11.2 knows no filter
)
KSERVE = ("serving.kserve.io", "v1alpha1")


class OnClaim:
    """A registry in a folder here whose versions also lie on a claim there."""

    def __init__(self, registry, claim):
        self.registry, self.base, self.uri = registry, f"pvc://{claim}/{FOLDER}", registry.uri

    def _there(self, version):
        return version and dataclasses.replace(version, uri=f"{self.base}/versions/{version.id}")

    def publish(self, bundle, decision=None):
        return self._there(self.registry.publish(bundle, decision))

    def manifest(self, version):
        return self.registry.manifest(version)

    def decision(self, version):
        return self.registry.decision(version)

    def version(self, id):
        return self._there(self.registry.version(id))

    def champion(self):
        return self._there(self.registry.champion())

    def promote(self, version, expected, reason, override=None):
        self.registry.promote(version, expected, reason, override)

    def promotions(self):
        return self.registry.promotions()

    def fetch(self, version, folder):
        return self.registry.fetch(version, folder)


@dataclasses.dataclass
class Real:
    cluster: object
    registry: OnClaim
    old: object
    new: object
    settings: ServiceSettings


@pytest.fixture(scope="module")
def namespace():
    if given := os.environ.get("LONGTAIL_TEST_NAMESPACE"):
        yield given
        return
    name = f"longtail-test-{uuid.uuid4().hex[:8]}"
    core = client.CoreV1Api(connect(name, KUBECONFIG).api)
    core.create_namespace({"metadata": {"name": name}})
    yield name
    core.delete_namespace(name)


@pytest.fixture(scope="module")
def claim(namespace):
    if given := os.environ.get("LONGTAIL_TEST_PVC"):
        yield given
        return
    core, name = client.CoreV1Api(connect(namespace, KUBECONFIG).api), f"lt-{uuid.uuid4().hex[:8]}"
    spec = {"accessModes": ["ReadWriteOnce"], "resources": {"requests": {"storage": "1Gi"}}}
    core.create_namespaced_persistent_volume_claim(namespace, {"metadata": {"name": name}, "spec": spec})
    yield name
    core.delete_namespaced_persistent_volume_claim(name, namespace)


@pytest.fixture(scope="module")
def image():
    if given := os.environ.get("LONGTAIL_TEST_IMAGE"):
        return given
    names = [ROOT / "docker" / "build.sh", "--names"]
    found = subprocess.run(names, env=os.environ | {"IMAGES": "predict"}, capture_output=True, text=True)
    assert found.returncode == 0, f"LONGTAIL_TEST_IMAGE is not set, and {found.stderr}"
    return found.stdout.strip()


@pytest.fixture(scope="module")
def real(tmp_path_factory, namespace, claim, image):
    folder, name = tmp_path_factory.mktemp("real"), f"lt-{uuid.uuid4().hex[:8]}"
    cluster = connect(namespace, KUBECONFIG)
    registry = OnClaim(open_registry(str(folder / "registry")), claim)
    other = write_hand_bundle(folder / "new", titles=("Red lamp", "Blue lamp", None, "Stool"))
    old, new = publish_rivals(registry, write_hand_bundle(folder / "old"), other)
    core, custom = client.CoreV1Api(cluster.api), client.CustomObjectsApi(cluster.api)
    copied = False
    made_runtime = install_runtime(custom, namespace, image)
    try:
        copy_to_claim(core, namespace, image, claim, name, folder / "registry")
        copied = True
        settings = ServiceSettings(
            name=name, namespace=namespace, image=image, service_account=None, cpu="250m", memory="512Mi",
            max_replicas=1, step_seconds=1, step_requests=4, max_p95_ms=10_000,
        )  # fmt: skip
        yield Real(cluster, registry, old, new, settings)
    finally:
        group, version = "serving.kserve.io", "v1beta1"
        if copied and find_service(cluster, name):
            custom.delete_namespaced_custom_object(group, version, namespace, "inferenceservices", name)
        if made_runtime:
            custom.delete_namespaced_custom_object(*KSERVE, namespace, "servingruntimes", "longtail")
        for remove in (core.delete_namespaced_pod, core.delete_namespaced_config_map):
            with contextlib.suppress(client.ApiException):  # the set-up ended before it was made
                remove(name, namespace)


def install_runtime(custom, namespace, image):
    """True where it was not there before."""
    found = custom.list_namespaced_custom_object(*KSERVE, namespace, "servingruntimes")["items"]
    if any(runtime["metadata"]["name"] == "longtail" for runtime in found):
        return False
    custom.create_namespaced_custom_object(*KSERVE, namespace, "servingruntimes", serving_runtime(image, namespace))
    return True


def copy_to_claim(core, namespace, image, claim, name, registry):
    """A pod of the model server's image unpacks the registry's folder from a ConfigMap onto the claim."""
    packed = io.BytesIO()
    with tarfile.open(fileobj=packed, mode="w") as archive:
        archive.add(registry / "versions", "versions")
    data = {"bundles.tar": base64.b64encode(packed.getvalue()).decode()}
    core.create_namespaced_config_map(
        namespace, client.V1ConfigMap(metadata=client.V1ObjectMeta(name=name), binary_data=data)
    )
    (container,) = serving_runtime(image)["spec"]["containers"]
    pod = {
        "apiVersion": "v1",
        "kind": "Pod",
        "metadata": {"name": name},
        "spec": {
            "restartPolicy": "Never",
            "automountServiceAccountToken": False,
            "securityContext": {"fsGroup": 65532},
            "containers": [
                {
                    "name": "unpack",
                    "image": image,
                    "command": ["python", "-c", UNPACK],
                    "securityContext": container["securityContext"],
                    "volumeMounts": [
                        {"name": "packed", "mountPath": "/packed"},
                        {"name": "claim", "mountPath": "/claim"},
                    ],
                }
            ],
            "volumes": [
                {"name": "packed", "configMap": {"name": name}},
                {"name": "claim", "persistentVolumeClaim": {"claimName": claim}},
            ],
        },
    }
    core.create_namespaced_pod(namespace, pod)
    deadline = time.monotonic() + 300
    while (phase := core.read_namespaced_pod(name, namespace).status.phase) != "Succeeded":
        assert phase != "Failed", core.read_namespaced_pod_log(name, namespace)
        assert time.monotonic() < deadline, core.read_namespaced_pod(name, namespace).status
        time.sleep(1)


def test_a_bundle_becomes_ready_and_answers_as_evaluated(real):
    report = roll_out(real.cluster, real.registry, real.old, GOLDEN, real.settings)
    assert report["promoted"]
    assert real.registry.champion().id == real.old.id
    assert ": ready, mode" in describe(real.cluster, real.registry, real.settings.name)[0]


def test_another_bundle_takes_its_place_and_makes_room_again(real):
    roll_out(real.cluster, real.registry, real.new, GOLDEN, real.settings)
    assert real.registry.champion().id == real.new.id
    assert roll_back_served(real.cluster, real.registry, real.settings) == f"rolled back to version {real.old.id}"
    assert real.registry.champion().id == real.old.id


def test_an_image_that_is_not_there_is_named_and_the_champion_serves_on(real):
    broken = real.settings.model_copy(update={"image": "longtail-predict:no-such-tag", "rollout": "rolling"})
    with pytest.raises(UserError, match=r"ErrImageNeverPull|ImagePullBackOff"):
        roll_out(real.cluster, real.registry, real.new, GOLDEN, broken)
    assert real.registry.champion().id == real.old.id
