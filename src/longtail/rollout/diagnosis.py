"""Why the pods of a bundle do not come up: their own reasons, their events, and the last lines of their logs."""

from dataclasses import dataclass
from typing import Any

from longtail.rollout.inference_service import REVISION
from longtail.rollout.kubernetes_api import Cluster, Document, items, last_lines

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
STORAGE_REMEDY = "check that the bundle lies there and that the service account's secret may read it"
RUNTIME_REMEDY = "install the ServingRuntime longtail in this namespace (manifests/base) and check its image"


@dataclass(frozen=True)
class Fault:
    """``final``: waiting longer does not help."""

    text: str
    final: bool


def diagnose(cluster: Cluster, service: Document, revision: str, trust_status: bool) -> Fault | None:
    """What keeps the pods of ``revision`` from serving; None while nothing is wrong. ``trust_status``: KServe's own verdict is
    of this generation."""
    name = service["metadata"]["name"]
    pods = of_revision(pods_of(cluster, name), revision)
    for pod in pods:
        if not is_ready(pod) and (fault := _of_pod(cluster, pod)):
            return fault
    if pods:
        waiting = [pod["metadata"]["name"] for pod in pods if not is_ready(pod)]
        events = "; ".join(filter(None, (warnings(cluster, pod) for pod in waiting)))
        return Fault(f"events: {events}", final=False) if events else None
    model = (service.get("status") or {}).get("modelStatus") or {}
    if trust_status and model.get("transitionStatus") == "InvalidSpec":
        info = model.get("lastFailureInfo") or {}
        return Fault(f"{info.get('reason')}: {info.get('message')}; {RUNTIME_REMEDY}", final=True)
    events = warnings(cluster, name)
    return Fault(f"no pod was made; events: {events}", final=False) if events else None


def pods_of(cluster: Cluster, name: str) -> list[Document]:
    """The service's pods, without those that are being ended or were (an evicted pod stays in the list)."""
    pods = items(cluster, "pods", labelSelector=f"serving.kserve.io/inferenceservice={name}")
    ended = ("Failed", "Succeeded")
    return [
        pod for pod in pods if not pod["metadata"].get("deletionTimestamp") and pod["status"].get("phase") not in ended
    ]


def of_revision(pods: list[Document], revision: str) -> list[Document]:
    return [pod for pod in pods if (pod["metadata"].get("labels") or {}).get(REVISION) == revision]


def is_ready(pod: Document) -> bool:
    conditions = pod.get("status", {}).get("conditions") or []
    return any(condition["type"] == "Ready" and condition["status"] == "True" for condition in conditions)


def warnings(cluster: Cluster, name: str) -> str:
    """The latest warnings about the service and all that KServe made of it."""
    events = items(cluster, "events", fieldSelector="type=Warning")
    about = [event for event in events if _is_of(event["involvedObject"].get("name", ""), name)]
    about.sort(key=lambda event: str(event.get("lastTimestamp") or event.get("eventTime") or ""))
    return "; ".join(f"{event.get('reason')}: {event.get('message')}" for event in about[-MOST_EVENTS:])


def _is_of(object_name: str, name: str) -> bool:
    return object_name == name or object_name.startswith(f"{name}-")


def _of_pod(cluster: Cluster, pod: Document) -> Fault | None:
    pod_name, status = pod["metadata"]["name"], pod.get("status", {})
    for container in [*(status.get("initContainerStatuses") or []), *(status.get("containerStatuses") or [])]:
        waiting = (container.get("state") or {}).get("waiting") or {}
        if waiting.get("reason") in REMEDIES:
            return Fault(_of_container(cluster, pod_name, container, waiting), final=True)
    for condition in status.get("conditions") or []:
        if condition["type"] == "PodScheduled" and condition["status"] == "False":
            return Fault(
                f"pod {pod_name} finds no node ({condition.get('reason')}: {condition.get('message')}); give the cluster "
                "room, or lower deploy.cpu and deploy.memory",
                final=False,
            )
    return None


def _of_container(cluster: Cluster, pod: str, container: dict[str, Any], waiting: dict[str, Any]) -> str:
    ended = (container.get("lastState") or {}).get("terminated") or {}
    reason = waiting["reason"]
    parts = [f"pod {pod}, container {container['name']}: {reason}: {waiting.get('message') or 'no message'}"]
    if ended:
        parts.append(f"it ended with exit code {ended.get('exitCode')} ({ended.get('reason')})")
        parts.append(f"its log ends: {last_lines(cluster, pod, container['name'], previous=True)}")
    if events := warnings(cluster, pod):
        parts.append(f"events: {events}")
    if container["name"] == STORAGE_INITIALIZER:
        remedy = STORAGE_REMEDY
    else:
        remedy = REMEDIES.get(ended.get("reason", ""), REMEDIES[reason])
    return "; ".join([*parts, remedy])
