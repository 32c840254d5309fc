import logging
import threading

import pytest
from helpers_decision import publish_decided
from helpers_hand_bundle import GOLDEN
from helpers_kubernetes import warning
from helpers_schemas import faults

from longtail.contracts.errors import UserError

pytestmark = pytest.mark.slow  # each test is a rollout with its waits

WRONG = [GOLDEN[0] | {"scores": [9.0, 8.0, 7.0, 6.0]}]


def test_the_first_bundle_becomes_ready_late_answers_and_is_promoted(stage):
    stage.cluster.controller.ready_after = 6
    report = stage.deploy(stage.old)
    assert report["strategy"] == "first"
    assert (report["kserve"], report["mode"], report["promoted"]) == ("0.20.1", "Standard", True)
    assert stage.champion == stage.old.id
    assert stage.stable_uri() == stage.old.uri
    assert all(faults(document) == [] for document in stage.cluster.applied)


def test_a_service_that_names_no_bundle_yet_gets_its_first(stage):
    stage.deploy(stage.old, promote=False)
    del stage.cluster.service["spec"]["predictor"]["model"]["storageUri"]
    assert stage.deploy(stage.new)["strategy"] == "first"


def test_ready_of_the_generation_before_is_not_taken_for_the_new_one(serving):
    """The fake, as KServe, says Ready all the time and counts generations that are not the service's."""
    serving.cluster.controller.broken[serving.new.uri] = "never"
    serving.cluster.controller._main(serving.cluster.service).changes = 99
    with pytest.raises(
        UserError, match=r"was not ready within 1 seconds: 1 new pods, none of them ready.*rolled back to"
    ):
        serving.deploy(serving.new, rollout="rolling", ready_seconds=1)
    assert serving.champion == serving.old.id
    assert serving.stable_uri() == serving.old.uri


def test_a_canary_gets_its_traffic_step_by_step_and_then_takes_the_stable_place(serving):
    report = serving.deploy(serving.new, rollout="canary")
    assert report["strategy"] == "canary"
    assert serving.percents() == [0, 10, 50, 100, 0, None]
    assert [(step["percent"], step["requests"], step["errors"]) for step in report["steps"]] == [(10, 4, 0), (50, 4, 0)]
    stable = [document["spec"]["predictor"]["model"]["storageUri"] for document in serving.cluster.applied]
    assert stable == [serving.old.uri] * 3 + [serving.new.uri] * 3
    assert serving.champion == serving.new.id
    assert "name" not in serving.cluster.service["spec"]["predictor"]
    assert all(faults(document) == [] for document in serving.cluster.applied)


def test_a_canary_that_answers_otherwise_gets_no_traffic(serving):
    with pytest.raises(
        UserError, match=r"the evaluation says.*the canary is taken away, and .* serves all of the traffic"
    ):
        serving.deploy(serving.new, golden=WRONG)
    assert serving.percents() == [0, None]
    assert (serving.stable_uri(), serving.champion) == (serving.old.uri, serving.old.id)


def test_a_canary_that_fails_under_traffic_is_taken_away(serving):
    def fail_from_half(service):
        if "canary" in service["spec"] and service["spec"]["canary"][0]["trafficPercent"] == 50:
            serving.cluster.failing.add(serving.new.uri)

    serving.cluster.on_apply = fail_from_half
    with pytest.raises(
        UserError, match=r"with 50 % of the traffic 2 of 4 requests failed.*internal error of the model"
    ):
        serving.deploy(serving.new)
    assert serving.percents() == [0, 10, 50, 0, None]
    assert (serving.stable_uri(), serving.champion) == (serving.old.uri, serving.old.id)


def test_a_slow_canary_is_taken_away(serving):
    with pytest.raises(UserError, match=r"with 10 % of the traffic the 95th percentile of the latency was \d+ ms"):
        serving.deploy(serving.new, max_p95_ms=1e-6)
    assert serving.percents() == [0, 10, 0, None]


def test_going_back_restores_all_that_made_the_pods_before(stage):
    stage.deploy(stage.old, image="good:1", cpu="2")
    before = stage.cluster.service["spec"]["predictor"]
    stage.cluster.controller.broken[stage.new.uri] = "image"
    with pytest.raises(UserError, match=f"rolled back to {stage.old.id}"):
        stage.deploy(stage.new, image="typo:1", rollout="rolling")
    assert stage.cluster.service["spec"]["predictor"] == before


def test_without_promote_the_canary_keeps_its_last_share(serving):
    report = serving.deploy(serving.new, promote=False)
    assert (serving.percents(), report["promoted"], serving.champion) == ([0, 10, 50], False, serving.old.id)
    assert serving.deploy(serving.new)["promoted"]  # goes on with the share that it has
    assert serving.percents()[3:] == [50, 50, 100, 0, None]
    assert serving.champion == serving.new.id


