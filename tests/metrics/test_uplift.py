import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from longtail.metrics.uplift import Ranked, Trial, bootstrap, calibration, policy_value, uplift_by_group

# four users by falling predicted effect: treated and came, untreated and did not, treated and did not, untreated and came
EFFECT = np.array([4.0, 3, 2, 1])
FOUR = Trial.of(np.array([1.0, 0, 0, 1]), np.array([1, 0, 1, 0]))


def random_trial(users=400, seed=0, share=0.4):
    rng = np.random.default_rng(seed)
    effect = np.round(rng.normal(size=users), 1)  # with ties
    treated = rng.random(users) < share
    outcome = (rng.random(users) < 0.3 + 0.15 * treated * (effect > 0)).astype(float)
    return effect, Trial.of(outcome, treated)


def test_curves_by_hand():
    ranked = Ranked(EFFECT, FOUR)
    qini = ranked.qini_curve()
    assert qini.share.tolist() == [0, 0.25, 0.5, 0.75, 1]
    # (came treated - came untreated x treated / untreated) / 2 treated of all: 1/2, (1 - 0)/2, (1 - 0)/2, (1 - 1)/2
    assert qini.gain.tolist() == [0, 0.5, 0.5, 0.5, 0]
    assert ranked.qini() == pytest.approx(0.25 * (0.25 + 0.5 + 0.5 + 0.25) - 0)
    # share x (mean of treated - mean of untreated): 1/4 (1 - 0), 1/2 (1 - 0), 3/4 (1/2 - 0), 1 (1/2 - 1/2)
    assert ranked.uplift_curve().gain.tolist() == [0, 0.25, 0.5, 0.375, 0]
    assert ranked.auuc() == pytest.approx(0.25 * (0.125 + 0.375 + 0.4375 + 0.1875))


def test_users_of_equal_effect_come_together():
    ranked = Ranked(np.array([2.0, 2, 1, 1]), FOUR)
    assert ranked.qini_curve().share.tolist() == [0, 0.5, 1]
    assert ranked.qini_curve().gain.tolist() == [0, 0.5, 0]
    assert Ranked(np.ones(4), FOUR).qini() == 0


def test_against_scikit_uplift():
    """Of scikit-uplift 0.5.1 on ``random_trial(400, 5)``, with its curves' areas by sklearn.metrics.auc:

    x, g = qini_curve(y, effect, treated); auc(x, g) / 400 / treated.sum() - g[-1] / treated.sum() / 2
    x, u = uplift_curve(y, effect, treated); auc(x, u) / 400 ** 2
    """
    effect, trial = random_trial(400, 5)
    ranked = Ranked(effect, trial)
    assert ranked.qini() == pytest.approx(0.007291501254367311, rel=1e-12)
    assert ranked.auuc() == pytest.approx(0.051984627273666886, rel=1e-12)
    assert len(ranked.qini_curve().share) == 52


def test_a_user_who_counts_twice_is_two_users():
    effect, trial = random_trial(60, 1)
    times = np.random.default_rng(2).integers(0, 4, size=60)
    rows = np.repeat(np.arange(60), times)
    again = Ranked(effect[rows], Trial.of(trial.outcome[rows], trial.treated[rows]))
    assert Ranked(effect, trial).qini(times) == pytest.approx(again.qini())
    assert Ranked(effect, trial).auuc(times) == pytest.approx(again.auuc())


def test_weights_undo_a_draw_that_favoured_some():
    """Users with an effect are treated four times as often as others; unweighted, the average effect is too high."""
    rng = np.random.default_rng(3)
    responsive = rng.random(40_000) < 0.5
    propensity = np.where(responsive, 0.8, 0.2)
    treated = rng.random(40_000) < propensity
    outcome = rng.normal(size=40_000) + treated * responsive
    plain = Trial.of(outcome, treated)
    weighed = Trial.of(outcome, treated, 1 / np.where(treated, propensity, 1 - propensity))
    mean, error = weighed.average()
    assert abs(mean - 0.5) < 4 * error
    assert plain.average()[0] > 0.7
    # responsive first: half the users bring the whole effect of 1/2, so the curve is 1/2 at half, a triangle of area 1/8 above the line
    assert Ranked(responsive.astype(float), weighed).qini() == pytest.approx(0.125, abs=0.01)


def test_an_order_at_random_brings_nothing_and_a_right_one_most():
    effect, trial = random_trial(4000, 4)
    rng = np.random.default_rng(5)
    shuffled = np.array([Ranked(rng.permutation(effect), trial).qini() for _ in range(300)])
    assert abs(shuffled.mean()) < 4 * shuffled.std() / np.sqrt(300)
    assert Ranked(effect, trial).qini() > np.quantile(shuffled, 0.99)


@given(st.integers(0, 10_000), st.floats(0.1, 10), st.floats(-5, 5))
def test_only_the_order_of_effects_and_ratios_of_weights_count(seed, factor, shift):
    effect, trial = random_trial(50, seed)
    ranked = Ranked(effect, trial)
    assert ranked.qini_curve().gain[-1] == pytest.approx(trial.average()[0])
    weight = np.where(trial.treated, factor, 1.0)
    rows = np.random.default_rng(seed).permutation(50)
    other = Ranked(
        np.exp(effect * factor)[rows] + shift, Trial.of(trial.outcome[rows], trial.treated[rows], weight[rows])
    )
    assert other.qini() == pytest.approx(ranked.qini(), abs=1e-12)
    assert other.auuc() == pytest.approx(ranked.auuc(), abs=1e-12)


