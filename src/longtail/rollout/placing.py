"""Puts bundles into the InferenceService: beside the stable one, in its place, and back."""

import logging
import time
from dataclasses import dataclass
from datetime import datetime

from longtail.contracts.errors import UserError
from longtail.registry.interface import Version
from longtail.rollout.inference_service import (
    CANARY,
    VERSION,
    Document,
    asked_share,
    inference_service,
    labelled,
    place_of,
    revision,
)
from longtail.rollout.kubernetes_api import Cluster, apply_service, find_service, remove
from longtail.rollout.kubernetes_errors import Conflict, Forbidden
from longtail.rollout.readiness import Awaited, NotServed, wait_until_ready
from longtail.rollout.routes import FOLLOW_SECONDS, gives
from longtail.rollout.service_settings import ServiceSettings

log = logging.getLogger(__name__)

TRIES = 10  # KServe's controller writes into the object all the time; each try reads it anew


class NoWeights(NotServed):
    """The canary's pods serve, and the route gives them another share than the InferenceService asks for."""


@dataclass(frozen=True)
class Rollout:
    """What is to be served where. ``candidate`` is the predictor of the new bundle, ``champion`` what the registry held for good
    when this process began, ``before`` the predictor that served then, if that was another. ``override``: why the Decision may be
    passed over, for the registry's history."""

    cluster: Cluster
    settings: ServiceSettings
    mode: str  # Standard or Knative
    candidate: Document
    champion: Version | None
    began: datetime  # by the API server's clock
    before: Document | None = None
    override: str | None = None

    @property
    def name(self) -> str:
        return self.settings.name


def place_beside(rollout: Rollout, percent: int) -> Document:
    """Serve the candidate beside the stable bundle, with ``percent`` of the traffic; the InferenceService once it does.

    Raises:
        NoWeights: its pods serve, and get another share.
    """
    if rollout.mode == "Knative":
        _place(rollout, rollout.candidate, percent=percent)
        return _wait(rollout, rollout.candidate, canary=True, percent=percent)
    _place(rollout, None, rollout.candidate, percent)
    service = _wait(rollout, rollout.candidate, canary=True)
    if not gives(rollout.cluster, rollout.name, percent, min(FOLLOW_SECONDS, rollout.settings.ready_seconds)):
        raise NoWeights(
            f"KServe gives the canary another share of the traffic than the {percent} % asked for (see the weights of HTTPRoute "
            f"{rollout.cluster.namespace}/{rollout.name}), as KServe 0.20.0 does"
        )
    return service


def place_alone(rollout: Rollout) -> Document:
    """Serve the candidate in the stable one's place. A canary of the same bundle bears the traffic until that is ready, so that
    the stable pods, and the name by which others know them, stay."""
    service = find_service(rollout.cluster, rollout.name)
    if _is_canary(rollout, service):
        _place(rollout, rollout.candidate, rollout.candidate, percent=100)
        _wait(rollout, rollout.candidate)
        _take_canary_away(rollout, rollout.candidate)
    else:
        if service and place_of(service, canary=True):  # of another bundle
            _take_canary_away(rollout, None)
        _place(rollout, rollout.candidate)
    return _wait(rollout, rollout.candidate)


def go_back(rollout: Rollout) -> str:
    """Undo a rollout: without the canary, or with the champion. What is served then, as the end of a sentence."""
    service = find_service(rollout.cluster, rollout.name)
    is_canary = _is_canary(rollout, service)
    if service is None or not (is_canary or revision(service["spec"]["predictor"]) == revision(rollout.candidate)):
        return "nothing of it is in the service, which is left as it is"
    if revision(service["spec"]["predictor"]) != revision(rollout.candidate):
        _take_canary_away(rollout, None)
        stable = (service["spec"]["predictor"].get("labels") or {}).get(VERSION, "the bundle before")
        return f"the canary is taken away, and {stable} serves all of the traffic as before"
    earlier = _earlier(rollout)
    if earlier is None:
        return "there is no earlier bundle to go back to, so the service is left as it is"
    if is_canary:  # its pods bear the traffic; the stable ones serve the earlier bundle, or will in a moment
        _place(rollout, earlier, rollout.candidate, percent=0)
        _wait(rollout, earlier)
        _take_canary_away(rollout, earlier)
    else:
        if rollout.mode == "Knative":  # the bundle that serves keeps the traffic until the earlier one is ready
            _place(rollout, earlier, percent=0)
            _wait(rollout, earlier, percent=0)
        _place(rollout, earlier)
    _wait(rollout, earlier)
    return f"rolled back to {earlier['labels'].get(VERSION) or earlier['model']['storageUri']}"


