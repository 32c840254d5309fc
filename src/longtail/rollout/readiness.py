"""Waits until the pods of one bundle serve, and not merely until some condition says Ready.

KServe copies ``status.observedGeneration`` from the Deployment or the Knative Service that it made, whose counter is not the
InferenceService's (KServe issue 6081), and after a change its ``Ready`` may still tell of the pods before. So what counts is
which pods are there: each carries the label ``longtail/revision``. What a canary gets of the traffic is in ``routes.py``.
"""

import logging
import time
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from longtail.contracts.errors import UserError
from longtail.rollout.diagnosis import Fault, diagnose, is_ready, of_revision, pods_of
from longtail.rollout.inference_service import CANARY, place_of, revision
from longtail.rollout.kserve_install import service_name
from longtail.rollout.kubernetes_api import Cluster, Document, find, find_service

log = logging.getLogger(__name__)

FIRST_PAUSE = 0.2  # seconds between two looks, which grow
SETTLE_SECONDS = 10.0  # KServe's own verdict may be that of the generation before


class NotServed(UserError):  # noqa: N818  (it says what happened)
    """A bundle does not serve, or not as it was evaluated."""


@dataclass(frozen=True)
class Awaited:
    """What is waited for: pods of ``revision``, as the canary or as the stable predictor, with their share of the traffic."""

    name: str
    mode: str
    revision: str
    since: datetime  # when the rollout began, by the API server's clock: what happened earlier is another's
    canary: bool = False
    percent: int | None = None  # Knative's; in Standard mode the HTTPRoute tells it


def wait_until_ready(cluster: Cluster, awaited: Awaited, seconds: float) -> Document:
    """The InferenceService, once the awaited pods serve.

    Raises:
        NotServed: they cannot, or did not in time; with the pods' own reasons.
        UserError: somebody else changed the service meanwhile, or deleted it.
    """
    start, pause, told = time.monotonic(), FIRST_PAUSE, ""
    while True:
        service = find_service(cluster, awaited.name)
        _check_ours(service, awaited, cluster)
        assert service is not None
        missing = _missing(cluster, service, awaited)
        if missing is None:
            return service
        if missing != told:
            log.info("%s: %s", service_name(service), missing)
            told = missing
        waited = time.monotonic() - start
        fault = diagnose(cluster, service, awaited.revision, awaited.since, trust_status=waited > SETTLE_SECONDS)
        if fault and fault.final:
            raise NotServed(f"{service_name(service)}: {fault.text}")
        if waited + pause > seconds:
            raise NotServed(_too_late(service, seconds, missing, fault))
        time.sleep(pause)
        pause = min(pause * 1.5, 5.0)


def _check_ours(service: Document | None, awaited: Awaited, cluster: Cluster) -> None:
    place = f"InferenceService {cluster.namespace}/{awaited.name}"
    if service is None:
        raise UserError(f"{place}: was deleted while it was being deployed; run it again")
    if revision(place_of(service, awaited.canary and awaited.mode == "Standard")) != awaited.revision:
        raise UserError(f"{place}: somebody else deployed another bundle meanwhile; see longtail status")


def _missing(cluster: Cluster, service: Document, awaited: Awaited) -> str | None:
    """What still has to happen, or None."""
    status = service.get("status") or {}
    conditions = {condition["type"]: condition for condition in status.get("conditions") or []}
    if awaited.mode == "Knative":
        missing = _missing_knative(cluster, status, awaited)
    else:
        missing = _missing_standard(cluster, awaited)
    if missing:
        return missing
    ready = conditions.get("Ready", {})
    if ready.get("status") != "True":
        return (
            f"not Ready yet ({ready.get('reason') or 'no reason given'}: {ready.get('message') or 'KServe is at work'})"
        )
    return None


def _missing_standard(cluster: Cluster, awaited: Awaited) -> str | None:
    app = f"isvc.{awaited.name}{f'-{CANARY}' if awaited.canary else ''}-predictor"
    pods = [pod for pod in pods_of(cluster, awaited.name) if pod["metadata"].get("labels", {}).get("app") == app]
    ours = of_revision(pods, awaited.revision)
    if not any(is_ready(pod) for pod in ours):
        return f"{len(ours)} new pods, none of them ready"
    if len(pods) > len(ours):
        return f"{len(pods) - len(ours)} old pods still serve"
    return None


def _missing_knative(cluster: Cluster, status: Document, awaited: Awaited) -> str | None:
    path = f"/apis/serving.knative.dev/v1/namespaces/{cluster.namespace}/services/{awaited.name}-predictor"
    made = find(cluster, path)
    if made is None:
        return "KServe has not made the Knative Service yet"
    if revision(made["spec"]["template"]["metadata"]) != awaited.revision:
        return "KServe has not handed the new bundle to Knative yet"
    state = made.get("status") or {}
    if state.get("observedGeneration") != made["metadata"]["generation"]:
        return "Knative has not seen the new bundle yet"
    newest = state.get("latestCreatedRevisionName")
    if not newest or newest != state.get("latestReadyRevisionName"):
        return f"Knative's revision {newest} is not ready yet"
    traffic: list[dict[str, Any]] = ((status.get("components") or {}).get("predictor") or {}).get("traffic") or []
    share = sum(target.get("percent") or 0 for target in traffic if target.get("revisionName") == newest)
    wanted = 100 if awaited.percent is None else awaited.percent
    return None if share == wanted else f"revision {newest} has {share} % of the traffic, not yet {wanted} %"


def _too_late(service: Document, seconds: float, missing: str, fault: Fault | None) -> str:
    why = f"; {fault.text}" if fault else ""
    return (
        f"{service_name(service)}: was not ready within {seconds:g} seconds: {missing}{why} "
        "(deploy.ready_seconds gives it more)"
    )
