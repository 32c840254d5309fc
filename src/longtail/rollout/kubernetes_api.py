"""The requests to a Kubernetes API server that a rollout needs: retried while it restarts, with messages that name the remedy."""

import json
import logging
import os
import re
import time
from dataclasses import dataclass
from typing import Any

import urllib3
from kubernetes import client, config

from longtail.contracts.errors import UserError

log = logging.getLogger(__name__)

KSERVE_PATH = "/apis/serving.kserve.io/v1beta1"
FIELD_MANAGER = "longtail"
TIMEOUT_SECONDS = (10, 60)  # to connect, to answer
TRANSIENT = {0, 408, 429, 500, 502, 503, 504}  # 500: KServe's webhook does not answer yet
FORBIDDEN = re.compile(
    r'User "(?P<user>[^"]+)" cannot (?P<verb>\w+) resource "(?P<resource>[^"]+)" in API group "(?P<group>[^"]*)"'
)

Document = dict[str, Any]


class Conflict(UserError):  # noqa: N818  (it says what happened)
    """The object was changed since it was read."""


class Refused(UserError):  # noqa: N818
    """A document is not accepted: by its schema, or by KServe's webhook."""


@dataclass(frozen=True)
class Cluster:
    """A connection. ``inside``: this process is a pod of the cluster, so that it reaches services by their names."""

    api: client.ApiClient
    namespace: str
    inside: bool
    patience_seconds: float = 120.0  # how long an API server may stay away


def connect(namespace: str, kubeconfig: str | None = None, context: str | None = None) -> Cluster:
    """By the kubeconfig that is given or that KUBECONFIG names, else as a pod, else by ~/.kube/config.

    Raises:
        UserError: there is none of them, or it is damaged.
    """
    settings = client.Configuration()
    settings.retries = False  # our own, with messages
    kubeconfig = kubeconfig or os.environ.get("KUBECONFIG")
    inside = kubeconfig is None and context is None and "KUBERNETES_SERVICE_HOST" in os.environ
    try:
        if inside:
            config.load_incluster_config(client_configuration=settings)
        else:
            config.load_kube_config(kubeconfig, context, client_configuration=settings, persist_config=False)
    except (config.ConfigException, OSError, ValueError, TypeError, AttributeError) as error:
        place = "the service account of this pod" if inside else kubeconfig or "~/.kube/config"
        raise UserError(
            f"{place}: no way to a Kubernetes API server ({error}); name a kubeconfig by KUBECONFIG or --kubeconfig"
        ) from None
    return Cluster(client.ApiClient(settings), namespace, inside)


def find(cluster: Cluster, path: str) -> Document | None:
    """The object at ``path``; None where it is not there."""
    try:
        document: Document = _request(cluster, "GET", path)
    except client.ApiException as error:
        if error.status == 404:
            return None
        raise _explained(error, cluster) from None
    return document


def readable(cluster: Cluster, path: str) -> Document | None:
    """As ``find``, for what is good to know but may be out of our rights: None there, too."""
    try:
        return find(cluster, path)
    except UserError as error:
        log.info("not readable: %s", error)
        return None


def items(cluster: Cluster, kind: str, **query: str) -> list[Document]:
    """Core objects of the namespace, for example ``items(cluster, "pods", labelSelector="app=shop")``."""
    path = f"/api/v1/namespaces/{cluster.namespace}/{kind}"
    try:
        found: list[Document] = _request(cluster, "GET", path, query=query)["items"]
    except client.ApiException as error:
        raise _explained(error, cluster) from None
    return found


def last_lines(cluster: Cluster, pod: str, container: str, previous: bool, lines: int = 5) -> str:
    """The end of a container's log; of its last life where ``previous``."""
    path = f"/api/v1/namespaces/{cluster.namespace}/pods/{pod}/log"
    query = {"container": container, "tailLines": str(lines), "previous": str(previous).lower()}
    try:
        return str(_request(cluster, "GET", path, query=query, answer="str")).strip()
    except client.ApiException as error:  # a log is an addition to another message
        return f"(no log: {error.reason})"


def find_service(cluster: Cluster, name: str) -> Document | None:
    """The InferenceService."""
    return find(cluster, _service_path(cluster, name))


