import numpy as np
import pytest

from longtail.contracts.errors import UserError
from longtail.metrics.off_policy import Logged, Way, value_of
from longtail.policies import reward_model
from longtail.policies.reward_model import cross_fitted


def log(rounds=4000, seed=0, context=True):
    """Odds of a reward are multiplied by the item, the place and what is known of the round."""
    rng = np.random.default_rng(seed)
    action, place, known = rng.integers(4, size=rounds), rng.integers(1, 3, size=rounds), rng.normal(size=(rounds, 1))
    items = np.array([-2.0, -1.0, 0.0, 1.0])
    chance = 1 / (1 + np.exp(-(known + items[None, :] + np.where(place == 1, 0.5, -0.5)[:, None])))
    reward = (rng.random(rounds) < chance[np.arange(rounds), action]).astype(float)
    return Logged(action, reward, np.full(rounds, 0.25), place, known if context else None), chance


def test_expected_rewards_come_near_the_true_ones():
    logged, truth = log()
    found = cross_fitted(logged, 4)
    assert found.shape == (4000, 4)
    assert np.abs(found - truth).mean() < 0.02
    assert np.abs(cross_fitted(log(context=False)[0], 4) - truth).mean() > 0.1  # what is known of the round matters


def test_a_round_is_not_seen_by_its_own_model():
    """Only the round's own reward changes: its own expectations stay, to the last digit."""
    logged, _ = log(200)
    changed = logged.reward.copy()
    changed[17] = 1 - changed[17]
    before = cross_fitted(logged, 4)
    after = cross_fitted(Logged(logged.action, changed, logged.propensity, logged.position, logged.context), 4)
    np.testing.assert_array_equal(before[17], after[17])
    assert not np.array_equal(before, after)


def test_rounds_of_a_user_are_in_one_fold():
    logged, _ = log(200)
    user = np.repeat(np.arange(50), 4)
    changed = logged.reward.copy()
    changed[16:20] = 1 - changed[16:20]
    one, other = (
        cross_fitted(Logged(logged.action, reward, logged.propensity, logged.position, logged.context, user), 4)
        for reward in (logged.reward, changed)
    )
    np.testing.assert_array_equal(one[16:20], other[16:20])


def test_values_other_than_0_and_1_by_ridge_regression():
    rng = np.random.default_rng(1)
    action = rng.integers(3, size=3000)
    reward = np.array([5.0, -2.0, 40.0])[action] + rng.normal(size=3000)
    found = cross_fitted(Logged(action, reward, np.full(3000, 1 / 3)), 3)
    np.testing.assert_allclose(found.mean(axis=0), [5, -2, 40], atol=0.2)


def test_no_reward_at_all_is_expected_to_stay_so():
    logged = Logged(np.arange(20) % 2, np.zeros(20), np.full(20, 0.5))
    assert not cross_fitted(logged, 2).any()


def test_dr_with_it_has_less_variance_than_ips_where_rewards_can_be_told():
    policy = np.tile([0.05, 0.05, 0.1, 0.8], (1500, 1))
    values = {"ips": [], "dr": []}
    for seed in range(40):
        logged, _ = log(1500, seed)
        expected = cross_fitted(logged, 4)
        for method, found in values.items():
            found.append(value_of(logged, policy, expected, method, Way(samples=2)).value)
    assert np.std(values["dr"]) < 0.8 * np.std(values["ips"])
    assert np.mean(values["dr"]) == pytest.approx(np.mean(values["ips"]), abs=0.02)


def test_too_few_rounds_and_too_many_numbers_are_told(monkeypatch):
    few = Logged(np.zeros(3, int), np.zeros(3), np.ones(3))
    with pytest.raises(UserError, match="3 rounds cannot be cut into 5 folds"):
        cross_fitted(few, 1)
    monkeypatch.setattr(reward_model, "MOST_NUMBERS", 10)
    with pytest.raises(UserError, match="200 rounds x 4 actions are too many"):
        cross_fitted(log(200)[0], 4)