def _is_canary(rollout: Rollout, service: Document | None) -> bool:
    canary = place_of(service, canary=True) if service else {}
    return bool(canary) and revision(canary) == revision(rollout.candidate)


def _take_canary_away(rollout: Rollout, stable: Document | None) -> None:
    """``stable`` None: as it is. Gateways that still know the canary when its pods go answer 503: so it loses its traffic first,
    and has some seconds to be forgotten."""
    service = find_service(rollout.cluster, rollout.name)
    canary = place_of(service, canary=True) if service else {}
    if service and canary and (asked_share(service) or not _has_no_traffic(rollout, seconds=0)):
        _place(rollout, stable, canary, percent=0)
        if not _has_no_traffic(rollout, FOLLOW_SECONDS):
            log.warning("it is not sure that the canary of %s has no traffic any more; it is removed", rollout.name)
        time.sleep(rollout.settings.drain_seconds)
    _place(rollout, stable)
    _remove_autoscaler(rollout)


def _has_no_traffic(rollout: Rollout, seconds: float) -> bool:
    try:
        return gives(rollout.cluster, rollout.name, 0, seconds)
    except Forbidden as error:
        log.warning("%s", error)
        return False


def _remove_autoscaler(rollout: Rollout) -> None:
    """KServe 0.20 makes one for a canary, and leaves it behind."""
    name = f"{rollout.name}-{CANARY}-predictor"
    path = f"/apis/autoscaling/v2/namespaces/{rollout.cluster.namespace}/horizontalpodautoscalers/{name}"
    try:
        remove(rollout.cluster, path)
    except UserError as error:  # no reason to go back
        log.warning("the HorizontalPodAutoscaler %s may be left behind: %s", name, error)


def _earlier(rollout: Rollout) -> Document | None:
    """The predictor before, whole, unless the registry's champion is another bundle: then that one."""
    champion, before = rollout.champion, rollout.before
    uri = (before.get("model") or {}).get("storageUri") if before else None
    if before and uri and (champion is None or champion.uri == uri):
        kept = {key: value for key, value in before.items() if key != "canaryTrafficPercent"}
        return kept if revision(kept) else labelled(kept, None)
    if champion is None:
        return None
    earlier = with_bundle(rollout.candidate, champion)
    return earlier if revision(earlier) != revision(rollout.candidate) else None


def with_bundle(predictor: Document, version: Version) -> Document:
    """The same predictor for another bundle."""
    return labelled(predictor | {"model": predictor["model"] | {"storageUri": version.uri}}, version.id)


def _place(
    rollout: Rollout, stable: Document | None, canary: Document | None = None, percent: int | None = None
) -> None:
    """Apply; ``stable`` None: as it is. Only to the object that was read: a change by others is read anew."""
    for attempt in range(TRIES):
        service = find_service(rollout.cluster, rollout.name)
        kept = service["spec"]["predictor"] if service and stable is None else stable
        if kept is None:
            raise UserError(f"InferenceService {rollout.cluster.namespace}/{rollout.name}: was deleted; run it again")
        document = inference_service(rollout.name, rollout.cluster.namespace, rollout.mode, kept, canary, percent)
        if service:
            document["metadata"]["resourceVersion"] = service["metadata"]["resourceVersion"]
        try:
            apply_service(rollout.cluster, document, rollout.settings.take_over)
            return
        except Conflict as error:
            if attempt == TRIES - 1:
                raise
            log.info("%s; reading it anew", error)
            time.sleep(0.1 * (attempt + 1))


def _wait(rollout: Rollout, predictor: Document, canary: bool = False, percent: int | None = None) -> Document:
    awaited = Awaited(rollout.name, rollout.mode, str(revision(predictor)), rollout.began, canary, percent)
    return wait_until_ready(rollout.cluster, awaited, rollout.settings.ready_seconds)
