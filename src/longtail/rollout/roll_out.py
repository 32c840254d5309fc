"""Brings a bundle into service on a cluster: ready, answering as evaluated, bearing traffic step by step, promoted.

All state is in the InferenceService and in the registry. Each step looks there first and does what is left, so a rollout that was
killed is run again and ends the same.
"""

import logging
from collections.abc import Sequence
from typing import Any

from longtail.contracts.errors import UserError
from longtail.registry.interface import Registry, Version
from longtail.rollout.addresses import candidate_address, check_way, service_address
from longtail.rollout.inference_service import Document, predictor
from longtail.rollout.kserve_install import deployment_mode, find_kserve, why_no_canary
from longtail.rollout.kubernetes_api import Cluster, Refused, find_service
from longtail.rollout.placing import Rollout, go_back, place_alone, place_beside
from longtail.rollout.readiness import NotServed, place_of, revision
from longtail.rollout.service_settings import ServiceSettings
from longtail.rollout.traffic import answers_as_evaluated, watch

log = logging.getLogger(__name__)

Golden = Sequence[dict[str, Any]]


def roll_out(
    cluster: Cluster, registry: Registry, version: Version, golden: Golden, settings: ServiceSettings
) -> Document:
    """Bring ``version`` into service and promote it; returns what was done and measured.

    Raises:
        UserError: it does not serve as it should, and what is served instead; the cluster or the registry refuses; or a canary
            is asked for where there can be none (then nothing was changed).
    """
    kserve = find_kserve(cluster, settings.kserve_namespace)
    service = find_service(cluster, settings.name)
    mode = deployment_mode(settings.mode, service, kserve)
    check_way(cluster, mode, settings.gateway_url)
    champion = registry.champion()
    candidate = predictor(settings, mode, version.uri, version.id)
    before = service["spec"]["predictor"] if service else None
    if before and revision(before) == revision(candidate):
        before = None
    rollout = Rollout(cluster, settings, mode, candidate, champion, before)
    strategy = _strategy(rollout, service, why_no_canary(mode, kserve))
    log.info("version %s goes to %s/%s: %s", version.id, cluster.namespace, settings.name, strategy)
    steps: list[Document] = []
    report = {"version": version.id, "uri": version.uri, "kserve": kserve.version, "mode": mode}
    try:
        if strategy == "canary":
            try:
                steps = _shift_traffic(rollout, service, golden)
            except Refused as error:  # KServe's webhook knows more rules than we do
                strategy = _without_canary(settings, str(error))
        if strategy != "canary" or settings.promote:
            service = place_alone(rollout)
            answers_as_evaluated(service_address(cluster, service, mode, settings.gateway_url), golden, settings)
    except NotServed as error:
        raise UserError(f"{error}; {_gone_back(rollout)}") from None
    if settings.promote:
        promote(registry, version, champion, f"deployed to {cluster.namespace}/{settings.name}: {strategy}")
    else:
        log.warning("deploy.promote is off: version %s waits for `longtail promote`", version.id)
    return report | {"strategy": strategy, "steps": steps, "promoted": settings.promote}


def promote(registry: Registry, version: Version, expected: Version | None, reason: str) -> None:
    """Move the registry's champion, unless it is there already.

    Raises:
        UserError: somebody else moved it meanwhile.
    """
    if expected is not None and expected.id == version.id:
        return
    try:
        registry.promote(version, expected, reason)
    except UserError as error:
        raise UserError(
            f"{error}; the cluster serves version {version.id}: keep it by `longtail promote`, or leave it by `longtail rollback`"
        ) from None


def _gone_back(rollout: Rollout) -> str:
    try:
        return go_back(rollout)
    except UserError as error:
        return f"going back failed as well: {error}"


def _strategy(rollout: Rollout, service: Document | None, obstacle: str | None) -> str:
    """first: nothing is served yet; in place: it is this bundle already; else canary or rolling."""
    asked = rollout.settings.rollout
    if service is None or not (service["spec"]["predictor"].get("model") or {}).get("storageUri"):
        return "first"
    if _is_alone(rollout, service):
        return "in place"
    if asked == "rolling":
        return "rolling"
    if obstacle is None:
        return "canary"
    return _without_canary(rollout.settings, obstacle)


def _without_canary(settings: ServiceSettings, obstacle: str) -> str:
    if settings.rollout == "canary":
        raise UserError(
            f"deploy.rollout canary: {obstacle}; nothing was changed; take deploy.rollout=rolling, or remedy it"
        )
    log.warning("NO CANARY: %s. The new bundle replaces the old one pod by pod (a rolling update).", obstacle)
    return "rolling"


def _is_alone(rollout: Rollout, service: Document) -> bool:
    """The candidate is the stable predictor already (in Knative: and no part of the traffic goes elsewhere)."""
    stable = service["spec"]["predictor"]
    return revision(stable) == revision(rollout.candidate) and "canaryTrafficPercent" not in stable


def _shift_traffic(rollout: Rollout, service: Document | None, golden: Golden) -> list[Document]:
    """Compare the candidate's answers before it has users, then give it more and more of them. A rollout that was killed goes
    on with the share that it had."""
    settings, mode, cluster = rollout.settings, rollout.mode, rollout.cluster
    share = _share(rollout, service)
    service = place_beside(rollout, share)
    candidate = candidate_address(cluster, service, mode, settings.gateway_url)
    answers_as_evaluated(candidate, golden, settings)
    steps = []
    for percent in settings.traffic_steps:
        if percent < share:
            continue
        service = place_beside(rollout, percent)
        everyone = service_address(cluster, service, mode, settings.gateway_url)
        steps.append(watch([candidate, everyone], percent, golden, settings))
    return steps


def _share(rollout: Rollout, service: Document | None) -> int:
    """Percent of the traffic that the candidate has."""
    assert service is not None
    stable = service["spec"]["predictor"]
    if rollout.mode == "Knative":
        ours = revision(stable) == revision(rollout.candidate)
        return int(stable.get("canaryTrafficPercent", 0)) if ours else 0
    ours = revision(place_of(service, canary=True)) == revision(rollout.candidate)
    return int(service["spec"]["canary"][0]["trafficPercent"]) if ours else 0
