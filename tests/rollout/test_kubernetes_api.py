import dataclasses

import pytest

from longtail.contracts.errors import UserError
from longtail.rollout.kubernetes_api import apply_service, connect, find, find_service
from longtail.rollout.kubernetes_errors import Conflict


def test_a_kubeconfig_is_needed(tmp_path, monkeypatch):
    monkeypatch.delenv("KUBERNETES_SERVICE_HOST", raising=False)
    with pytest.raises(UserError, match=r"absent: no way to a Kubernetes API server.*name a kubeconfig by KUBECONFIG"):
        connect("longtail", str(tmp_path / "absent"))
    (tmp_path / "damaged").write_text("clusters: 3")
    with pytest.raises(UserError, match=r"damaged: no way to a Kubernetes API server"):
        connect("longtail", str(tmp_path / "damaged"))


def test_a_pod_without_its_token_is_told_so(monkeypatch):
    monkeypatch.delenv("KUBECONFIG", raising=False)
    monkeypatch.setenv("KUBERNETES_SERVICE_HOST", "10.0.0.1")
    monkeypatch.setenv("KUBERNETES_SERVICE_PORT", "443")
    with pytest.raises(UserError, match="the service account of this pod: no way"):
        connect("longtail")


def test_the_environment_names_the_kubeconfig(stage, tmp_path, monkeypatch):
    monkeypatch.setenv("KUBECONFIG", str(stage.cluster.kubeconfig(tmp_path)))
    cluster = connect("longtail")
    assert not cluster.inside
    assert find_service(cluster, "shop") is None


def test_an_api_server_that_stays_away_is_named(stage):
    stage.cluster.stop()
    connection = dataclasses.replace(stage.connection, patience_seconds=0.5)
    with pytest.raises(
        UserError, match=rf"{stage.cluster.url}: the Kubernetes API server did not answer for 0.5 seconds"
    ):
        find_service(connection, "shop")


def test_wrong_credentials_are_said_at_once_and_never_shown(stage):
    stage.cluster.token = "another-token"
    with pytest.raises(UserError, match="does not accept these credentials") as caught:
        find_service(stage.connection, "shop")
    assert "secret" not in str(caught.value)


def test_what_is_not_there_is_none(stage):
    assert find(stage.connection, "/api/v1/namespaces/longtail/nothing") is None


def test_a_refusal_of_the_webhook_is_told(stage, monkeypatch):
    from helpers_kubernetes import failure

    message = 'admission webhook "inferenceservice.kserve-webhook-server.validator" denied the request: name is invalid'
    monkeypatch.setattr(stage.cluster, "_apply", lambda *_: failure(400, message))
    with pytest.raises(UserError, match=r"refused \(400\): admission webhook .* denied the request: name is invalid"):
        apply_service(stage.connection, {"metadata": {"name": "shop"}, "spec": {}}, take_over=False)


def test_a_webhook_that_starts_is_waited_for(stage, monkeypatch):
    from helpers_kubernetes import failure

    answers = [failure(500, "failed calling webhook: connection refused"), (200, {"metadata": {"name": "shop"}})]
    monkeypatch.setattr(stage.cluster, "_apply", lambda *_: answers.pop(0))
    apply_service(stage.connection, {"metadata": {"name": "shop"}, "spec": {}}, take_over=False)
    assert answers == []


@pytest.mark.parametrize("document", ["<html>maintenance</html>", [1], "3"])
def test_what_is_no_api_server_is_said(stage, monkeypatch, document):
    monkeypatch.setattr(stage.cluster, "_get_service", lambda _: (200, document))
    with pytest.raises(UserError, match="answered without JSON; is this a Kubernetes API server"):
        find_service(stage.connection, "shop")


def test_a_conflict_that_says_nothing_is_read_anew(stage, monkeypatch):
    monkeypatch.setattr(stage.cluster, "_apply", lambda *_: (409, "a proxy's page"))
    with pytest.raises(Conflict, match="a proxy's page"):
        apply_service(stage.connection, {"metadata": {"name": "shop"}, "spec": {}}, take_over=False)
