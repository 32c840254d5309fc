import numpy as np
import pytest

from longtail.metrics.off_policy import Logged, Way
from longtail.metrics.off_policy_terms import METHODS
from longtail.policies.asked import Asked
from longtail.policies.evaluating import evaluate, own_value

LOG, NEW, CHANCE = np.array([0.5, 0.3, 0.2]), np.array([0.2, 0.2, 0.6]), np.array([0.1, 0.2, 0.5])
ACTIONS = ("a", "b", "c")


def log(rounds=1000, seed=0, **more):
    rng = np.random.default_rng(seed)
    action = rng.choice(3, rounds, p=LOG)
    return Logged(action, (rng.random(rounds) < CHANCE[action]).astype(float), LOG[action], **more)


def asked(logged, whole=True):
    return Asked(ACTIONS, NEW[logged.action], np.tile(NEW, (len(logged), 1)) if whole else None)


def test_every_method_beside_the_logs_own_value():
    logged = log()
    found = evaluate(logged, asked(logged), Way(samples=100))
    assert tuple(one.method for one in found.estimates) == METHODS
    assert found.logged.value == pytest.approx(logged.reward.mean())
    assert found.logged.ess == pytest.approx(1000)
    assert found.warnings == () and found.left_out == {}
    unbiased = found.estimates[METHODS.index("dr")]
    assert found.gain is not None and found.gain.method == "dr"
    assert found.gain.value == pytest.approx(unbiased.value - found.logged.value)
    for one in found.estimates:
        assert abs(one.value - NEW @ CHANCE) < 3.5 * unbiased.error
        assert one.low < one.value < one.high


def test_few_users_leave_out_what_needs_a_model():
    logged = log(400, user=np.arange(400) % 3)
    found = evaluate(logged, asked(logged), Way(samples=50))
    assert [one.method for one in found.estimates] == ["ips", "snips"]
    assert set(found.left_out) == {"dm", "dr", "switch-dr", "dros"}
    assert found.left_out["dr"] == "3 users cannot be cut into 5 folds for a reward model"


def test_propensities_that_do_not_sum_to_one_are_told_by_position():
    logged = log(3000)
    position = np.arange(3000) % 2
    half = np.where(position == 1, logged.propensity / 2, logged.propensity)
    wrong = Logged(logged.action, logged.reward, half, position)
    found = evaluate(wrong, asked(wrong), Way(samples=50), ("ips",))
    assert found.warnings[0].startswith("1 / propensity averages to ") and "at position 1 " in found.warnings[0]
    assert sum(warning.startswith("1 / propensity") for warning in found.warnings) == 1


def test_own_value_has_the_interval_of_a_mean():
    logged = log()
    found = own_value(logged, Way(samples=1000))
    error = logged.reward.std(ddof=1) / np.sqrt(1000)
    assert found.error == pytest.approx(error)
    assert (found.high - found.low) / 2 == pytest.approx(1.96 * error, rel=0.08)
