"""Puts bundles into the InferenceService: beside the stable one, in its place, and back."""

import logging
import time
from dataclasses import dataclass

from longtail.contracts.errors import UserError
from longtail.registry.interface import Version
from longtail.rollout.inference_service import VERSION, Document, inference_service, labelled
from longtail.rollout.kubernetes_api import Cluster, Conflict, apply_service, find_service
from longtail.rollout.readiness import Awaited, place_of, revision, wait_until_ready
from longtail.rollout.service_settings import ServiceSettings

log = logging.getLogger(__name__)

TRIES = 10  # KServe's controller writes into the object all the time; each try reads it anew


@dataclass(frozen=True)
class Rollout:
    """What is to be served where. ``candidate`` is the predictor of the new bundle, ``champion`` what the registry holds for
    good now, ``before`` the predictor that served when this process began, if that was another."""

    cluster: Cluster
    settings: ServiceSettings
    mode: str  # Standard or Knative
    candidate: Document
    champion: Version | None
    before: Document | None = None

    @property
    def name(self) -> str:
        return self.settings.name


def place_beside(rollout: Rollout, percent: int) -> Document:
    """Serve the candidate beside the stable bundle, with ``percent`` of the traffic; the InferenceService once it does."""
    if rollout.mode == "Knative":
        _place(rollout, rollout.candidate, percent=percent)
    else:
        _place(rollout, None, rollout.candidate, percent)
    return _wait(rollout, rollout.candidate, canary=True, percent=percent)


def place_alone(rollout: Rollout) -> Document:
    """Serve the candidate in the stable one's place. A canary of the same bundle bears the traffic until that is ready, so that
    the stable pods, and the name by which others know them, stay."""
    service = find_service(rollout.cluster, rollout.name)
    if service and revision(place_of(service, canary=True)) == revision(rollout.candidate):
        _place(rollout, rollout.candidate, rollout.candidate, percent=100)
        _wait(rollout, rollout.candidate)
    _place(rollout, rollout.candidate)
    return _wait(rollout, rollout.candidate)


def go_back(rollout: Rollout) -> str:
    """Undo a rollout: without the canary, or with the champion. What is served then, as the end of a sentence."""
    service = find_service(rollout.cluster, rollout.name)
    ours = revision(rollout.candidate)
    if service and rollout.mode == "Standard" and revision(service["spec"]["predictor"]) != ours:
        _place(rollout, None)
        stable = (service["spec"]["predictor"].get("labels") or {}).get(VERSION, "the bundle before")
        return f"the canary is taken away, and {stable} serves all of the traffic as before"
    earlier = _earlier(rollout)
    if earlier is None:
        return "there is no earlier bundle to go back to, so the service is left as it is"
    if rollout.mode == "Knative":  # the bundle that serves keeps the traffic until the earlier one is ready
        _place(rollout, earlier, percent=0)
        _wait(rollout, earlier, percent=0)
    _place(rollout, earlier)
    _wait(rollout, earlier)
    return f"rolled back to {earlier['labels'].get(VERSION) or earlier['model']['storageUri']}"


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
    awaited = Awaited(rollout.name, rollout.mode, str(revision(predictor)), canary, percent)
    return wait_until_ready(rollout.cluster, awaited, rollout.settings.ready_seconds)
