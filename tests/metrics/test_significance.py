import numpy as np
import pytest
from scipy.stats import binomtest
from scipy.stats import t as student_t

from longtail.metrics import significance
from longtail.metrics.significance import mean_intervals, share_limit


def interval(values, samples=2000, confidence=0.95, seed=1, **more):
    """Low and high of one column."""
    found = mean_intervals(np.asarray(values, float)[:, None], samples, confidence, seed, **more)
    return float(found.low[0]), float(found.high[0])


def test_mean_and_standard_error_by_hand():
    found = mean_intervals(np.array([[0.1, 0], [0.2, 0], [0.6, 1]]), 100, 0.95, 0)
    assert found.mean.tolist() == pytest.approx([0.3, 1 / 3])
    assert found.error.tolist() == pytest.approx([np.sqrt(0.07 / 3), 1 / 3])  # variance / n


def test_interval_of_normal_values_is_students():
    """Where values are normal the studentised bootstrap has the quantiles of Student's t."""
    values = np.random.default_rng(3).normal(0.1, 0.1, size=40)
    half = student_t.ppf(0.975, 39) * values.std(ddof=1) / np.sqrt(40)
    low, high = interval(values, 20_000)
    assert (low, high) == pytest.approx((values.mean() - half, values.mean() + half), abs=0.1 * half)
    assert high - values.mean() == pytest.approx(values.mean() - low)


def test_quantile_against_a_loop():
    values = np.array([0.0, 0, 0.5, 0.2, 0.9, 0.1, 0.3])
    rng, ratios = np.random.default_rng(7), []
    for _ in range(199):
        drawn = values[rng.integers(7, size=7)]
        ratios.append(abs(drawn.mean() - values.mean()) / (drawn.std() / np.sqrt(7)) if drawn.std() > 0 else np.inf)
    half = sorted(ratios)[189] * values.std() / np.sqrt(7)  # 190 of 200 places
    found = mean_intervals(values[:, None], 199, 0.95, 7)
    assert found.high[0] == pytest.approx(min(values.mean() + half, 1))
    assert found.low[0] == pytest.approx(values.mean() - half)


def test_differences_are_paired():
    """Two systems that vary much and differ by the same everywhere: the difference is certain but for a rare unseen user."""
    first = np.random.default_rng(0).random(500)
    values = np.stack([first, first - 0.25 + 0.001 * np.random.default_rng(1).normal(size=500)], axis=1)
    wide = mean_intervals(values, 500, 0.95, 3)
    narrow = interval(values[:, 0] - values[:, 1], 500)
    assert wide.high[0] - wide.low[0] > 0.04
    assert narrow == pytest.approx((0.25, 0.25), abs=2e-4)


def test_same_seed_same_interval_in_blocks_of_any_size(monkeypatch):
    values = np.random.default_rng(0).normal(size=(50, 3)) / 4
    whole = mean_intervals(values, 120, 0.95, 4)
    monkeypatch.setattr(significance, "BLOCK_NUMBERS", 7 * 50)
    np.testing.assert_allclose(mean_intervals(values, 120, 0.95, 4).low, whole.low)
    assert not np.allclose(mean_intervals(values, 120, 0.95, 5).low, whole.low)


@pytest.mark.parametrize(("hits", "users"), [(0, 100), (1, 100), (3, 40), (20, 20)])
def test_limit_of_a_share_is_the_exact_one(hits, users):
    expected = binomtest(hits, users).proportion_ci(0.95, "exact").high
    assert share_limit(np.array([hits]), users, 0.95)[0] == pytest.approx(expected)


def test_nobody_found_anything_is_not_certainty():
    """100 users without a hit: the share of users with one is at most 1 - .025 ** (1 / 100)."""
    limit = 1 - 0.025 ** (1 / 100)
    assert interval(np.zeros(100), lowest=0) == pytest.approx((0, limit))
    assert interval(np.zeros(100)) == pytest.approx((-limit, limit))


def test_one_hit_among_many_keeps_a_useful_interval():
    """A third of the resamplings hold no hit, so the bootstrap alone would say nothing."""
    exact = binomtest(1, 200).proportion_ci(0.95, "exact")
    assert interval([1.0] + [0.0] * 199, lowest=0) == pytest.approx((exact.low, exact.high))


def test_a_hit_for_everybody_is_not_certainty_either():
    limit = 1 - 0.025 ** (1 / 100)
    assert interval(np.ones(100), lowest=0) == pytest.approx((1 - limit, 1))
    exact = binomtest(199, 200).proportion_ci(0.95, "exact")
    assert interval([0.0] + [1.0] * 199, lowest=0) == pytest.approx((exact.low, exact.high))
    assert interval(np.full(100, 0.25)) == pytest.approx((0.25 - 1.25 * limit, 0.25 + 0.75 * limit))


def test_one_user_says_nothing():
    assert interval([0.2], lowest=0) == pytest.approx((0.2 - 0.2 * 0.975, 0.2 + 0.8 * 0.975))


@pytest.mark.parametrize("users", [20, 50, 200])
def test_coverage_of_zero_inflated_means_and_differences(users):
    """The truth lies outside at most as often as it may: 5 %, and 1 % for the noise of 2,000 repetitions.

    One resampling serves all repetitions as columns. Percentiles of the bootstrap miss 7 to 9 % of those with 20 users (benchmarks/interval_coverage.py).
    """
    rng = np.random.default_rng(users)
    hit, other = rng.random((2, users, 2000)) < 0.3
    gain = np.where(rng.random((users, 2000)) < 0.5, 1.0, 0.4)
    means = mean_intervals(hit * gain, 499, 0.95, 0, lowest=0)
    minus = mean_intervals((hit * 1.0 - other) * gain, 499, 0.95, 0)
    for found, truth in ((means, 0.3 * 0.7), (minus, 0.0)):
        missed = np.mean((found.low > truth) | (found.high < truth))
        assert missed <= 0.06
