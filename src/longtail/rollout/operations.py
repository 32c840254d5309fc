"""What a person does with a service between deployments: look at it, promote what it serves, or go back."""

from collections.abc import Sequence
from dataclasses import replace

from longtail.contracts.errors import UserError
from longtail.registry.interface import Promotion, Registry, Version
from longtail.registry.promotable import may_replace
from longtail.rollout.addresses import check_way, service_address
from longtail.rollout.answers import ask_v1
from longtail.rollout.diagnosis import applied_at, diagnose
from longtail.rollout.ending import promote, promoted_or_rolled_back
from longtail.rollout.inference_service import VERSION, Document, asked_share, place_of, revision
from longtail.rollout.kserve_install import Kserve, deployment_mode, service_name
from longtail.rollout.kubernetes_api import Cluster, clock, find_service
from longtail.rollout.kubernetes_errors import Forbidden
from longtail.rollout.placing import Rollout, go_back, place_alone, with_bundle
from longtail.rollout.routes import canary_shares, find_route
from longtail.rollout.service_settings import ServiceSettings

NOT_KNOWN = Kserve(None, None, None, None)  # an existing service says its mode itself


def promote_served(cluster: Cluster, registry: Registry, settings: ServiceSettings, override: str | None = None) -> str:
    """Give the newest bundle all of the traffic, and make it the champion; its version.

    override: why it may be though its Decision does not say so.

    Raises:
        UserError: its Decision does not let it replace the champion; the service does not exist, serves what is in no registry,
            or does not become ready.
    """
    service = _existing(cluster, settings.name)
    newest = _newest(service)
    version = registry.version(_version_of(newest, service))
    champion = may_replace(registry, version, override)
    rollout = replace(_rollout(cluster, settings, service, newest, champion), override=override)
    with promoted_or_rolled_back(rollout, registry, version):
        _check_answer(rollout, place_alone(rollout))
        promote(rollout, registry, version, f"promoted by hand: {service_name(service)}")
    return version.id


def roll_back_served(cluster: Cluster, registry: Registry, settings: ServiceSettings, to: str | None = None) -> str:
    """Take a canary away where there is one; else serve the champion before (or ``to``) and make it the champion again. Says
    what was done.

    Raises:
        UserError: there is nothing to go back to, ``to`` was never the champion, or it does not become ready.
    """
    service = _existing(cluster, settings.name)
    newest, champion = _newest(service), registry.champion()
    if to is None and _has_canary(service):
        return go_back(_rollout(cluster, settings, service, newest, champion))
    promotions = registry.promotions()
    if to is not None and to not in {move.version for move in promotions}:
        raise UserError(
            f"--to {to}: was never the champion of {registry.uri}; bring it into service with longtail deploy"
        )
    version = registry.version(to or _earlier(promotions))
    rollout = _rollout(cluster, settings, service, with_bundle(newest, version), champion)
    with promoted_or_rolled_back(rollout, registry, version):
        _check_answer(rollout, place_alone(rollout))
        promote(rollout, registry, version, f"rollback by hand: {service_name(service)}")
    return f"rolled back to version {version.id}"


def describe(cluster: Cluster, registry: Registry | None, name: str) -> list[str]:
    """Lines: the service, its bundles and their traffic, what is wrong, and the registry's latest promotions."""
    service = find_service(cluster, name)
    lines = [
        f"InferenceService {cluster.namespace}/{name}: " + ("does not exist" if service is None else _state(service))
    ]
    if service is not None:
        status = service.get("status") or {}
        lines += [f"  address  {status.get('url', 'none yet')}"]
        lines += [f"  serves   {line}" for line in _shares(cluster, service)]
        newest = str(revision(_newest(service)))
        fault = diagnose(cluster, service, newest, applied_at(service), trust_status=True)
        lines += [f"  {'fault ' if fault.final else 'starts'}   {fault.text}"] if fault else []
    if registry is not None:
        champion = registry.champion()
        lines += [f"Registry {registry.uri}: champion {champion.id if champion else 'none yet'}"]
        lines += [
            f"  {move.at:%Y-%m-%d %H:%M} {move.version} after {move.previous or 'none'}: {move.reason}"
            + (f" (override: {move.override})" if move.override else "")
            for move in registry.promotions()[-5:]
        ]
    return lines


