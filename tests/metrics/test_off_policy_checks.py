import numpy as np
import pytest

from longtail.metrics.off_policy import Logged, Way, value_of
from longtail.metrics.off_policy_checks import propensity_sum, unsupported_share
from longtail.metrics.off_policy_intervals import Units

FEW = Way(samples=50)


def test_unsupported_share_by_hand():
    """At place 1 the log took items 0 and 1, at place 2 item 1 alone."""
    action, place = np.array([0, 1, 1]), np.array([1, 1, 2])
    policy = np.array([[0.2, 0.3, 0.5], [0.5, 0.5, 0.0], [0.4, 0.6, 0.0]])
    assert unsupported_share(action, place, policy) == pytest.approx((0.5 + 0 + 0.4) / 3)
    assert unsupported_share(action, None, policy) == pytest.approx(0.5 / 3)


def log_of(probabilities, rounds=4000, seed=0):
    rng = np.random.default_rng(seed)
    action = rng.choice(len(probabilities), rounds, p=probabilities)
    return Logged(action, (rng.random(rounds) < 0.1).astype(float), np.asarray(probabilities)[action])


def warnings(logged, policy):
    return value_of(logged, np.tile(policy, (len(logged), 1)), None, "ips", FEW).warnings


def test_a_good_log_gets_no_warning():
    assert warnings(log_of([0.5, 0.3, 0.2]), [0.2, 0.3, 0.5]) == ()


def test_an_action_that_the_log_never_took_is_told_and_lowers_the_mean_weight():
    found = warnings(log_of([0.5, 0.5, 0.0]), [0.3, 0.3, 0.4])
    assert found[0].startswith("40.0% of what the policy would do was never done in the log")
    assert found[1].startswith("the mean weight is 0.600")


def test_wrong_propensities_are_told():
    logged = log_of([0.5, 0.3, 0.2])
    halved = Logged(logged.action, logged.reward, logged.propensity / 2)
    (found,) = warnings(halved, [0.2, 0.3, 0.5])
    assert found.startswith("the mean weight is 1.9") and "the propensities are not those of the log" in found


def test_few_effective_rounds_are_told():
    (found,) = warnings(log_of([0.99, 0.01]), [0.01, 0.99])
    assert "too few to trust the interval" in found


def test_propensities_that_do_not_sum_to_one_are_found():
    logged = log_of([0.5, 0.3, 0.2])
    units = Units.of(None, len(logged))
    share, error = propensity_sum(logged.propensity, 3, units)
    assert abs(share - 1) < 3 * error
    share, error = propensity_sum(logged.propensity * 0.9, 3, units)
    assert share == pytest.approx(1 / 0.9, abs=0.05) and abs(share - 1) > 5 * error


def test_false_alarms_of_the_mean_weight_are_rare():
    alarms = sum(bool(warnings(log_of([0.6, 0.3, 0.1], 500, seed), [0.2, 0.3, 0.5])) for seed in range(200))
    assert alarms <= 6  # three standard errors: .3 % each, and more for skewed weights
