"""What KServe's controller makes of an InferenceService, as far as a rollout sees it: pods, status, Knative Service.

It is as misleading as the real one: after a change ``Ready`` still tells of the pods before, and ``observedGeneration`` is another
object's counter.
"""

import copy
import time
from dataclasses import dataclass, field
from typing import Any

Document = dict[str, Any]
RECORDED = {  # what a pod's first container waits for, as kubelets report it
    "image": {
        "state": {
            "waiting": {"reason": "ImagePullBackOff", "message": 'Back-off pulling image "longtail-predict:typo"'}
        }
    },
    "crash": {
        "state": {"waiting": {"reason": "CrashLoopBackOff", "message": "back-off 20s restarting failed container"}},
        "lastState": {"terminated": {"exitCode": 2, "reason": "Error"}},
        "restartCount": 2,
    },
    "memory": {
        "state": {"waiting": {"reason": "CrashLoopBackOff", "message": "back-off 20s restarting failed container"}},
        "lastState": {"terminated": {"exitCode": 137, "reason": "OOMKilled"}},
        "restartCount": 1,
    },
}


@dataclass
class Workload:
    """A Deployment or Knative Service: the predictor that serves, and the one that is coming."""

    serving: Document | None = None
    coming: Document | None = None
    left: int = 0
    changes: int = 1
    names: dict[str | None, str] = field(default_factory=dict)  # Knative: revision label -> its newest revision's name


