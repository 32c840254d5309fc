"""The HTTPRoute's weights decide what a canary gets, whatever the InferenceService's status says."""

import logging
import threading
import time
import urllib.error
import urllib.request

import pytest
from helpers_rollout import SETTINGS

from longtail.contracts.errors import UserError
from longtail.rollout.operations import describe, promote_served
from longtail.rollout.routes import canary_shares, gives

AUTOSCALERS = "/apis/autoscaling/v2/namespaces/longtail/horizontalpodautoscalers"


def route(*rules, **more):
    backends = [{"backendRefs": [{"name": name, "weight": weight} for name, weight in rule.items()]} for rule in rules]
    return {"metadata": {"generation": 2}, "spec": {"rules": backends}, **more}


@pytest.mark.parametrize(
    ("found", "shares"),
    [
        (route({"shop-predictor": 80, "shop-candidate-predictor": 20}), {20}),
        (route({"shop-predictor": 3, "shop-candidate-predictor": 1}), {25}),
        (route({"shop-predictor": 0, "shop-candidate-predictor": 100}), {100}),
        (route({"shop-predictor": 100}), {0}),
        (route({"shop-predictor": 0, "shop-candidate-predictor": 0}), {0}),
        (route({"shop-predictor": 1}, {"shop-predictor": 1, "shop-candidate-predictor": 1}), {0, 50}),
        (route({"other-predictor": 1}), {0}),
        ({"spec": {"rules": [{"backendRefs": [{"name": "shop-predictor"}]}]}}, {0}),  # as 0.20.0 writes it
        (
            {"spec": {"rules": [{"backendRefs": [{"name": "shop-candidate-predictor"}]}]}},
            {100},
        ),  # a weight is 1 by default
        ({"spec": {"rules": [{}]}}, {0}),
        (None, {0}),
    ],
)
def test_shares_are_read_from_weights(found, shares):
    assert canary_shares(found, "shop") == shares


@pytest.mark.parametrize(("observed", "taken"), [(1, False), (2, True), (None, True)])
def test_a_gateway_must_have_taken_the_route(serving, monkeypatch, observed, taken):
    conditions = [{"type": "Accepted", "status": "True"} | ({"observedGeneration": observed} if observed else {})]
    status = {"parents": [{"conditions": conditions}]}
    found = route({"shop-predictor": 90, "shop-candidate-predictor": 10}, status=status)
    monkeypatch.setattr(serving.cluster.controller, "http_route", lambda _: found)
    assert gives(serving.connection, "shop", 10, seconds=0) is taken
    assert not gives(serving.connection, "shop", 20, seconds=0)


@pytest.mark.slow
def test_where_kserve_sets_no_weights_there_is_no_canary(serving, caplog):
    """As KServe 0.20.0, whose status says 10 % all the same."""
    serving.cluster.controller.weights = False
    with pytest.raises(
        UserError, match=r"deploy.rollout canary: NO CANARY: KServe gives the canary another share .* 10 %"
    ):
        serving.deploy(serving.new, rollout="canary", ready_seconds=5)
    assert serving.percents() == [0, 10, 0, None]
    assert (serving.stable_uri(), serving.champion) == (serving.old.uri, serving.old.id)
    with caplog.at_level(logging.WARNING):
        report = serving.deploy(serving.new, ready_seconds=5)
    assert report["strategy"] == "rolling"
    assert report["steps"] == []
    assert "NO CANARY: KServe gives the canary another share of the traffic than the 10 % asked for" in caplog.text
    assert serving.champion == serving.new.id


@pytest.mark.slow
@pytest.mark.parametrize("reason", ["route", "right"])
def test_where_weights_cannot_be_seen_no_canary_is_begun(serving, caplog, reason):
    serving.cluster.controller.routed = reason != "route"
    serving.cluster.forbidden = {("get", "httproutes")} if reason == "right" else set()
    with caplog.at_level(logging.WARNING):
        assert serving.deploy(serving.new)["strategy"] == "rolling"
    told = {
        "route": "NO CANARY: KServe has made no HTTPRoute longtail/shop",
        "right": "the verb get on httproutes.gateway.networking.k8s.io",
    }
    assert told[reason] in caplog.text
    assert serving.percents() == [None]


