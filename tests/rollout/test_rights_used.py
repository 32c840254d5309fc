"""What a rollout asks of the API server is within the rights of manifests/base/rbac.yaml, and all of these are used."""

import re

import pytest
from helpers_kubernetes import FakeCluster
from helpers_manifests import MANIFESTS, render, rights

from longtail.contracts.errors import UserError

pytestmark = pytest.mark.slow  # each test is a rollout with its waits

OBJECT = re.compile(
    r"/(?:api|apis/(?P<group>[^/]+))/v[12](?:beta1)?/namespaces/(?P<namespace>[^/]+)/(?P<resource>[a-z]+)"
    r"(?:/(?P<name>[^/]+)(?:/(?P<sub>[a-z]+))?)?$"
)


@pytest.fixture
def asked(monkeypatch):
    """(namespace, group, resource, verb) of every request but those that everyone may make (the schema, which rights one has) and
    those through the proxy, which is the way of people outside the cluster."""
    found = set()
    refused = FakeCluster._refused

    def recorded(cluster, verb, path):
        if path.startswith("/api") and "/proxy" not in path and "selfsubjectaccessreviews" not in path:
            part = OBJECT.match(path)
            assert part, path
            resource = "/".join(filter(None, (part["resource"], part["sub"])))
            found.add(
                (part["namespace"], part["group"] or "", resource, verb if part["name"] or verb != "get" else "list")
            )
        return refused(cluster, verb, path)

    monkeypatch.setattr(FakeCluster, "_refused", recorded)
    return found


def test_a_rollout_keeps_within_the_rights(stage, asked):
    stage.deploy(stage.old)
    stage.deploy(stage.new)
    stage.cluster.controller.broken[stage.old.uri] = "crash"
    with pytest.raises(UserError):
        stage.deploy(stage.old, ready_seconds=1)
    granted = {
        (namespace, group, resource, verb)
        for (namespace, group, resource, _), verbs in rights(render(MANIFESTS / "base")).items()
        for verb in verbs
    }
    assert asked <= granted
    # an apply of what is not there yet is a creation, too; Knative's Service is read in Knative mode
    others = {
        ("longtail", "serving.kserve.io", "inferenceservices", "create"),
        ("longtail", "serving.knative.dev", "services", "get"),
    }
    assert granted - asked - others <= {("longtail", "", "pods/log", "get")}