def apply_service(cluster: Cluster, document: Document, take_over: bool) -> Document:
    """Server-side apply: creates the InferenceService, or sets the fields that ``document`` names and drops those that an
    earlier apply of ours named. What other tools set otherwise stays.

    Raises:
        Conflict: ``metadata.resourceVersion`` is given, and the object has changed since.
        Refused: by the schema, or by KServe's webhook.
        UserError: another tool set one of the fields to another value, and not ``take_over``.
    """
    path = _service_path(cluster, document["metadata"]["name"])
    query = {"fieldManager": FIELD_MANAGER, "force": str(take_over).lower()}
    try:
        applied: Document = _request(cluster, "PATCH", path, document, query, "application/apply-patch+yaml")
    except client.ApiException as error:
        raise _explained(error, cluster) from None
    return applied


def post_through_proxy(cluster: Cluster, service: str, path: str, document: Any) -> Any:
    """POST to port 80 of a Service by way of the API server: from outside the cluster, without an ingress. Never retried.

    Raises:
        UserError: with the answer's status.
    """
    place = f"/api/v1/namespaces/{cluster.namespace}/services/{service}:80/proxy{path}"
    try:
        return _once(cluster, "POST", place, document)
    except client.ApiException as error:
        raise _explained(error, cluster) from None
    except urllib3.exceptions.HTTPError as error:
        raise UserError(f"{cluster.api.configuration.host}: no answer ({error})") from None


def _service_path(cluster: Cluster, name: str) -> str:
    return f"{KSERVE_PATH}/namespaces/{cluster.namespace}/inferenceservices/{name}"


def _request(
    cluster: Cluster,
    method: str,
    path: str,
    body: Any = None,
    query: dict[str, str] | None = None,
    content_type: str = "application/json",
    answer: str = "object",
) -> Any:
    """One request, again and again while the API server is away. Every request of ours may be made twice."""
    deadline = time.monotonic() + cluster.patience_seconds
    pause = 0.2
    while True:
        try:
            return _once(cluster, method, path, body, query, content_type, answer)
        except (urllib3.exceptions.HTTPError, client.ApiException) as error:
            status = error.status if isinstance(error, client.ApiException) else 0
            if status not in TRANSIENT:
                raise
            if time.monotonic() + pause > deadline:
                reason = _message(error) if isinstance(error, client.ApiException) else str(error)
                raise UserError(
                    f"{cluster.api.configuration.host}: the Kubernetes API server did not answer for "
                    f"{cluster.patience_seconds:g} seconds ({reason}); nothing is lost: run it again when it is back"
                ) from None
            log.info("%s: %s; asking again", cluster.api.configuration.host, error)
        time.sleep(pause)
        pause = min(pause * 2, 5.0)


def _once(
    cluster: Cluster,
    method: str,
    path: str,
    body: Any = None,
    query: dict[str, str] | None = None,
    content_type: str = "application/json",
    answer: str = "object",
) -> Any:
    document, _, _ = cluster.api.call_api(
        path,
        method,
        query_params=list((query or {}).items()),
        header_params={"Content-Type": content_type, "Accept": "application/json"},
        body=body,
        response_type=answer,
        auth_settings=["BearerToken"],
        _request_timeout=TIMEOUT_SECONDS,
    )
    return document


def _message(error: client.ApiException) -> str:
    try:
        return str(json.loads(error.body)["message"])
    except (ValueError, KeyError, TypeError):
        return str(error.body or error.reason)


def _explained(error: client.ApiException, cluster: Cluster) -> UserError:
    host, message = cluster.api.configuration.host, _message(error)
    if error.status == 401:
        return UserError(f"{host}: does not accept these credentials ({message}); renew the kubeconfig or the token")
    if error.status == 403 and (found := FORBIDDEN.search(message)):
        resource = f"{found['resource']}.{found['group']}".rstrip(".")
        return UserError(
            f"{host}: {message}; grant {found['user']} the verb {found['verb']} on {resource} in a Role of that namespace "
            "(the Roles that a deployment needs are in manifests/base/rbac.yaml)"
        )
    if error.status == 404 and "could not find the requested resource" in message:
        return UserError(f"{host}: knows no InferenceServices; install KServe there")
    if error.status == 409:
        causes = _causes(error)
        if not causes:
            return Conflict(f"{host}: {message}")
        return UserError(
            f"{host}: another tool has set fields to other values: {causes}; give deploy the same values, or let it "
            "take them over: deploy.take_over=true"
        )
    kind = Refused if error.status in (400, 422) else UserError
    return kind(f"{host}: refused ({error.status}): {message}")


def _causes(error: client.ApiException) -> str:
    """Fields that other managers own, as the API server lists them."""
    causes = (json.loads(error.body).get("details") or {}).get("causes") or []
    return "; ".join(
        f"{cause.get('field')} ({cause.get('message')})"
        for cause in causes
        if cause.get("reason") == "FieldManagerConflict"
    )
