"""Effects by hand, their intervals by simulation, and corrections against statsmodels."""

import numpy as np
import pytest
from statsmodels.stats.multitest import multipletests

from longtail.campaign.holding_out import draw_hold_out
from longtail.campaign.measuring import adjusted, effect_of, holm, joined, per_activated, sample_ratio
from longtail.contracts.errors import UserError


def test_strata_are_weighted_by_their_users():
    contacted = np.array([True] * 30 + [False] * 10 + [True] * 10 + [False] * 10)
    strata = ["a"] * 40 + ["b"] * 20
    outcome = np.concatenate([np.tile([1.0, 0.0, 0.0], 10), [1.0] + [0.0] * 9, np.tile([1.0, 0.0], 5), [0.0] * 10])
    found = effect_of(outcome, contacted, strata)
    assert found.effect == pytest.approx(40 / 60 * (1 / 3 - 0.1) + 20 / 60 * 0.5)
    assert found.without == pytest.approx(40 / 60 * 0.1)
    error = np.sqrt(
        (40 / 60) ** 2 * ((1 / 3 * 2 / 3 * 30 / 29) / 30 + 0.09 * 10 / 9 / 10) + (20 / 60) ** 2 * (0.25 * 10 / 9 / 10)
    )
    assert (found.high - found.low) / 2 / error == pytest.approx(
        2.03, abs=0.05
    )  # Student's t with some 35 degrees of freedom


def test_small_strata_are_joined():
    contacted = np.array(([True] * 20 + [False] * 20) + [True] + ([True] * 3 + [False] * 12))
    codes = joined(["big"] * 40 + ["one"] + ["small"] * 15, contacted)
    assert len(np.unique(codes)) == 1  # both small ones together still lack contacted users


def drawn(rng, users, share, effect, zero_inflated):
    """A campaign: outcomes that depend on a past value and on the stratum, hold-outs drawn within strata."""
    strata = rng.integers(4, size=users)
    past = rng.poisson(1 + strata)
    held = draw_hold_out([str(n) for n in range(users)], strata, share, int(rng.integers(2**31)))
    if zero_inflated:
        outcome = (
            np.where(rng.random(users) < 0.1, rng.gamma(2.0, 10.0, users), 0.0) + 0.5 * past + np.where(held, 0, effect)
        )
    else:
        outcome = (rng.random(users) < 0.03 + 0.02 * past / 4 + np.where(held, 0, effect)).astype(float)
    return outcome, ~held, strata, past.astype(float)


@pytest.mark.parametrize(("zero_inflated", "adjust"), [(False, False), (False, True), (True, True)])
def test_intervals_hold_the_truth_as_often_as_they_say(zero_inflated, adjust):
    rng, times = np.random.default_rng(7), 600
    inside, found = 0, []
    for _ in range(times):
        outcome, contacted, strata, past = drawn(rng, 900, 0.25, 0.04, zero_inflated)
        one = effect_of(outcome, contacted, strata, past if adjust else None)
        inside += one.low <= 0.04 <= one.high
        found.append(one.effect)
    assert 0.925 <= inside / times <= 0.975  # 95 %, Monte-Carlo error .009
    assert np.mean(found) == pytest.approx(0.04, abs=4 * np.std(found) / np.sqrt(times))  # unbiased, adjusted or not


def test_adjusting_takes_variance_away_where_the_past_tells_something():
    outcome, contacted, strata, past = drawn(np.random.default_rng(1), 4000, 0.3, 1.0, True)
    outcome = outcome + 4 * past
    plain, better = effect_of(outcome, contacted, strata), effect_of(outcome, contacted, strata, past)
    assert (better.high - better.low) < 0.75 * (plain.high - plain.low)


def test_adjusting_is_the_regression_within_cells():
    rng = np.random.default_rng(0)
    codes, contacted = rng.integers(3, size=500), rng.random(500) < 0.6
    before = rng.normal(size=500)
    outcome = 2.5 * before + codes + contacted
    flat = adjusted(outcome, before, codes, contacted)
    means = np.array([before[codes == code].mean() for code in codes])
    assert flat == pytest.approx(codes + contacted + 2.5 * means)


def test_holm_is_that_of_statsmodels():
    p_values = [0.2, 0.001, 0.04, 0.03, 0.5]
    assert holm(p_values) == pytest.approx(multipletests(p_values, method="holm")[1])
    assert holm([0.01, float("nan"), 0.02])[::2] == pytest.approx([0.02, 0.02])


def test_the_sample_ratio():
    assert sample_ratio(900, 100, 0.1) == pytest.approx(1.0)
    assert sample_ratio(940, 60, 0.1) < 0.001  # (60 - 100)^2 / 100 + (940 - 900)^2 / 900 = 17.8
    assert sample_ratio(905, 95, 0.1) > 0.5


def test_the_cost_of_an_activated_user_has_no_bound_where_there_may_be_no_effect():
    rng = np.random.default_rng(2)
    contacted = np.arange(2000) % 4 > 0
    sure = effect_of((rng.random(2000) < 0.1 + 0.2 * contacted).astype(float), contacted, [0] * 2000)
    cost = per_activated(150.0, sure)
    assert cost["cost"] == pytest.approx(150 / (sure.effect * 1500))
    assert cost["low"] < cost["cost"] < cost["high"]
    unsure = effect_of((rng.random(2000) < 0.1).astype(float), contacted, [0] * 2000)
    assert per_activated(150.0, unsure)["high"] is None


def test_a_missing_arm_is_said():
    with pytest.raises(UserError, match="0 of 3 users was held out: an arm is missing"):
        effect_of(np.zeros(3), np.ones(3, bool), ["a"] * 3)
    with pytest.raises(UserError, match="was contacted"):
        effect_of(np.zeros(3), np.zeros(3, bool), ["a"] * 3)
