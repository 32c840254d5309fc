"""Every way out of a rollout ends with the new bundle promoted, or with the one before serving as it did."""

import pytest
from helpers_kubernetes import BROKEN
from helpers_rollout import SETTINGS
from pydantic import ValidationError

from longtail.contracts.errors import UserError
from longtail.rollout import roll_out as module
from longtail.rollout.operations import promote_served, roll_back_served
from longtail.rollout.service_settings import ServiceSettings

pytestmark = pytest.mark.slow  # each test is a rollout with its waits


def is_back(stage):
    assert (stage.stable_uri(), stage.champion) == (stage.old.uri, stage.old.id)
    assert stage.percents()[-1] is None
    assert "canary" not in stage.cluster.service["spec"]
    return True


def break_from(stage, percent, kind):
    """The new bundle's answers are broken from that share of the traffic on."""

    def on_apply(_):
        if stage.percents()[-1] == percent:
            stage.cluster.broken_answers = lambda uri: kind if uri == stage.new.uri else ""

    stage.cluster.on_apply = on_apply


@pytest.mark.parametrize("kind", BROKEN)
def test_a_broken_answer_through_the_api_server_ends_a_canary(serving, kind):
    break_from(serving, 10, kind)
    with pytest.raises(UserError, match=r"2 of 4 requests failed.*the canary is taken away"):
        serving.deploy(serving.new)
    assert is_back(serving)


@pytest.mark.parametrize("kind", BROKEN)
def test_a_broken_answer_of_a_gateway_ends_a_canary(knative, kind):
    break_from(knative, 10, kind)
    with pytest.raises(UserError, match=rf"4 of 4 requests failed.*rolled back to {knative.old.id}"):
        knative.deploy(knative.new)
    assert is_back(knative)


@pytest.mark.parametrize("error", [RuntimeError("a bug"), KeyboardInterrupt(), SystemExit(143), OSError("no file")])
@pytest.mark.parametrize("rollout", ["canary", "rolling"])
def test_what_is_no_users_fault_goes_back_and_stays_itself(serving, monkeypatch, error, rollout):
    def fail(*_):
        raise error

    monkeypatch.setattr(module, "watch" if rollout == "canary" else "answers_as_evaluated", fail)
    with pytest.raises(type(error)) as caught:
        serving.deploy(serving.new, rollout=rollout)
    assert caught.value is error
    assert is_back(serving)


def test_an_error_of_the_cluster_in_the_middle_goes_back(serving):
    """The right to list pods is taken away once the canary is there, and given back when it is undone."""

    def on_apply(service):
        serving.cluster.forbidden = {("get", "pods")} if serving.percents()[-1] == 10 else set()

    serving.cluster.on_apply = on_apply
    with pytest.raises(UserError, match=r"grant .* the verb get on pods.*the canary is taken away"):
        serving.deploy(serving.new)
    assert is_back(serving)


def test_a_registry_that_fails_at_the_end_goes_back(serving, monkeypatch):
    def fail(*_):
        raise UserError("s3://models: no answer")

    monkeypatch.setattr(serving.registry, "promote", fail, raising=False)
    with pytest.raises(UserError, match=rf"s3://models: no answer; rolled back to {serving.old.id}"):
        serving.deploy(serving.new)
    assert is_back(serving)


def test_a_promotion_whose_answer_was_lost_is_one(serving, monkeypatch):
    promote = serving.registry.promote

    def lose(*arguments):
        promote(*arguments)
        raise UserError("s3://models: no answer")

    monkeypatch.setattr(serving.registry, "promote", lose, raising=False)
    with pytest.raises(UserError, match=rf"no answer; version {serving.new.id} is promoted and serves"):
        serving.deploy(serving.new)
    assert (serving.stable_uri(), serving.champion) == (serving.new.uri, serving.new.id)


def test_going_back_leaves_another_ones_canary_alone(serving):
    """Somebody else's canary took the place of ours."""

    def intrude(service):
        serving.cluster.on_apply = lambda _: None
        service["spec"]["canary"][0]["predictor"]["labels"] = {"longtail/revision": "theirs"}

    serving.cluster.on_apply = intrude
    with pytest.raises(
        UserError, match=r"somebody else deployed another bundle meanwhile.*nothing of it is in the service"
    ):
        serving.deploy(serving.new)
    assert serving.percents() == [0]


def test_a_failed_promotion_by_hand_goes_back(serving):
    serving.deploy(serving.new, promote=False)
    serving.cluster.on_apply = lambda _: serving.cluster.failing.add(serving.new.uri)
    with pytest.raises(UserError, match=rf"internal error of the model.*rolled back to {serving.old.id}"):
        promote_served(serving.connection, serving.registry, SETTINGS)
    assert is_back(serving)


def test_a_failed_rollback_by_hand_leaves_what_served(serving):
    serving.deploy(serving.new)
    serving.cluster.controller.broken[serving.old.uri] = "crash"
    with pytest.raises(UserError, match=rf"CrashLoopBackOff.*rolled back to {serving.new.id}"):
        roll_back_served(serving.connection, serving.registry, SETTINGS)
    assert (serving.stable_uri(), serving.champion) == (serving.new.uri, serving.new.id)


def test_without_promote_a_rolling_update_is_no_setting():
    with pytest.raises(ValidationError, match="promote false leaves the bundle before in service"):
        ServiceSettings(rollout="rolling", promote=False)


@pytest.mark.parametrize("reason", ["no field", "webhook", "weights", "route", "right"])
def test_without_promote_the_bundle_before_keeps_its_traffic(serving, reason):
    if reason == "no field":
        serving.cluster.canary_field = False
    serving.cluster.refuses_canary = reason == "webhook"
    serving.cluster.controller.weights = reason != "weights"
    serving.cluster.controller.routed = reason != "route"
    if reason == "right":
        serving.cluster.forbidden = {("get", "httproutes")}
    with pytest.raises(UserError, match=r"deploy.promote false: NO CANARY: .*the bundle before serves as it did"):
        serving.deploy(serving.new, promote=False, ready_seconds=5)
    stable = {document["spec"]["predictor"]["model"]["storageUri"] for document in serving.cluster.applied}
    assert stable <= {serving.old.uri}
    assert (serving.stable_uri(), serving.champion) == (serving.old.uri, serving.old.id)
    assert "canary" not in serving.cluster.service["spec"]