@pytest.mark.slow
def test_status_tells_the_routes_weights(serving):
    serving.deploy(serving.new, promote=False)
    lines = "\n".join(describe(serving.connection, None, "shop"))
    assert f"{serving.new.id} {serving.new.uri} with 50 % of the traffic, as a canary\n" in lines
    serving.cluster.controller.share = 0
    lines = "\n".join(describe(serving.connection, None, "shop"))
    assert (
        f"{serving.new.id} {serving.new.uri} with 0 % of the traffic, as a canary (NO CANARY: 50 % are asked for"
        in lines
    )
    assert f"{serving.old.id} {serving.old.uri} with 100 %" in lines
    serving.cluster.forbidden = {("get", "httproutes")}
    assert "whether it gets them cannot be seen" in "\n".join(describe(serving.connection, None, "shop"))


@pytest.fixture
def asked(serving):
    """Statuses that a client of the gateway gets, who asks all the time while a block runs."""

    class Client:
        def __enter__(self):
            self.statuses, self.goes_on = [], True
            self.thread = threading.Thread(target=self.ask)
            self.thread.start()
            return self.statuses

        def ask(self):
            request = urllib.request.Request(f"{serving.cluster.url}/v1/models/shop:predict", b'{"instances": [{}]}')
            while self.goes_on:
                try:
                    with urllib.request.build_opener(urllib.request.ProxyHandler({})).open(request) as answer:
                        self.statuses.append(answer.status)
                except urllib.error.HTTPError as error:
                    self.statuses.append(error.code)
                time.sleep(0.01)

        def __exit__(self, *_):
            self.goes_on = False
            self.thread.join()

    return Client()


@pytest.mark.slow
@pytest.mark.parametrize("way", ["promoted", "taken away", "promoted by hand"])
def test_no_request_is_lost_at_the_end_of_a_canary(serving, asked, way):
    """A gateway that learns of new weights late goes on sending requests to pods that are gone."""
    settings = {"gateway_url": serving.cluster.url, "drain_seconds": 1.5}
    serving.cluster.controller.gateway_seconds = 0.5
    if way == "promoted by hand":
        serving.deploy(serving.new, promote=False, **settings)
    with asked as statuses:
        if way == "promoted":
            serving.deploy(serving.new, **settings)
        elif way == "promoted by hand":
            promote_served(serving.connection, serving.registry, SETTINGS.model_copy(update=settings))
        else:
            with pytest.raises(UserError, match="the canary is taken away"):
                serving.deploy(serving.new, max_p95_ms=1e-6, **settings)
        time.sleep(1)
    assert len(statuses) > 20
    assert set(statuses) == {200}
    assert serving.percents()[-2:] == [0, None]


@pytest.mark.slow
def test_a_canary_of_another_bundle_loses_its_traffic_before_it_goes(serving):
    serving.deploy(serving.new, promote=False)
    serving.deploy(serving.old, rollout="rolling")
    assert serving.percents()[-4:] == [50, 0, None, None]


@pytest.mark.slow
def test_the_canarys_autoscaler_is_removed(serving, caplog):
    serving.deploy(serving.new)
    assert serving.cluster.removed == [f"{AUTOSCALERS}/shop-candidate-predictor"]
    assert serving.cluster.controller.autoscalers == {"shop-predictor"}
    serving.cluster.forbidden = {("delete", "horizontalpodautoscalers")}
    with caplog.at_level(logging.WARNING):
        serving.deploy(serving.old)
    assert "the HorizontalPodAutoscaler shop-candidate-predictor may be left behind" in caplog.text
    assert serving.champion == serving.old.id