def _existing(cluster: Cluster, name: str) -> Document:
    service = find_service(cluster, name)
    if service is None:
        raise UserError(f"InferenceService {cluster.namespace}/{name}: does not exist; check --name and --namespace")
    return service


def _has_canary(service: Document) -> bool:
    return bool(place_of(service, canary=True)) or "canaryTrafficPercent" in service["spec"]["predictor"]


def _newest(service: Document) -> Document:
    """The predictor that came last, as a stable one has it."""
    stable, canary = service["spec"]["predictor"], place_of(service, canary=True)
    if not canary:
        return {key: value for key, value in stable.items() if key != "canaryTrafficPercent"}
    limits = {"maxReplicas": stable["maxReplicas"]} if "maxReplicas" in stable else {}
    return {key: value for key, value in canary.items() if key != "name"} | limits


def _version_of(predictor: Document, service: Document) -> str:
    version: str | None = (predictor.get("labels") or {}).get(VERSION)
    if version is None:
        raise UserError(f"InferenceService {service_name(service)}: its bundle is of no registry (no label {VERSION})")
    return version


def _rollout(
    cluster: Cluster, settings: ServiceSettings, service: Document, candidate: Document, champion: Version | None
) -> Rollout:
    mode = deployment_mode("auto", service, NOT_KNOWN)
    check_way(cluster, settings.name, mode, settings.gateway_url)
    stable = service["spec"]["predictor"]
    before = None if revision(stable) == revision(candidate) else stable
    return Rollout(cluster, settings, mode, candidate, champion, clock(cluster), before)


def _check_answer(rollout: Rollout, service: Document) -> None:
    """A visitor of whom nothing is known gets recommendations."""
    post = service_address(rollout.cluster, service, rollout.mode, rollout.settings.gateway_url)
    (prediction,) = ask_v1(post, rollout.name, [{}])
    if not prediction["items"]:
        raise UserError(f"{service_name(service)}: answers without a single item; see longtail status")


def _earlier(promotions: Sequence[Promotion]) -> str:
    """The champion before the present one. Going back to a version forgets those that came after it."""
    line: list[str] = []
    for move in promotions:
        line = line[: line.index(move.version)] if move.version in line else line
        line.append(move.version)
    if len(line) < 2:
        raise UserError("the registry holds no champion before the present one; name a version by --to")
    return line[-2]


def _state(service: Document) -> str:
    status = service.get("status") or {}
    conditions: list[Document] = status.get("conditions") or []
    ready: Document = next((entry for entry in conditions if entry["type"] == "Ready"), {})
    why = f" ({ready.get('reason')}: {ready.get('message')})" if ready.get("status") != "True" else ""
    return f"{'ready' if ready.get('status') == 'True' else 'not ready'}{why}, mode {status.get('deploymentMode', '?')}"


def _shares(cluster: Cluster, service: Document) -> list[str]:
    stable, canary = service["spec"]["predictor"], place_of(service, canary=True)
    if not _has_canary(service):
        return [f"{_shown(stable)}"]
    asked = asked_share(service)
    given, remark = (asked, "") if not canary else _given(cluster, service, asked)
    older = _shown(stable) if canary else "Knative's revision before,"
    newest = f"{_shown(canary or stable)} with {given} % of the traffic, as a canary{remark}"
    return [newest, f"{older} with {100 - given} %"]


def _given(cluster: Cluster, service: Document, asked: int) -> tuple[int, str]:
    """Percent of the traffic that the HTTPRoute gives a canary, and what is odd about it."""
    try:
        shares = canary_shares(find_route(cluster, service["metadata"]["name"]), service["metadata"]["name"])
    except Forbidden as error:
        return asked, f" (asked for; whether it gets them cannot be seen: {error})"
    if shares == {asked}:
        return asked, ""
    return min(shares), f" (NO CANARY: {asked} % are asked for, and KServe has set other weights in the HTTPRoute)"


def _shown(predictor: Document) -> str:
    version = (predictor.get("labels") or {}).get(VERSION, "no version")
    return f"{version} {(predictor.get('model') or {}).get('storageUri', '(no bundle yet)')}"
