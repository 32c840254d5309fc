"""A bundle that does not come up: the error says why, in the cluster's own words, and what to do."""

import pytest
from helpers_kubernetes import warning

from longtail.contracts.errors import UserError


@pytest.mark.parametrize(
    ("fault", "message"),
    [
        ("image", r"container kserve-container: ImagePullBackOff: Back-off pulling image .*check the image's name"),
        ("crash", r"CrashLoopBackOff.*exit code 2 \(Error\); its log ends: error: /mnt/models: is no longtail/bundle"),
        ("memory", r"exit code 137 \(OOMKilled\).*raise deploy.memory"),
        ("storage", r"container storage-initializer: CrashLoopBackOff.*service account's secret may read it"),
    ],
)
@pytest.mark.parametrize("rollout", ["rolling", "canary"])
def test_a_pod_that_cannot_start_ends_the_rollout_at_once(serving, fault, message, rollout):
    serving.cluster.controller.broken[serving.new.uri] = fault
    with pytest.raises(UserError, match=message):
        serving.deploy(serving.new, rollout=rollout)
    assert (serving.stable_uri(), serving.champion) == (serving.old.uri, serving.old.id)


def test_a_pod_without_a_node_is_waited_for_and_then_named(serving):
    serving.cluster.controller.broken[serving.new.uri] = "node"
    with pytest.raises(
        UserError, match=r"finds no node \(Unschedulable: 0/3 nodes: Insufficient cpu\); give the cluster room"
    ):
        serving.deploy(serving.new, ready_seconds=1)


def test_a_pods_events_are_told(serving):
    serving.cluster.controller.broken[serving.new.uri] = "image"
    serving.cluster.on_apply = lambda _: serving.cluster.events.extend(
        warning(pod["metadata"]["name"], "Failed", "manifest unknown")
        for pod in serving.cluster.controller.pods("shop")
    )
    with pytest.raises(UserError, match=r"events: Failed: manifest unknown"):
        serving.deploy(serving.new, rollout="rolling")


def test_a_first_bundle_that_fails_has_nothing_to_go_back_to(stage):
    stage.cluster.controller.broken[stage.new.uri] = "crash"
    with pytest.raises(UserError, match=r"there is no earlier bundle to go back to, so the service is left"):
        stage.deploy(stage.new)
    assert stage.champion is None


@pytest.mark.parametrize(
    ("verb", "resource", "message"),
    [
        ("patch", "inferenceservices", r"grant system:serviceaccount:kubeflow:longtail-pipeline the verb patch on inferenceservices.serving.kserve.io"),
        ("get", "pods", r"the verb get on pods in a Role"),
    ],
)  # fmt: skip
def test_a_missing_right_is_named(stage, verb, resource, message):
    stage.cluster.forbidden = {(verb, resource)}
    with pytest.raises(UserError, match=message):
        stage.deploy(stage.old)
    assert stage.champion is None
