"""Rollouts where KServe runs on Knative, reached through its gateway."""

import pytest
from helpers_schemas import faults

from longtail.contracts.errors import UserError


def test_knatives_canary_gets_its_traffic_step_by_step(knative):
    report = knative.deploy(knative.new)
    assert (report["mode"], report["strategy"]) == ("Knative", "canary")
    assert knative.percents() == [0, 10, 50, None]
    assert all("canary" not in document["spec"] for document in knative.cluster.applied)
    assert (knative.stable_uri(), knative.champion) == (knative.new.uri, knative.new.id)
    assert all(faults(document) == [] for document in knative.cluster.applied)


def test_the_candidate_is_asked_alone_by_its_own_host_and_then_as_users_ask(knative):
    knative.cluster.hosts.clear()
    knative.deploy(knative.new, traffic_steps=(10,))
    alone, everyone = "latest-shop-longtail.example.com", "shop-longtail.example.com"
    # one look whether it answers, three users over V1 and V2, then a step that asks both in turn, then everyone's
    assert knative.cluster.hosts == [alone] * 7 + [alone, everyone] * 2 + [everyone] * 7


def test_the_bundle_before_keeps_the_traffic_while_knative_goes_back(knative):
    def fail(service):
        if service["spec"]["predictor"].get("canaryTrafficPercent") == 10:
            knative.cluster.failing.add(knative.new.uri)

    knative.cluster.on_apply = fail
    with pytest.raises(UserError, match=rf"requests failed.*rolled back to {knative.old.id}"):
        knative.deploy(knative.new)
    assert knative.percents() == [0, 10, 0, None]
    assert (knative.stable_uri(), knative.champion) == (knative.old.uri, knative.old.id)


def test_a_canary_without_promote_is_gone_on_with(knative):
    knative.deploy(knative.new, promote=False)
    assert knative.percents() == [0, 10, 50]
    assert knative.deploy(knative.new)["strategy"] == "canary"
    assert knative.percents()[3:] == [50, 50, None]
    assert knative.champion == knative.new.id


def test_the_mode_of_a_service_is_not_changed(knative):
    with pytest.raises(UserError, match=r"deploy.mode Standard: the InferenceService longtail/shop is in mode Knative"):
        knative.deploy(knative.new, mode="Standard")
