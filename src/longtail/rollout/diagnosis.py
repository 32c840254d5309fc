"""Why the pods of a bundle do not come up: their own reasons, their events, and the last lines of their logs."""

import re
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from longtail.rollout.inference_service import CANARY, REVISION, place_of, revision
from longtail.rollout.kubernetes_api import FIELD_MANAGER, Cluster, Document, items, last_lines

STORAGE_INITIALIZER = "storage-initializer"
MOST_EVENTS = 3
# a container that waits for one of these does not start by waiting longer
REMEDIES = {
    "ImagePullBackOff": "check the image's name and tag, and the pull secrets of the service account",
    "ErrImageNeverPull": "load the image onto the nodes",
    "InvalidImageName": "check deploy.image and the ServingRuntime",
    "CreateContainerConfigError": "make the secret or ConfigMap that it names",
    "CreateContainerError": "see its events",
    "CrashLoopBackOff": "see its log above",
    "OOMKilled": "raise deploy.memory",
}
# a pod that is refused for one of these is not made by waiting longer, either
REFUSALS = {
    r'secrets? "[^"]+" not found': "make that secret (manifests/README.md, Credentials), or name none in the service account: "
    "manifests/overlays/workload-identity",
    r'serviceaccounts? "[^"]+" not found': "make it (kubectl apply -k manifests/base), or name another by deploy.service_account",
    r"violates PodSecurity": "see docs/troubleshooting.md",
}
STORAGE_REMEDY = "check that the bundle lies there and that the service account's secret may read it"
RUNTIME_REMEDY = "install the ServingRuntime longtail in this namespace (manifests/base) and check its image"


@dataclass(frozen=True)
class Fault:
    """``final``: waiting longer does not help."""

    text: str
    final: bool


def diagnose(cluster: Cluster, service: Document, of: str, since: datetime | None, trust_status: bool) -> Fault | None:
    """What keeps the pods of revision ``of`` from serving; None while nothing is wrong. ``since``: earlier events are another
    attempt's. ``trust_status``: KServe's own verdict is of this generation."""
    name = service["metadata"]["name"]
    all_pods, events = pods_of(cluster, name), _warnings(cluster, since)
    pods = of_revision(all_pods, of)
    for pod in pods:
        if not is_ready(pod) and (fault := _of_pod(cluster, pod, events, since)):
            return fault
    if pods:
        waiting = [pod["metadata"]["name"] for pod in pods if not is_ready(pod)]
        told = _told([event for event in events if event["involvedObject"].get("name") in waiting])
        return Fault(f"events: {told}", final=False) if told else None
    model = (service.get("status") or {}).get("modelStatus") or {}
    if trust_status and model.get("transitionStatus") == "InvalidSpec":
        info = model.get("lastFailureInfo") or {}
        return Fault(f"{info.get('reason')}: {info.get('message')}; {RUNTIME_REMEDY}", final=True)
    others = {pod["metadata"].get("labels", {}).get("pod-template-hash", "none") for pod in all_pods}
    told = _told([event for event in events if _is_of(event, service, of, others)])
    remedy = next((remedy for text, remedy in REFUSALS.items() if re.search(text, told)), None)
    why = f"no pod was made; events: {told}" + (f"; {remedy}" if remedy else "")
    return Fault(why, final=remedy is not None) if told else None


def applied_at(service: Document) -> datetime | None:
    """When we last changed the service, by the API server's clock."""
    fields = service["metadata"].get("managedFields") or []
    times = [entry["time"] for entry in fields if entry.get("manager") == FIELD_MANAGER and "time" in entry]
    return max(map(datetime.fromisoformat, times), default=None)


def pods_of(cluster: Cluster, name: str) -> list[Document]:
    """The service's pods, without those that are being ended or were (an evicted pod stays in the list)."""
    pods = items(cluster, "pods", labelSelector=f"serving.kserve.io/inferenceservice={name}")
    ended = ("Failed", "Succeeded")
    return [
        pod for pod in pods if not pod["metadata"].get("deletionTimestamp") and pod["status"].get("phase") not in ended
    ]