def test_groups_by_hand():
    effect = np.array([0.4, 0.4, 0.4, 0.4, 0.1, 0.1, 0.1, 0.1])
    trial = Trial.of(np.array([1.0, 0, 0, 0, 1, 1, 1, 0]), np.array([1, 1, 0, 0, 1, 1, 0, 0]))
    first, second = uplift_by_group(effect, trial, groups=2)
    assert (first.users, first.predicted, first.observed) == (4, pytest.approx(0.4), 0.5)
    assert (second.users, second.predicted, second.observed) == (4, pytest.approx(0.1), 0.5)
    error = np.sqrt(
        2 * 0.25 / 4
    )  # of the treated arm of the first group: variance of (1, 0) is 1/4, two users; control is all alike
    assert (first.low, first.high) == pytest.approx((0.5 - 1.959964 * error, 0.5 + 1.959964 * error), abs=1e-6)


def test_groups_hold_everybody_once_and_equal_predictions_together():
    effect, trial = random_trial(333, 6)
    groups = uplift_by_group(effect, trial)
    assert sum(group.users for group in groups) == 333
    assert [group.predicted for group in groups] == sorted((group.predicted for group in groups), reverse=True)
    assert len(uplift_by_group(np.ones(333), trial)) == 1


def test_calibration_is_the_interaction_of_a_regression():
    """Slope and error by statsmodels: outcome over prediction, treatment and both, weighted, with HC0 errors."""
    linear = pytest.importorskip("statsmodels.api")
    effect, trial = random_trial(500, 7)
    weight = np.random.default_rng(8).uniform(1, 3, size=500)
    design = np.column_stack([np.ones(500), effect, trial.treated, trial.treated * effect])
    fitted = linear.WLS(trial.outcome, design, weights=weight).fit(cov_type="HC0")
    line = calibration(effect, Trial.of(trial.outcome, trial.treated, weight))
    assert line.slope == pytest.approx(fitted.params[3])
    assert line.error == pytest.approx(fitted.bse[3])


def test_calibration_of_right_and_of_doubled_effects():
    rng = np.random.default_rng(9)
    true = rng.normal(0.2, 0.3, size=60_000)
    treated = rng.random(60_000) < 0.5
    trial = Trial.of(rng.normal(size=60_000) + true * treated, treated)
    for factor, slope in ((1.0, 1.0), (2.0, 0.5)):
        line = calibration(factor * true, trial)
        assert abs(line.slope - slope) < 4 * line.error
    assert np.isnan(calibration(np.ones(60_000), trial).slope)
    assert calibration(true, trial).off_by < calibration(2 * true, trial).off_by


def test_policy_value_by_hand():
    # weights 1/.5, nothing (another action was given), 1/.25, 1/.5
    value = policy_value(
        np.array([1, 0, 1, 0]), np.array([1, 1, 1, 0]), np.array([5.0, 9, 1, 2]), np.array([0.5, 0.5, 0.25, 0.5])
    )
    assert value == pytest.approx((2 * 5 + 4 * 1 + 2 * 2) / 8)
    assert np.isnan(policy_value(np.zeros(2, int), np.ones(2, int), np.ones(2), np.ones(2)))


def test_policy_value_finds_the_truth():
    rng = np.random.default_rng(10)
    kind = rng.integers(2, size=50_000)
    propensity = np.where(kind == 1, 0.3, 0.6)  # of action 1
    given_ = (rng.random(50_000) < propensity).astype(int)
    reward = rng.normal(size=50_000) + np.where(given_ == 1, kind, 0.5)
    found = policy_value(kind, given_, reward, np.where(given_ == 1, propensity, 1 - propensity))
    assert found == pytest.approx(0.75, abs=0.04)  # half get action 1 and 1, half action 0 and 1/2


def test_bootstrap_of_a_mean_is_its_normal_interval():
    values = np.random.default_rng(11).normal(2, 1, size=500)
    low, high, error = bootstrap(lambda times: np.array([times @ values / 500, times.sum()]), 500, 2000, 0.9, seed=1)
    expected = values.std() / np.sqrt(500)
    assert error[0] == pytest.approx(expected, rel=0.06)
    assert low[0] == pytest.approx(values.mean() - 1.645 * expected, abs=0.15 * expected)
    assert high[0] == pytest.approx(values.mean() + 1.645 * expected, abs=0.15 * expected)
    assert (low[1], high[1]) == (500, 500)


def test_bootstrap_intervals_of_qini_hold_the_truth():
    """True effects: half the users gain 1/4, the others nothing; the coefficient of that order is 1/32."""
    inside = 0
    for seed in range(60):
        rng = np.random.default_rng(100 + seed)
        gains = rng.random(600) < 0.5
        treated = rng.random(600) < 0.5
        outcome = (rng.random(600) < 0.3 + 0.25 * treated * gains).astype(float)
        ranked = Ranked(gains.astype(float), Trial.of(outcome, treated))
        low, high, _ = bootstrap(lambda times, ranked=ranked: np.array([ranked.qini(times)]), 600, 200, 0.9, seed)
        inside += bool(low[0] <= 1 / 32 <= high[0])
    assert 46 <= inside <= 60  # 54 expected at 90 %; fewer than 46 have a probability of .2 %


@pytest.mark.parametrize(
    ("effect", "outcome", "treated", "fault"),
    [
        ([1.0, 2], [0.0, 1], [1, 1], "an arm is empty"),
        ([1.0, 2], [0.0, 1], [0, 0], "an arm is empty"),
        ([1.0, 2], [0.0, 1, 1], [0, 1], "different lengths"),
        ([1.0], [0.0, 1], [0, 1], "one finite predicted effect"),
        ([1.0, np.nan], [0.0, 1], [0, 1], "one finite predicted effect"),
    ],
)
def test_what_cannot_be_judged(effect, outcome, treated, fault):
    with pytest.raises(ValueError, match=fault):
        Ranked(np.array(effect), Trial.of(np.array(outcome), np.array(treated)))
