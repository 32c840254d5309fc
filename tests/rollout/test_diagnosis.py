"""A bundle that does not come up: the error says why, in the cluster's own words, and what to do."""

import pytest
from helpers_kserve import RECORDED, label
from helpers_kubernetes import timestamp, warning

from longtail.contracts.errors import UserError
from longtail.rollout.operations import describe

EARLIER = "2026-01-02T03:04:05Z"


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


REFUSED = "Error creating: admission webhook pod-mutator denied the request: "


@pytest.mark.parametrize(
    ("said", "remedy"),
    [
        ('secrets "longtail-s3" not found', "make that secret .* or name none .*overlays/workload-identity"),
        ('serviceaccount "longtail-predictor" not found', "make it .*deploy.service_account"),
        ('violates PodSecurity "restricted:latest": allowPrivilegeEscalation != false', "see docs/troubleshooting.md"),
    ],
)
@pytest.mark.parametrize("rollout", ["rolling", "canary"])
def test_a_pod_that_is_refused_ends_the_rollout_at_once(serving, said, remedy, rollout):
    """The time is long, so that waiting for it would show."""
    workload = {"rolling": "shop-predictor", "canary": "shop-candidate-predictor"}[rollout]
    serving.cluster.controller.broken[serving.new.uri] = "none"
    serving.cluster.on_apply = lambda _: serving.cluster.events.append(
        warning(f"{workload}-5d8", "FailedCreate", REFUSED + said)
    )
    with pytest.raises(UserError, match=rf"no pod was made; events: FailedCreate: .*{said}; {remedy}"):
        serving.deploy(serving.new, rollout=rollout, ready_seconds=6000)
    assert (serving.stable_uri(), serving.champion) == (serving.old.uri, serving.old.id)


def test_a_quota_may_become_free(serving):
    serving.cluster.controller.broken[serving.new.uri] = "none"
    serving.cluster.on_apply = lambda _: serving.cluster.events.append(
        warning("shop-predictor-5d8", "FailedCreate", "forbidden: exceeded quota: small")
    )
    with pytest.raises(UserError, match=r"not ready within 1 seconds.*exceeded quota: small"):
        serving.deploy(serving.new, rollout="rolling", ready_seconds=1)


def test_events_of_others_and_of_an_earlier_attempt_are_not_told(serving):
    controller, old = serving.cluster.controller, label(serving.cluster.service["spec"]["predictor"])
    controller.broken[serving.new.uri] = "none"
    serving.cluster.on_apply = lambda _: serving.cluster.events.extend(
        [
            warning("shop-predictor-5d8", "FailedCreate", 'secrets "of-yesterday" not found', EARLIER),
            warning("shop-predictor-5d8", "FailedMount", "without a time") | {"lastTimestamp": None},
            warning("shop-2-predictor-5d8", "FailedCreate", 'secrets "of-another-service" not found'),
            warning("shop-candidate-predictor-5d8", "FailedCreate", 'secrets "of-the-canary" not found'),
            warning(f"shop-predictor-{old}", "FailedCreate", 'secrets "of-the-bundle-before" not found'),
            warning("shop-predictor-5d8", "BackOff", "of this attempt"),
            warning("shop-predictor-5d8", "Repeated", "by its series", EARLIER)
            | {"series": {"lastObservedTime": timestamp().replace("Z", ".000001Z")}},
        ]
    )
    with pytest.raises(UserError) as caught:
        serving.deploy(serving.new, rollout="rolling", ready_seconds=1)
    assert "events: BackOff: of this attempt; Repeated: by its series (" in str(caught.value)


def test_a_pods_earlier_events_are_not_told(serving):
    serving.cluster.controller.broken[serving.new.uri] = "image"
    serving.cluster.on_apply = lambda _: serving.cluster.events.extend(
        warning(pod["metadata"]["name"], "Failed", said, at)
        for pod in serving.cluster.controller.pods("shop")
        for said, at in (("of yesterday", EARLIER), ("of today", None))
    )
    with pytest.raises(UserError, match="events: Failed: of today; check the image") as caught:
        serving.deploy(serving.new, rollout="rolling")
    assert "of yesterday" not in str(caught.value)


def test_a_crash_before_this_rollout_is_given_another_start(stage, monkeypatch):
    """What a first bundle failed for was mended, and it is deployed again: its pod still waits for its next start."""
    ended = {"exitCode": 2, "reason": "Error", "finishedAt": EARLIER}
    monkeypatch.setitem(RECORDED, "crash", RECORDED["crash"] | {"lastState": {"terminated": ended}})
    stage.cluster.controller.broken[stage.old.uri] = "crash"
    with pytest.raises(UserError, match=r"was not ready within 1 seconds.*CrashLoopBackOff"):
        stage.deploy(stage.old, ready_seconds=1)
    monkeypatch.setitem(ended, "finishedAt", "2999-01-01T00:00:00Z")
    with pytest.raises(UserError, match=r"^longtail/shop: pod .*CrashLoopBackOff"):
        stage.deploy(stage.old, ready_seconds=6000)


def test_status_does_not_call_a_normal_start_a_fault(stage):
    stage.cluster.controller.ready_after = 100
    stage.cluster.on_apply = lambda _: stage.cluster.events.extend(
        warning(pod["metadata"]["name"], "Unhealthy", "Readiness probe failed: connection refused")
        for pod in stage.cluster.controller.pods("shop")
    )
    with pytest.raises(UserError, match=r"was not ready within 1 seconds.*the service is left as it is"):
        stage.deploy(stage.old, ready_seconds=1)
    shown = "\n".join(describe(stage.connection, None, "shop"))
    assert "not ready" in shown
    assert "fault" not in shown
    assert "  starts   events: Unhealthy: Readiness probe failed: connection refused" in shown


def test_status_of_a_service_that_works_tells_no_old_events(serving):
    serving.cluster.events = [warning("shop-predictor-5d8", "FailedCreate", 'secrets "old" not found', EARLIER)]
    shown = "\n".join(describe(serving.connection, None, "shop"))
    assert "ready, mode Standard" in shown
    assert "secrets" not in shown
