"""Values by hand (three rounds, two actions), and over many synthetic logs whose truth is known."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.stats import binomtest, chi2

from longtail.contracts.errors import UserError
from longtail.metrics import off_policy_intervals
from longtail.metrics.off_policy import (
    Logged,
    Way,
    gain_over_log,
    value_of,
    weights,
)
from longtail.metrics.off_policy_intervals import Units, compound_poisson, interval
from longtail.metrics.off_policy_terms import METHODS, candidates, estimate_terms

LOGGED = Logged(np.array([0, 1, 1]), np.array([1.0, 0.0, 2.0]), np.array([0.5, 0.25, 0.8]))
POLICY = np.array([[0.25, 0.75], [0.5, 0.5], [0.2, 0.8]])
EXPECTED = np.array([[1.0, 0.0], [2.0, 1.0], [0.5, 1.5]])
# weights: .25 / .5, .5 / .25, .8 / .8 = .5, 2, 1
# expected under the policy: .25, 1.5, .1 + 1.2 = 1.3;  residuals: 1 - 1, 0 - 1, 2 - 1.5 = 0, -1, .5
FEW = Way(samples=50)

CHANCE = np.array([0.1, 0.02, 0.3, 0.05, 0.2])  # of a reward, of each action
LOG, NEW = np.array([0.4, 0.3, 0.1, 0.1, 0.1]), np.array([0.1, 0.1, 0.5, 0.1, 0.2])
TRUTH = 0.207  # .01 + .002 + .15 + .005 + .04


def value(method, **way):
    return value_of(LOGGED, POLICY, EXPECTED, method, Way(samples=50, **way)).value


def test_weights_by_hand():
    assert weights(LOGGED, POLICY).tolist() == [0.5, 2.0, 1.0]


@pytest.mark.parametrize(
    ("method", "way", "by_hand"),
    [
        ("ips", {}, (0.5 + 0 + 2) / 3),
        ("ips", {"clip": 0.75}, (0.5 + 0 + 1.5) / 3),
        ("snips", {}, 2.5 / 3.5),
        ("snips", {"clip": 1.0}, 2.5 / 2.5),
        ("dm", {}, (0.25 + 1.5 + 1.3) / 3),
        ("dr", {}, (0.25 + (1.5 - 2) + (1.3 + 0.5)) / 3),
        ("dr", {"clip": 1.0}, (0.25 + (1.5 - 1) + (1.3 + 0.5)) / 3),
        ("switch-dr", {"parameter": 1.0}, (0.25 + 1.5 + (1.3 + 0.5)) / 3),
        # lambda w / (w² + lambda), lambda 2: 1 / 2.25, 4 / 6, 2 / 3
        ("dros", {"parameter": 2.0}, (0.25 + (1.5 - 2 / 3) + (1.3 + 1 / 3)) / 3),
    ],
)
def test_values_by_hand(method, way, by_hand):
    assert value(method, **way) == pytest.approx(by_hand, rel=1e-12)


def test_what_is_told_beside_the_value_by_hand():
    found = value_of(LOGGED, POLICY, None, "ips", Way(samples=50, clip=1.5))
    assert found.ess == pytest.approx((0.5 + 1.5 + 1) ** 2 / (0.25 + 2.25 + 1))
    assert found.clipped_share == pytest.approx(1 / 3)
    assert found.clipping_bias == pytest.approx((2 - 1.5) / 3 * 2)  # the greatest reward seen is 2
    assert found.error == pytest.approx(np.std([0.5, 0, 2], ddof=1) / np.sqrt(3))


@pytest.mark.parametrize("method", ["switch-dr", "dros"])
def test_ends_of_the_hyper_parameter_are_dm_and_dr(method):
    assert value(method, parameter=0.0) == pytest.approx(value("dm"), rel=1e-12)
    assert value(method, parameter=np.inf) == pytest.approx(value("dr"), rel=1e-12)
    assert value(method, parameter=1e12) == pytest.approx(value("dr"), rel=1e-9)
    tried = candidates(method, weights(LOGGED, POLICY))
    assert tried[0] == np.inf and tried[-1] == 0 and list(tried) == sorted(tried, reverse=True)


def test_probabilities_of_the_logged_actions_are_enough_for_ips():
    of_logged = POLICY[np.arange(3), LOGGED.action]
    for method in ("ips", "snips"):
        assert value_of(LOGGED, of_logged, None, method, FEW) == value_of(LOGGED, POLICY, None, method, FEW)


@given(st.integers(0, 2**32 - 1))
def test_the_logs_own_policy_is_worth_its_mean_reward(seed):
    rng = np.random.default_rng(seed)
    action, reward = rng.integers(4, size=30), rng.random(30)
    own = np.full((30, 4), 0.25)
    logged = Logged(action, reward, own[0, action])
    for method in ("ips", "snips"):
        assert value_of(logged, own, None, method, FEW).value == pytest.approx(reward.mean())
    constant = np.full((30, 4), 0.7)  # a model without knowledge changes nothing
    assert value_of(logged, own, constant, "dr", FEW).value == pytest.approx(reward.mean())


def logs(repetitions, rounds, seed, chance=CHANCE):
    rng = np.random.default_rng(seed)
    for _ in range(repetitions):
        action = rng.choice(len(LOG), rounds, p=LOG)
        reward = (rng.random(rounds) < chance[action]).astype(float)
        yield Logged(action, reward, LOG[action])


def terms(method, logged, expected, parameter=None):
    policy = np.tile(NEW, (len(logged), 1))
    model = (expected[logged.action], np.full(len(logged), float(NEW @ expected)))
    return estimate_terms(method, logged.reward, weights(logged, policy), model, parameter)


WRONG = np.array([0.3, 0.1, 0.2, 0.2, 0.1])  # a reward model that is far off


@pytest.mark.parametrize("method", ["ips", "snips", "dr"])
@pytest.mark.parametrize("expected", [CHANCE, WRONG], ids=["true model", "wrong model"])
def test_unbiased_whatever_the_model(method, expected):
    found = np.array([terms(method, logged, expected)[0] for logged in logs(2000, 400, 5)])
    error = found.std(ddof=1) / np.sqrt(len(found))
    assert abs(found.mean() - TRUTH) < 3.5 * error
    assert error < 0.002  # so that a bias of 3 % would be seen


def test_the_direct_method_has_its_models_bias():
    assert terms("dm", next(logs(1, 400, 5)), WRONG)[0] == pytest.approx(NEW @ WRONG)
    assert abs(NEW @ WRONG - TRUTH) > 0.02


def test_variance_of_dr_is_below_that_of_ips_and_switch_below_dr():
    runs = list(logs(1500, 400, 6))
    spread = {name: np.std([terms(name, logged, CHANCE)[0] for logged in runs]) for name in ("ips", "snips", "dr")}
    assert spread["dr"] < 0.95 * spread["ips"]
    assert spread["dr"] < 1.02 * spread["snips"]
    switched = np.std([terms("switch-dr", logged, CHANCE, 3.0)[0] for logged in runs])
    assert switched < 0.8 * spread["dr"]


def test_reported_errors_are_the_spread_over_logs():
    runs = list(logs(1500, 400, 7))
    for method in ("ips", "snips", "dr"):
        found = [terms(method, logged, WRONG) for logged in runs]
        reported = np.mean([Units.of(None, 400).error(*one) for one in found])
        assert reported == pytest.approx(np.std([one[0] for one in found]), rel=0.06)


@pytest.mark.parametrize("method", METHODS)
def test_intervals_cover_the_truth_about_as_often_as_they_say(method):
    """For the biased ones, too, with a model that is far off: they have the interval of DR, stretched."""
    expected, missed = np.tile(WRONG, (500, 1)), 0
    for logged in logs(200, 500, 8):
        found = value_of(logged, np.tile(NEW, (500, 1)), expected, method, Way(samples=200))
        missed += not found.low <= TRUTH <= found.high
    assert binomtest(missed, 200, 0.05, alternative="greater").pvalue > 0.01


def test_intervals_of_rare_rewards_where_percentiles_miss():
    """Half a per cent is rewarded: the percentile bootstrap misses far more often than 5 % there."""
    rare = CHANCE * 0.05
    truth, missed, by_percentile = float(NEW @ rare), 0, 0
    rng = np.random.default_rng(0)
    for logged in logs(200, 600, 9, rare):
        found = value_of(logged, np.tile(NEW, (600, 1)), None, "ips", Way(samples=200))
        missed += not found.low <= truth <= found.high
        drawn = weights(logged, np.tile(NEW, (600, 1))) * logged.reward
        means = [drawn[rng.integers(600, size=600)].mean() for _ in range(200)]
        by_percentile += not np.quantile(means, 0.025) <= truth <= np.quantile(means, 0.975)
    assert missed <= 0.08 * 200 < by_percentile


def test_slope_takes_the_model_where_it_is_right_and_dr_where_it_is_wrong():
    logged = next(logs(1, 40_000, 10))
    policy = np.tile(NEW, (len(logged), 1))
    right = value_of(logged, policy, np.tile(CHANCE, (len(logged), 1)), "switch-dr", FEW)
    wrong = value_of(logged, policy, np.tile(WRONG, (len(logged), 1)), "switch-dr", FEW)
    assert right.parameter == 0 and right.value == pytest.approx(NEW @ CHANCE)
    assert wrong.parameter >= 5 and abs(wrong.value - TRUTH) < 3 * wrong.error
    shrunk = value_of(logged, policy, np.tile(WRONG, (len(logged), 1)), "dros", FEW)
    assert abs(shrunk.value - TRUTH) < 0.02 < abs(NEW @ WRONG - TRUTH)


def test_rounds_of_one_user_are_no_independent_rounds():
    """Every round four times: the same value, and errors as if each were there once."""
    logged = next(logs(1, 300, 11))
    user = np.repeat(np.arange(300), 4)
    many = Logged(*(np.repeat(part, 4) for part in (logged.action, logged.reward, logged.propensity)), user=user)
    once = value_of(logged, np.tile(NEW, (300, 1)), None, "snips", FEW)
    four = value_of(many, np.tile(NEW, (1200, 1)), None, "snips", FEW)
    assert four.value == pytest.approx(once.value)
    assert four.error == pytest.approx(once.error)
    assert (four.low, four.high) == pytest.approx((once.low, once.high))


def test_users_of_unlike_lengths_by_the_formula_of_a_ratio():
    user, found = np.array([0, 0, 0, 1, 2, 2]), np.array([1.0, 2, 3, 4, 5, 6])
    sums, counts = np.array([6, 4, 11.0]), np.array([3, 1, 2])
    residual = sums - 3.5 * counts
    by_formula = np.sqrt(3 / 2 * np.square(residual).sum()) / 6
    assert Units.of(user, 6).error(3.5, found) == pytest.approx(by_formula)


def test_an_interval_without_rewards_or_without_any_spread():
    logged = Logged(np.array([0, 1] * 50), np.zeros(100), np.full(100, 0.5))
    found = value_of(logged, np.full((100, 2), 0.5), None, "ips", FEW)
    assert (found.value, found.low) == (0.0, 0.0)
    assert found.high == pytest.approx(-np.log(0.025) / 100)  # exact: no count in 100, Poisson
    given = (-1.0, -np.ones(5), Units.of(None, 5), 0.95, 50, 0)
    assert interval(*given, None) == (-np.inf, np.inf)
    assert interval(*given, (-2.0, 3.0)) == (-2.0, 3.0)


def test_many_rounds_have_the_normal_interval_which_the_bootstrap_comes_near(monkeypatch):
    terms = np.random.default_rng(0).gamma(1.0, size=20_000)
    given = (float(terms.mean()), terms, Units.of(None, len(terms)), 0.9, 2000, 0, None)
    low, high = interval(*given)
    half = 1.6448536 * terms.std() / np.sqrt(len(terms))
    assert (low, high) == pytest.approx((terms.mean() - half, terms.mean() + half), rel=1e-6)
    monkeypatch.setattr(off_policy_intervals, "MANY", np.inf)
    assert interval(*given) == pytest.approx((low, high), abs=0.05 * half)
    assert interval(*given) != (low, high)


def test_limits_of_counts_alike_are_the_exact_ones_of_a_poisson_count():
    for count in (1, 4, 30):
        rewarded = np.where(np.arange(200) < count, 2.0, 0.0)
        low, high = compound_poisson(rewarded, np.full(200, 2.0), 200, 0.9)
        exact = chi2.ppf(0.05, 2 * count) / 2, chi2.ppf(0.95, 2 * count + 2) / 2  # Garwood 1936
        assert (low, high) == pytest.approx((exact[0] * 2 / 200, exact[1] * 2 / 200))


@pytest.mark.parametrize(
    ("part", "values", "message"),
    [
        ("propensity", [0.5, 0.0, 0.5], "round 1: propensity 0.0 must be above 0"),
        ("propensity", [0.5, 0.5, 1.2], "round 2: propensity 1.2 is above 1"),
        ("propensity", [np.nan, np.nan, 0.5], r"round 0 \(and 1 more\): propensity nan is missing"),
        ("reward", [1.0, np.inf, 0.0], "round 1: reward inf is not a number"),
        ("action", [0, -1, 1], "round 1: action -1 must be a code from 0"),
        ("reward", [1.0], "3 actions, 1 rewards and 3 propensities"),
    ],
)
def test_faults_of_a_log_are_named(part, values, message):
    parts = {"action": np.array([0, 1, 1]), "reward": np.ones(3), "propensity": np.full(3, 0.5)}
    with pytest.raises(UserError, match=message):
        Logged(**parts | {part: np.array(values)})


def test_a_log_without_rounds_is_refused():
    with pytest.raises(UserError, match="no rounds"):
        Logged(np.zeros(0, int), np.zeros(0), np.zeros(0))


@pytest.mark.parametrize(
    ("probabilities", "message"),
    [
        (np.full((3, 2), 0.4), "round 0: the policy's probabilities sum to 0.8"),
        (np.array([[0.5, 0.5], [1.5, -0.5], [0.5, 0.5]]), r"round 1: the policy's probability 1.5 is not one"),
        (np.ones((3, 1)), "of 1 actions, the log took action 1"),
        (np.ones((2, 2)) / 2, "the log 3 rounds"),
        (np.array([0.5, np.nan, 0.5]), "round 1: the policy's probability nan"),
    ],
)
def test_faults_of_a_policy_are_named(probabilities, message):
    with pytest.raises(UserError, match=message):
        value_of(LOGGED, probabilities, None, "ips", FEW)


def test_methods_by_a_model_ask_for_one():
    with pytest.raises(UserError, match="method dr needs probabilities and expected rewards"):
        value_of(LOGGED, POLICY, None, "dr", FEW)
    with pytest.raises(UserError, match="method 'ipw' is none of ips, snips"):
        value_of(LOGGED, POLICY, None, "ipw", FEW)


def test_gain_over_the_log_by_hand():
    by_ips = gain_over_log(LOGGED, POLICY, None, FEW)
    assert (by_ips.method, by_ips.value) == ("ips", pytest.approx((0.5 + 0 + 2 - 3) / 3))
    by_dr = gain_over_log(LOGGED, POLICY, EXPECTED, FEW)
    assert (by_dr.method, by_dr.value) == ("dr", pytest.approx((0.25 - 0.5 + 1.8 - 3) / 3))
    assert by_dr.error == pytest.approx(np.std([0.25 - 1, -0.5 - 0, 1.8 - 2], ddof=1) / np.sqrt(3))


def test_the_logs_own_policy_gains_nothing_for_certain():
    found = gain_over_log(LOGGED, LOGGED.propensity, None, FEW)
    assert (found.value, found.low, found.high) == (0.0, 0.0, 0.0)


def test_gains_of_few_rounds_are_not_lost_among_many_losses():
    """The policy does what one in 100 rounds of the log did, and half of these are rewarded: that is too rare for the bootstrap."""
    log, chance, missed = np.array([0.99, 0.01]), np.array([0.3, 0.5]), 0
    rng = np.random.default_rng(4)
    for _ in range(200):
        action = rng.choice(2, 400, p=log)
        logged = Logged(action, (rng.random(400) < chance[action]).astype(float), log[action])
        found = gain_over_log(logged, np.where(action == 1, 1.0, 0.0), None, Way(samples=200))
        missed += not found.low <= 0.5 - log @ chance <= found.high
    assert missed <= 0.05 * 200


@pytest.mark.parametrize("share", [1.0, 0.05], ids=["many rewards", "few rewards"])
def test_intervals_of_the_gain_cover_it_and_losses_mirror_gains(share):
    chance = CHANCE * share
    gain, missed, less = float((NEW - LOG) @ chance), 0, Way(samples=200, reward_range=(-1.0, 0.0))
    for logged in logs(200, 600, 12, chance):
        found = gain_over_log(logged, np.tile(NEW, (600, 1)), np.tile(chance, (600, 1)), Way(samples=200))
        missed += not found.low <= gain <= found.high
        owed = Logged(logged.action, -logged.reward, logged.propensity)
        loss = gain_over_log(owed, np.tile(NEW, (600, 1)), np.tile(-chance, (600, 1)), less)
        assert (loss.low, loss.high) == pytest.approx((-found.high, -found.low))
    assert missed <= 0.09 * 200
