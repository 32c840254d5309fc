import numpy as np
import pandas as pd
import pytest
from scipy.stats import binomtest

from longtail.campaign.recoverable import recoverable_value
from longtail.campaign.returning import ReturnSettings, describe, return_probability, wilson
from longtail.campaign.states import StateSettings, user_states
from longtail.contracts.columns import DAY
from longtail.contracts.errors import UserError

AT = 400 * DAY
SETTINGS = ReturnSettings(horizon_days=30)


@pytest.fixture(scope="module")
def shop():
    """6,000 users with rates of their own who leave for good at some time; events until 40 days after the moment."""
    rng = np.random.default_rng(1)
    rate, start = rng.gamma(0.8, 1 / 30, 6000), rng.uniform(0, 380, 6000)
    length = np.minimum(rng.exponential(300, 6000), 440 - start)
    user = np.repeat(np.arange(6000), rng.poisson(rate * length))
    days = start[user] + rng.random(len(user)) * length[user]
    ids = np.array([f"u{number:04d}" for number in range(6000)], dtype=object)
    return pd.DataFrame({"user_id": ids[user], "timestamp": (days * DAY).astype(np.int64)}), ids


@pytest.fixture(scope="module")
def learnt(shop):
    events, ids = shop
    states = user_states(events, ids, AT, StateSettings())
    return states, return_probability(events, states, AT, SETTINGS, StateSettings(), 0)


def test_probabilities_are_those_of_the_time_that_follows(shop, learnt):
    events, _ = shop
    states, found = learnt
    known = (states.events > 0).to_numpy()
    assert np.isnan(found.probability[~known]).all()
    assert ((found.probability[known] >= 0) & (found.probability[known] <= 1)).all()
    after = events[(events.timestamp >= AT) & (events.timestamp < AT + 30 * DAY)]
    came = states.user_id.isin(after.user_id).to_numpy()[known]
    later = describe(found.probability[known], came)
    assert later["skill"] > 0.1
    off = [abs(row["predicted"] - row["observed"]) for row in later["reliability"]]
    assert np.mean(off) < 0.04


def test_quality_is_calibrated_on_users_not_seen(learnt):
    quality = learnt[1].quality
    assert quality["skill"] > 0.1
    assert sum(row["users"] for row in quality["reliability"]) == quality["users"]
    inside = [row["low"] <= row["predicted"] <= row["high"] for row in quality["reliability"]]
    assert sum(inside) >= len(inside) - 2


@pytest.mark.slow
def test_nothing_at_or_after_the_moment_is_read(shop, learnt):
    events, _ = shop
    states, found = learnt
    changed = events.copy()
    later = changed.timestamp >= AT
    changed.loc[later, "user_id"] = "u0000"
    again = return_probability(changed[~later], states, AT, SETTINGS, StateSettings(), 0)
    other = return_probability(changed, states, AT, SETTINGS, StateSettings(), 0)
    assert later.any()
    np.testing.assert_array_equal(again.probability, found.probability)
    np.testing.assert_array_equal(other.probability, found.probability)


def test_what_cannot_be_learnt_is_said(shop):
    events, ids = shop
    few = ids[:150]
    some = events[events.user_id.isin(few)]
    states = user_states(some, few, AT, StateSettings())
    found = return_probability(some, states, AT, SETTINGS, StateSettings(), 0)
    assert "cannot be learnt" in found.unknown and "users had events" in found.unknown
    assert np.isnan(found.probability).all() and found.quality is None
    gone = events[events.timestamp < AT - 30 * DAY]  # nobody has come since
    states = user_states(gone, ids, AT, StateSettings())
    found = return_probability(gone, states, AT, SETTINGS, StateSettings(), 0)
    assert "0 of" in found.unknown and "users returned" in found.unknown


def test_description_by_hand():
    found = describe(np.array([0.1, 0.1, 0.6, 0.6]), np.array([False, False, True, False]), bins=2)
    assert found["base_rate"] == 0.25
    assert found["brier"] == pytest.approx((0.01 + 0.01 + 0.16 + 0.36) / 4)
    assert found["skill"] == pytest.approx(1 - found["brier"] / (0.25 * 0.75))
    assert [(row["users"], row["predicted"], row["observed"]) for row in found["reliability"]] == [
        (2, pytest.approx(0.1), 0),
        (2, pytest.approx(0.6), 0.5),
    ]


@pytest.mark.parametrize(("count", "users"), [(0, 10), (3, 7), (50, 50)])
def test_wilson_against_scipy(count, users):
    expected = binomtest(count, users).proportion_ci(method="wilson")
    assert wilson(count, users) == pytest.approx((expected.low, expected.high), abs=1e-6)


def test_recoverable_value_by_hand():
    states = pd.DataFrame(
        {
            "user_id": list("abcd"),
            "expected_gap_days": [10.0, 10, 1000, np.nan],
            "usual_value": [5.0, np.nan, 9, np.nan],
            "return_probability": [0.2, 0.2, 0.9, np.nan],
        }
    )
    usual = 1 - np.exp(-3)
    found = recoverable_value(states, 30)
    # b has no value of its own: the median 7; c comes more often than usual: nothing to recover
    assert found.tolist()[:3] == pytest.approx([(usual - 0.2) * 5, (usual - 0.2) * 7, 0])
    assert np.isnan(found[3])
    assert recoverable_value(states.assign(usual_value=np.nan), 30)[0] == pytest.approx(usual - 0.2)
    with pytest.raises(UserError, match="return_probability"):
        recoverable_value(states.drop(columns="return_probability"), 30)