@dataclass
class Controller:
    """``ready_after``: looks at the service until new pods are ready; ``broken``: storageUri -> key of ``RECORDED``,
    "storage", "node", "none" (no pod is made) or "never" (it runs, and is never ready)."""

    ready_after: int = 2
    broken: dict[str, str] = field(default_factory=dict)
    knative: bool = False
    workloads: dict[str, Workload] = field(default_factory=dict)
    rolled_out: str | None = None  # Knative: the revision that had all of the traffic last
    weights: bool = True  # False: as KServe 0.20.0, which sets none in the HTTPRoute, whatever its status says
    routed: bool = True  # False: there is no HTTPRoute
    share: int = 0  # of the canary, by the HTTPRoute
    gateway_seconds: float = 0.0  # how long a gateway goes on with the share before
    autoscalers: set[str] = field(default_factory=set)
    _late: int = 0
    _since: float = 0.0
    _credit: int = 0

    def reconcile(self, service: Document) -> None:
        """After each change: the wanted workloads."""
        spec, name = service["spec"], service["metadata"]["name"]
        wanted = {f"{name}-predictor": spec["predictor"]}
        wanted |= {
            f"{name}-{entry['predictor']['name']}-predictor": entry["predictor"] for entry in spec.get("canary", [])
        }
        self.workloads = {key: self.workloads.get(key, Workload()) for key in wanted}
        if not self.knative:
            self.autoscalers |= set(wanted)  # and KServe never removes one
            percents = [entry["trafficPercent"] for entry in spec.get("canary", [])]
            self._late, self.share = self.share, percents[0] if self.weights and percents else 0
            self._since = time.monotonic()
        for key, predictor in wanted.items():
            workload = self.workloads[key]
            if label(workload.serving) == label(predictor):
                workload.coming, workload.serving = None, predictor
            elif label(workload.coming) != label(predictor):
                workload.coming, workload.left = predictor, self.ready_after
                workload.changes += 1
                workload.names[label(predictor)] = f"{key}-{workload.changes:05d}"

    def look(self, service: Document) -> None:
        """Time passes with each look at the service."""
        for workload in self.workloads.values():
            if workload.coming and uri(workload.coming) not in self.broken:
                workload.left -= 1
                if workload.left <= 0:
                    workload.serving, workload.coming = workload.coming, None
        stable = service["spec"]["predictor"]
        if self.knative and "canaryTrafficPercent" not in stable and not self._main(service).coming:
            self.rolled_out = self._main(service).names[label(stable)]
        service["status"] = self._status(service)

    def pods(self, name: str) -> list[Document]:
        made = []
        for key, workload in self.workloads.items():
            for predictor, ready in ((workload.serving, True), (workload.coming, False)):
                if predictor and self.broken.get(uri(predictor)) != "none":
                    made.append(self._pod(key, name, predictor, ready))
        return made

    def served_by(self, workload: str) -> Document | None:
        return self.workloads[workload].serving if workload in self.workloads else None

    def http_route(self, name: str) -> Document | None:
        if not self.routed:
            return None
        backends = [{"name": f"{name}-predictor", "weight": 100 - self.share}]
        if self.weights and len(self.workloads) > 1:
            backends.append({"name": f"{name}-candidate-predictor", "weight": self.share})
        rules = [{"backendRefs": backends}, {"backendRefs": [{"name": "of-another", "weight": 1}]}]
        return {"metadata": {"generation": 1}, "spec": {"rules": rules}}

    def gateway_sends_to(self, name: str) -> str:
        """By weights, evenly spread."""
        late = time.monotonic() < self._since + self.gateway_seconds
        self._credit += self._late if late else self.share
        if self._credit < 100:
            return f"{name}-predictor"
        self._credit -= 100
        return f"{name}-candidate-predictor"

    def knative_service(self, name: str) -> Document:
        workload = self.workloads[f"{name}-predictor"]
        newest = workload.coming or workload.serving
        assert newest
        return {
            "metadata": {"generation": workload.changes},
            "spec": {"template": {"metadata": {"labels": newest.get("labels", {})}}},
            "status": {
                "observedGeneration": workload.changes,
                "latestCreatedRevisionName": workload.names[label(newest)],
                "latestReadyRevisionName": workload.names[label(workload.serving)] if workload.serving else None,
            },
        }

    def _main(self, service: Document) -> Workload:
        return self.workloads[f"{service['metadata']['name']}-predictor"]

    def _status(self, service: Document) -> Document:
        main, name = self._main(service), service["metadata"]["name"]
        host = f"{name}-longtail.example.com"
        status: Document = {
            "observedGeneration": main.changes,
            "deploymentMode": "Knative" if self.knative else "Standard",
            "conditions": [
                {"type": "Ready", "status": "True" if main.serving else "False", "reason": "MinimumReplicas"}
            ],
            "modelStatus": {"transitionStatus": "UpToDate"},
            "url": f"http://{host}",
        }
        if not self.knative:
            status["canaryStatuses"] = [
                {
                    "name": entry["predictor"]["name"],
                    "trafficPercent": entry["trafficPercent"],
                    "ready": bool(self.workloads[f"{name}-{entry['predictor']['name']}-predictor"].serving),
                }
                for entry in service["spec"].get("canary", [])
            ]
        elif main.serving:
            percent = service["spec"]["predictor"].get("canaryTrafficPercent", 100) if self.rolled_out else 100
            newest = {"revisionName": main.names[label(main.serving)], "percent": percent}
            traffic = [newest | {"tag": "latest", "url": f"http://latest-{host}"}]
            if percent < 100:
                traffic.append({"revisionName": self.rolled_out, "percent": 100 - percent, "tag": "prev"})
            status["components"] = {"predictor": {"traffic": traffic}}
        return status

    def _pod(self, key: str, name: str, predictor: Document, ready: bool) -> Document:
        fault = self.broken.get(uri(predictor), "")
        pod: Document = {
            "metadata": {
                "name": f"{key}-{label(predictor)}",
                "labels": {"app": f"isvc.{key}", "serving.kserve.io/inferenceservice": name}
                | {"pod-template-hash": label(predictor)}
                | predictor.get("labels", {}),
            },
            "status": {"conditions": [{"type": "Ready", "status": "True" if ready else "False"}]},
        }
        if not ready and fault in RECORDED:
            pod["status"]["containerStatuses"] = [{"name": "kserve-container", **RECORDED[fault]}]
        if not ready and fault == "storage":
            pod["status"]["initContainerStatuses"] = [{"name": "storage-initializer", **RECORDED["crash"]}]
        if not ready and fault == "node":
            pod["status"]["conditions"].append(
                {
                    "type": "PodScheduled",
                    "status": "False",
                    "reason": "Unschedulable",
                    "message": "0/3 nodes: Insufficient cpu",
                }
            )
        return copy.deepcopy(pod)


def label(predictor: Document | None) -> str | None:
    return predictor.get("labels", {}).get("longtail/revision", "none") if predictor else None


def uri(predictor: Document) -> str:
    return str(predictor["model"].get("storageUri"))
