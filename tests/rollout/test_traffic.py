"""Requests during a rollout: what a proxy says of nobody behind it is no fault of the bundle's."""

import pytest
from helpers_hand_bundle import GOLDEN
from helpers_rollout import SETTINGS

from longtail.contracts.errors import UserError
from longtail.rollout import traffic
from longtail.rollout.kubernetes_errors import Forbidden
from longtail.rollout.readiness import NotServed
from longtail.rollout.traffic import answers_as_evaluated, watch
from longtail.system.http import Unreached


@pytest.fixture(autouse=True)
def no_pause(monkeypatch):
    monkeypatch.setattr(traffic, "PROXY_SECONDS", 0.0)


def answering(*errors):
    """A way to ask whose first answers are these errors."""
    left = list(errors)
    expected = {tuple(user["history"]): user for user in GOLDEN}

    def post(path, document):
        if left:
            raise left.pop(0)
        if "instances" in document:
            return {"predictions": [prediction(instance) for instance in document["instances"]]}
        raise AssertionError(path)

    def prediction(instance):
        user = expected[tuple(instance["history"])]
        return {"items": [{"item_id": i, "score": s} for i, s in zip(user["expected"], user["scores"])]}

    return post


def test_a_proxy_is_asked_again():
    post = answering(Unreached("HTTP 503"), Unreached("HTTP 503"))
    measured = watch([post], 10, GOLDEN[1:2], SETTINGS)
    assert (measured["errors"], measured["asked_again"], measured["requests"]) == (0, 2, 4)


def test_a_proxy_that_never_has_anybody_is_an_error():
    post = answering(*[Unreached("HTTP 503: no healthy upstream")] * traffic.PROXY_TRIES)
    with pytest.raises(NotServed, match=r"1 of 4 requests failed, the last one so: HTTP 503: no healthy upstream"):
        watch([post], 10, GOLDEN[1:2], SETTINGS)


def test_the_models_own_refusal_counts_at_once():
    with pytest.raises(NotServed, match="1 of 4 requests failed, the last one so: model is not ready"):
        watch([answering(UserError("model is not ready (HTTP 503)"))], 10, GOLDEN[1:2], SETTINGS)


def test_a_missing_right_is_not_asked_for_twice():
    with pytest.raises(Forbidden, match="no right"):
        answers_as_evaluated(answering(Forbidden("no right")), GOLDEN[1:2], SETTINGS)
    with pytest.raises(Forbidden, match="no right"):
        watch([answering(Forbidden("no right"))], 10, GOLDEN[1:2], SETTINGS)


@pytest.mark.slow
def test_a_gateways_503_does_not_end_a_rollout(serving, monkeypatch):
    """Of the requests that follow the canary's end, the first two find nobody."""
    cluster, left = serving.cluster, [2]
    forward = cluster._forward

    def flaky(workload, path, body):
        if serving.percents() and serving.percents()[-1] is None and left[0] > 0:
            left[0] -= 1
            return 503, "upstream connect error or disconnect/reset before headers"
        return forward(workload, path, body)

    monkeypatch.setattr(cluster, "_forward", flaky)
    serving.deploy(serving.new, gateway_url=cluster.url)
    assert left == [0]
    assert serving.champion == serving.new.id


@pytest.mark.slow
@pytest.mark.parametrize("promises", [True, False], ids=["found while asking", "found before"])
def test_without_the_right_to_the_proxy_the_rollout_ends_at_once_and_names_it(serving, promises):
    serving.cluster.forbidden, serving.cluster.promises_all = {("create", "services/proxy")}, promises
    with pytest.raises(
        UserError, match=r"right to create services/proxy.*rbac.yaml does not hold it.*deploy.gateway_url"
    ):
        serving.deploy(serving.new, rollout="rolling")
    assert serving.percents() == ([None, None] if promises else [])
    assert (serving.stable_uri(), serving.champion) == (serving.old.uri, serving.old.id)