def test_deploying_the_served_bundle_again_changes_nothing(serving):
    service = serving.cluster.service
    report = serving.deploy(serving.old)
    assert report["strategy"] == "in place"
    assert serving.cluster.service["metadata"]["generation"] == service["metadata"]["generation"]
    assert len(serving.registry.promotions()) == 1


@pytest.mark.parametrize(
    ("field", "gateway", "message"),
    [(False, "true", r"KServe 0.20.1 has no spec.canary"), (True, "false", r"KServe routes without the Gateway API")],
)
def test_a_canary_that_cannot_be_had_is_refused_or_said_loudly(serving, caplog, field, gateway, message):
    serving.cluster.canary_field = field
    serving.cluster.config["ingress"] = f'{{"enableGatewayApi": {gateway}}}'
    with pytest.raises(
        UserError, match=rf"deploy.rollout canary: NO CANARY: {message}.*the bundle before serves as it did"
    ):
        serving.deploy(serving.new, rollout="canary")
    assert serving.cluster.applied == []
    with caplog.at_level(logging.WARNING):
        assert serving.deploy(serving.new)["strategy"] == "rolling"
    assert "NO CANARY" in caplog.text
    assert serving.percents() == [None]
    assert serving.champion == serving.new.id


def test_a_canary_that_kserves_webhook_refuses_is_refused_or_said_loudly(serving, caplog):
    serving.cluster.refuses_canary = True
    with pytest.raises(
        UserError, match=r"deploy.rollout canary: NO CANARY: .*webhook.*denied the request.*serves as it did"
    ):
        serving.deploy(serving.new, rollout="canary")
    assert serving.cluster.applied == []
    assert serving.deploy(serving.new)["strategy"] == "rolling"
    assert "NO CANARY" in caplog.text
    assert serving.champion == serving.new.id


def test_changes_by_others_are_read_anew(serving):
    serving.cluster.conflicts = 3
    serving.deploy(serving.new, rollout="rolling")
    assert serving.champion == serving.new.id


def test_fields_of_another_tool_are_refused_unless_taken_over(serving):
    serving.cluster.owned_by_others = [".spec.predictor.minReplicas"]
    with pytest.raises(
        UserError, match=r'minReplicas \(conflict with "kubectl"\); give deploy the same values.*take_over'
    ):
        serving.deploy(serving.new)
    assert serving.champion == serving.old.id
    serving.deploy(serving.new, take_over=True)
    assert serving.champion == serving.new.id


def test_somebody_elses_bundle_in_between_is_noticed(serving):
    def intrude(service):
        service["spec"]["predictor"]["labels"] = {"longtail/revision": "theirs"}

    serving.cluster.on_apply = intrude
    with pytest.raises(UserError, match="longtail/shop: somebody else deployed another bundle meanwhile"):
        serving.deploy(serving.new, rollout="rolling")
    assert serving.champion == serving.old.id


def test_a_champion_that_moved_meanwhile_is_not_overwritten(serving, tmp_path):
    def overtake(service):
        serving.cluster.on_apply = lambda _: None
        serving.registry.promote(serving.new, serving.old, "somebody else")

    other = publish_decided(serving.registry, third_bundle(tmp_path), compared=serving.old.id)
    serving.cluster.on_apply = overtake
    with pytest.raises(UserError, match=rf"somebody else moved it.*rolled back to {serving.old.id}"):
        serving.deploy(other, rollout="rolling")
    assert (serving.champion, serving.stable_uri()) == (serving.new.id, serving.old.uri)


def third_bundle(folder):
    from helpers_hand_bundle import write_hand_bundle

    return write_hand_bundle(folder / "third", titles=("Lamp", "Lamp", None, "Lamp"))


def test_an_api_server_that_restarts_is_waited_for(serving):
    serving.cluster.away = 3  # behind a load balancer

    def restart(_):
        serving.cluster.on_apply = lambda _: None
        threading.Thread(target=restarted).start()

    def restarted():  # nobody listens for a while
        serving.cluster.stop()
        threading.Event().wait(1.0)
        serving.cluster.start()

    serving.cluster.on_apply = restart
    serving.deploy(serving.new)
    assert serving.champion == serving.new.id


def test_what_an_events_warning_says_is_in_the_error(serving):
    serving.cluster.controller.broken[serving.new.uri] = "none"
    serving.cluster.on_apply = lambda _: serving.cluster.events.extend(
        [
            warning("shop-predictor-abc", "FailedCreate", 'serviceaccount "longtail-predictor" not found'),
            warning("another-predictor", "FailedCreate", "of another service"),
        ]
    )
    with pytest.raises(
        UserError, match=r'no pod was made; events: FailedCreate: serviceaccount "longtail-predictor"'
    ) as e:
        serving.deploy(serving.new, rollout="rolling", ready_seconds=1)
    assert "another service" not in str(e.value)
