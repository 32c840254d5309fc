"""The requests to a Kubernetes API server that a rollout needs: retried while it restarts, with messages that name the remedy."""

import logging
import os
import time
from dataclasses import dataclass
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from typing import Any

import urllib3
from kubernetes import client, config

from longtail.contracts.errors import UserError
from longtail.rollout.kubernetes_errors import explained, message_of
from longtail.system.http import OF_PROXIES, Unreached, own_refusal

log = logging.getLogger(__name__)

KSERVE_PATH = "/apis/serving.kserve.io/v1beta1"
FIELD_MANAGER = "longtail"
TIMEOUT_SECONDS = (10, 60)  # to connect, to answer
TRANSIENT = {0, 408, 429, 500, 502, 503, 504}  # 500: KServe's webhook does not answer yet
Document = dict[str, Any]


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
        raise explained(error, _host(cluster)) from None
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
        raise explained(error, _host(cluster)) from None
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
        raise explained(error, _host(cluster)) from None
    return applied


def post_through_proxy(cluster: Cluster, service: str, path: str, document: Any) -> Any:
    """POST to port 80 of a Service by way of the API server: from outside the cluster, without an ingress. Never retried.

    Raises:
        Unreached: the API server finds nobody behind the Service.
        Forbidden: the right to ask that way is missing.
        UserError: with the answer's status.
    """
    place = f"/api/v1/namespaces/{cluster.namespace}/services/{service}:80/proxy{path}"
    try:
        return _once(cluster, "POST", place, document)
    except client.ApiException as error:
        if error.status in OF_PROXIES and own_refusal(error.body) is None:
            raise Unreached(f"{service}: nobody behind the API server's proxy answers: {message_of(error)}") from None
        raise explained(error, _host(cluster)) from None
    except (urllib3.exceptions.HTTPError, ValueError) as error:
        raise UserError(f"{_host(cluster)}: no answer ({error})") from None


def remove(cluster: Cluster, path: str) -> None:
    """Delete the object at ``path``, if it is there.

    Raises:
        Forbidden: naming the right.
    """
    try:
        _request(cluster, "DELETE", path)
    except client.ApiException as error:
        if error.status != 404:
            raise explained(error, _host(cluster)) from None


def may(cluster: Cluster, verb: str, resource: str, name: str) -> bool:
    """Whether we have that right on a core resource of the namespace, as far as the API server tells."""
    kind, _, part = resource.partition("/")
    wanted = {"namespace": cluster.namespace, "verb": verb, "resource": kind, "subresource": part, "name": name}
    review = {
        "apiVersion": "authorization.k8s.io/v1",
        "kind": "SelfSubjectAccessReview",
        "spec": {"resourceAttributes": wanted},
    }
    try:
        answer = _request(cluster, "POST", "/apis/authorization.k8s.io/v1/selfsubjectaccessreviews", review)
    except client.ApiException as error:
        log.info("rights are not told: %s", message_of(error))
        return True
    return bool(answer["status"]["allowed"])


def clock(cluster: Cluster) -> datetime:
    """The API server's time of its latest answer, in whole seconds, as events tell it."""
    told = cluster.api.last_response.getheader("Date")
    return parsedate_to_datetime(told) if told else datetime.now(UTC).replace(microsecond=0)


def _host(cluster: Cluster) -> str:
    return str(cluster.api.configuration.host)


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
            document = _once(cluster, method, path, body, query, content_type, answer)
            if answer == "object" and not isinstance(document, dict):
                raise UserError(f"{_host(cluster)}: answered without JSON; is this a Kubernetes API server?")
            return document
        except UnicodeDecodeError as error:
            raise UserError(f"{_host(cluster)}: answered with what is no text ({error})") from None
        except (urllib3.exceptions.HTTPError, client.ApiException) as error:
            status = error.status if isinstance(error, client.ApiException) else 0
            if status not in TRANSIENT:
                raise
            if time.monotonic() + pause > deadline:
                reason = message_of(error) if isinstance(error, client.ApiException) else str(error)
                raise UserError(
                    f"{_host(cluster)}: the Kubernetes API server did not answer for "
                    f"{cluster.patience_seconds:g} seconds ({reason}); nothing is lost: run it again when it is back"
                ) from None
            log.info("%s: %s; asking again", _host(cluster), error)
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
