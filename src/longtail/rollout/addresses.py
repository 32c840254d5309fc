"""How a served model is reached: by name inside the cluster; from outside by a gateway, or by way of the API server."""

from collections.abc import Callable
from functools import partial
from typing import Any
from urllib.parse import urlsplit

from longtail.contracts.errors import UserError
from longtail.rollout.inference_service import CANARY
from longtail.rollout.kubernetes_api import Cluster, Document, may, post_through_proxy
from longtail.rollout.kubernetes_errors import FROM_OUTSIDE
from longtail.system.http import call, own_token

TIMEOUT_SECONDS = 30.0

Post = Callable[[str, Any], Any]  # path, document -> answer


def at(url: str, host: str | None = None) -> Post:
    """Posts to ``url``, with this process's token; ``host``: the name by which a gateway there knows the service."""
    headers = ({"Host": host} if host else {}) | own_token()

    def post(path: str, document: Any) -> Any:
        return call(f"{url.rstrip('/')}{path}", document, TIMEOUT_SECONDS, headers)

    return post


def check_way(cluster: Cluster, name: str, mode: str, gateway: str | None) -> None:
    """Refuse, before anything is changed, what could not be asked afterwards.

    Raises:
        UserError: naming the remedy.
    """
    _check_knative(cluster, mode, gateway)
    if cluster.inside or gateway or may(cluster, "create", "services/proxy", f"{name}-predictor:80"):
        return
    raise UserError(
        f"{cluster.namespace}/{name}: from outside the cluster it is asked by way of the API server, and the right to create "
        f"services/proxy in namespace {cluster.namespace} is missing; {FROM_OUTSIDE}"
    )


def _check_knative(cluster: Cluster, mode: str, gateway: str | None) -> None:
    if mode == "Knative" and not cluster.inside and not gateway:
        raise UserError(
            "Knative's services are not reached through the API server; name the gateway's address by deploy.gateway_url"
        )


def service_address(cluster: Cluster, service: Document, mode: str, gateway: str | None) -> Post:
    """The way that users' requests take."""
    _check_knative(cluster, mode, gateway)
    status = service.get("status") or {}
    if gateway:
        return at(gateway, urlsplit(status.get("url", "")).netloc or None)
    if cluster.inside:
        return at(_inner(status))
    return partial(post_through_proxy, cluster, f"{service['metadata']['name']}-predictor")


def candidate_address(cluster: Cluster, service: Document, mode: str, gateway: str | None) -> Post:
    """The new bundle alone, whatever its share of the traffic."""
    _check_knative(cluster, mode, gateway)
    name, status = service["metadata"]["name"], service.get("status") or {}
    if mode == "Standard":
        second = f"{name}-{CANARY}-predictor"
        if not cluster.inside:
            return partial(post_through_proxy, cluster, second)
        inner = urlsplit(_inner(status))
        return at(f"{inner.scheme}://{second}.{inner.netloc.partition('.')[2]}")
    predictor = (status.get("components") or {}).get("predictor") or {}
    if gateway:
        tagged = [target for target in predictor.get("traffic") or [] if target.get("tag") == "latest"]
        return at(gateway, urlsplit(tagged[0]["url"]).netloc if tagged else None)
    inner = urlsplit(_inner(predictor))
    return at(f"{inner.scheme}://latest-{inner.netloc}")


def _inner(status: Document) -> str:
    url: str | None = (status.get("address") or {}).get("url") or status.get("url")
    if not url:
        raise UserError("the InferenceService has no address in its status; see longtail status")
    return url