def of_revision(pods: list[Document], of: str) -> list[Document]:
    return [pod for pod in pods if (pod["metadata"].get("labels") or {}).get(REVISION) == of]


def is_ready(pod: Document) -> bool:
    conditions = pod.get("status", {}).get("conditions") or []
    return any(condition["type"] == "Ready" and condition["status"] == "True" for condition in conditions)


def _warnings(cluster: Cluster, since: datetime | None) -> list[Document]:
    """The namespace's warnings since then, oldest first."""
    timed = [(_time(event), event) for event in items(cluster, "events", fieldSelector="type=Warning")]
    recent = [(at, event) for at, event in timed if since is None or (at is not None and at >= since)]
    return [event for _, event in sorted(recent, key=lambda pair: str(pair[0] or ""))]


def _time(event: Document) -> datetime | None:
    """When it last happened."""
    series = event.get("series") or {}
    told = series.get("lastObservedTime") or event.get("lastTimestamp") or event.get("eventTime")
    return datetime.fromisoformat(told) if told else None


def _is_of(event: Document, service: Document, of: str, others: set[str]) -> bool:
    """About the service, or what KServe made of the place in it where the revision stands, and no older ReplicaSet there."""
    about, name = str(event["involvedObject"].get("name", "")), service["metadata"]["name"]
    canary = revision(place_of(service, canary=True)) == of
    workload = f"{name}-{CANARY}-predictor" if canary else f"{name}-predictor"
    is_below = about == workload or about.startswith(f"{workload}-")
    return about == name or (is_below and not any(about.endswith(f"-{other}") for other in others))


def _told(events: list[Document]) -> str:
    return "; ".join(f"{event.get('reason')}: {event.get('message')}" for event in events[-MOST_EVENTS:])


def _of_pod(cluster: Cluster, pod: Document, events: list[Document], since: datetime | None) -> Fault | None:
    pod_name, status = pod["metadata"]["name"], pod.get("status", {})
    for container in [*(status.get("initContainerStatuses") or []), *(status.get("containerStatuses") or [])]:
        waiting = (container.get("state") or {}).get("waiting") or {}
        if waiting.get("reason") in REMEDIES:
            told = _told([event for event in events if event["involvedObject"].get("name") == pod_name])
            ended = _of_last_life(container).get("finishedAt")
            is_new = since is None or ended is None or datetime.fromisoformat(ended) >= since
            return Fault(_of_container(cluster, pod_name, container, told), final=is_new)
    for condition in status.get("conditions") or []:
        if condition["type"] == "PodScheduled" and condition["status"] == "False":
            return Fault(
                f"pod {pod_name} finds no node ({condition.get('reason')}: {condition.get('message')}); give the cluster "
                "room, or lower deploy.cpu and deploy.memory",
                final=False,
            )
    return None


def _of_last_life(container: dict[str, Any]) -> dict[str, Any]:
    return (container.get("lastState") or {}).get("terminated") or {}


def _of_container(cluster: Cluster, pod: str, container: dict[str, Any], events: str) -> str:
    waiting, ended = container["state"]["waiting"], _of_last_life(container)
    reason = waiting["reason"]
    parts = [f"pod {pod}, container {container['name']}: {reason}: {waiting.get('message') or 'no message'}"]
    if ended:
        parts.append(f"it ended with exit code {ended.get('exitCode')} ({ended.get('reason')})")
        parts.append(f"its log ends: {last_lines(cluster, pod, container['name'], previous=True)}")
    if events:
        parts.append(f"events: {events}")
    if container["name"] == STORAGE_INITIALIZER:
        remedy = STORAGE_REMEDY
    else:
        remedy = REMEDIES.get(ended.get("reason", ""), REMEDIES[reason])
    return "; ".join([*parts, remedy])
