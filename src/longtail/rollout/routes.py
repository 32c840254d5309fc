"""Which share of the traffic the HTTPRoute gives a canary in Standard mode.

KServe 0.20.0 fills ``trafficPercent`` in the InferenceService's status, and sets no weights in the route: all of the traffic stays
where it was. So the route's weights are what counts.
"""

import time

from longtail.rollout.inference_service import CANARY
from longtail.rollout.kubernetes_api import Cluster, Document, find
from longtail.rollout.kubernetes_errors import Forbidden
from longtail.rollout.readiness import FIRST_PAUSE

ROUTES = "/apis/gateway.networking.k8s.io/v1/namespaces/{namespace}/httproutes/{name}"
FOLLOW_SECONDS = 30.0  # KServe writes the route at once; gateways take it in seconds


def find_route(cluster: Cluster, name: str) -> Document | None:
    """The HTTPRoute of an InferenceService.

    Raises:
        Forbidden: the right to get it is missing.
    """
    return find(cluster, ROUTES.format(namespace=cluster.namespace, name=name))


def why_no_route(cluster: Cluster, name: str) -> str | None:
    """Why the weights of a service that is there cannot be seen; None where they can."""
    try:
        route = find_route(cluster, name)
    except Forbidden as error:
        return f"the HTTPRoute's weights cannot be seen: {error}"
    return None if route else f"KServe has made no HTTPRoute {cluster.namespace}/{name}"


def canary_shares(route: Document | None, name: str) -> set[int]:
    """Percent of the traffic that the canary gets, of each rule that leads to the service's pods; {0} without any."""
    stable, second = f"{name}-predictor", f"{name}-{CANARY}-predictor"
    shares = set()
    for rule in (route or {}).get("spec", {}).get("rules") or []:
        weights = {backend["name"]: int(backend.get("weight", 1)) for backend in rule.get("backendRefs") or []}
        if weights.keys() & {stable, second}:
            shares.add(round(100 * weights.get(second, 0) / (sum(weights.values()) or 1)))
    return shares or {0}


def gives(cluster: Cluster, name: str, percent: int, seconds: float = FOLLOW_SECONDS) -> bool:
    """Whether the route gives the canary exactly ``percent`` before ``seconds`` are over, and its gateways have taken that."""
    deadline, pause = time.monotonic() + seconds, FIRST_PAUSE
    while True:
        route = find_route(cluster, name)
        if canary_shares(route, name) == {percent} and _is_taken(route):
            return True
        if time.monotonic() + pause > deadline:
            return False
        time.sleep(pause)
        pause = min(pause * 1.5, 2.0)


def _is_taken(route: Document | None) -> bool:
    """No gateway tells of an older generation."""
    if route is None:
        return True
    generation = route["metadata"].get("generation")
    parents = (route.get("status") or {}).get("parents") or []
    observed = [entry.get("observedGeneration") for parent in parents for entry in parent.get("conditions") or []]
    return all(seen is None or generation is None or seen >= generation for seen in observed)
