"""Brings a bundle into service on a cluster: ready, answering as evaluated, bearing traffic step by step, promoted.

All state is in the InferenceService and in the registry. Each step looks there first and does what is left, so a rollout that was
killed is run again and ends the same.
"""

import logging
from collections.abc import Sequence
from typing import Any

from longtail.contracts.errors import UserError
from longtail.registry.interface import Registry, Version
from longtail.registry.promotable import may_replace
from longtail.rollout.addresses import candidate_address, check_way, service_address
from longtail.rollout.ending import promote, promoted_or_rolled_back
from longtail.rollout.inference_service import Document, asked_share, place_of, predictor, revision
from longtail.rollout.kserve_install import Kserve, deployment_mode, find_kserve, why_no_canary
from longtail.rollout.kubernetes_api import Cluster, clock, find_service
from longtail.rollout.kubernetes_errors import Refused
from longtail.rollout.placing import NoWeights, Rollout, go_back, place_alone, place_beside
from longtail.rollout.routes import why_no_route
from longtail.rollout.service_settings import ServiceSettings
from longtail.rollout.traffic import answers_as_evaluated, watch

log = logging.getLogger(__name__)

Golden = Sequence[dict[str, Any]]


def roll_out(
    cluster: Cluster,
    registry: Registry,
    version: Version,
    golden: Golden,
    settings: ServiceSettings,
    override: str | None = None,
) -> Document:
    """Bring ``version`` into service and promote it; returns what was done and measured.

    override: why it may be served though its Decision does not say so.

    Raises:
        UserError: its Decision does not let it replace the champion, or a canary is needed where there can be none (then nothing
            was changed); it does not serve as it should, and what is served instead; the cluster or the registry refuses.
    """
    champion = may_replace(registry, version, override)
    kserve = find_kserve(cluster, settings.kserve_namespace)
    service = find_service(cluster, settings.name)
    mode = deployment_mode(settings.mode, service, kserve)
    check_way(cluster, settings.name, mode, settings.gateway_url)
    candidate = predictor(settings, mode, version.uri, version.id)
    before = service["spec"]["predictor"] if service else None
    if before and revision(before) == revision(candidate):
        before = None
    rollout = Rollout(cluster, settings, mode, candidate, champion, clock(cluster), before, override)
    strategy = _strategy(rollout, service, kserve)
    log.info("version %s goes to %s/%s: %s", version.id, cluster.namespace, settings.name, strategy)
    steps: list[Document] = []
    with promoted_or_rolled_back(rollout, registry, version):
        if strategy == "canary":
            strategy, steps = _with_canary(rollout, service, golden)
        if strategy != "canary" or settings.promote:
            service = place_alone(rollout)
            answers_as_evaluated(service_address(cluster, service, mode, settings.gateway_url), golden, settings)
        if settings.promote:
            promote(rollout, registry, version, f"deployed to {cluster.namespace}/{settings.name}: {strategy}")
    if not settings.promote:
        log.warning("deploy.promote is off: version %s waits for `longtail promote`", version.id)
    report = {"version": version.id, "uri": version.uri, "kserve": kserve.version, "mode": mode}
    return report | {"strategy": strategy, "steps": steps, "promoted": settings.promote}


def _strategy(rollout: Rollout, service: Document | None, kserve: Kserve) -> str:
    """first: nothing is served yet; in place: it is this bundle already; else canary or rolling."""
    if service is None or not (service["spec"]["predictor"].get("model") or {}).get("storageUri"):
        return "first"
    if _is_alone(rollout, service):
        return "in place"
    if rollout.settings.rollout == "rolling":
        return "rolling"
    obstacle = why_no_canary(rollout.mode, kserve)
    if obstacle is None and rollout.mode == "Standard":
        obstacle = why_no_route(rollout.cluster, rollout.name)
    return "canary" if obstacle is None else _without_canary(rollout.settings, obstacle)


def _with_canary(rollout: Rollout, service: Document | None, golden: Golden) -> tuple[str, list[Document]]:
    """The strategy that it came to, and what each step measured."""
    try:
        return "canary", _shift_traffic(rollout, service, golden)
    except (Refused, NoWeights) as error:  # KServe's webhook knows more rules than we do
        log.info("%s: %s", error, go_back(rollout))
        return _without_canary(rollout.settings, str(error)), []


def _without_canary(settings: ServiceSettings, obstacle: str) -> str:
    """What ``auto`` does then: a rolling update.

    Raises:
        UserError: it was to be a canary, or the bundle before is to serve on until somebody promotes the new one.
    """
    wanted = "rollout canary" if settings.rollout == "canary" else "promote false"
    if settings.rollout == "canary" or not settings.promote:
        raise UserError(
            f"deploy.{wanted}: NO CANARY: {obstacle}; the bundle before serves as it did. A rolling update "
            "(deploy.rollout=rolling, deploy.promote=true) gives the new one all of the traffic"
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
    newest = place_of(service, canary=rollout.mode == "Standard")
    return asked_share(service) if revision(newest) == revision(rollout.candidate) else 0
