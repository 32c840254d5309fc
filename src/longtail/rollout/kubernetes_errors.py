"""What a Kubernetes API server refuses, in messages that name the remedy."""

import json
import re

from kubernetes import client

from longtail.contracts.errors import UserError

FORBIDDEN = re.compile(
    r'User "(?P<user>[^"]+)" cannot (?P<verb>\w+) resource "(?P<resource>[^"]+)" in API group "(?P<group>[^"]*)"'
)
IN_THE_BASE = "in a Role of that namespace (the Roles that a deployment needs are in manifests/base/rbac.yaml)"
FROM_OUTSIDE = (  # pods of the cluster do not need it
    "grant it in a Role of your own (manifests/base/rbac.yaml does not hold it), or name the gateway's address by "
    "deploy.gateway_url (--gateway)"
)


class Conflict(UserError):  # noqa: N818  (it says what happened)
    """The object was changed since it was read."""


class Refused(UserError):  # noqa: N818
    """A document is not accepted: by its schema, or by KServe's webhook."""


class Forbidden(UserError):  # noqa: N818
    """A right is missing, or the credentials are not accepted: asking again does not help."""


def message_of(error: client.ApiException) -> str:
    """What the API server says itself."""
    try:
        return str(json.loads(error.body)["message"])
    except (ValueError, KeyError, TypeError):
        return str(error.body or error.reason)


def explained(error: client.ApiException, host: str) -> UserError:
    """The error as one message with its remedy."""
    message = message_of(error)
    if error.status == 401:
        return Forbidden(f"{host}: does not accept these credentials ({message}); renew the kubeconfig or the token")
    if error.status == 403 and (found := FORBIDDEN.search(message)):
        resource = f"{found['resource']}.{found['group']}".rstrip(".")
        if resource == "services/proxy":
            return Forbidden(f"{host}: {message}; that is the right to {found['verb']} {resource}: {FROM_OUTSIDE}")
        return Forbidden(
            f"{host}: {message}; grant {found['user']} the verb {found['verb']} on {resource} {IN_THE_BASE}"
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
    try:
        causes = json.loads(error.body)["details"]["causes"]
        return "; ".join(
            f"{cause.get('field')} ({cause.get('message')})"
            for cause in causes
            if cause.get("reason") == "FieldManagerConflict"
        )
    except (ValueError, KeyError, TypeError):
        return ""
