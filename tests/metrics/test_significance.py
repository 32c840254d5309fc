import numpy as np
import pytest
from scipy.stats import bootstrap

from longtail.metrics import significance
from longtail.metrics.significance import bootstrap_means, interval


def test_interval_agrees_with_scipy():
    values = np.random.default_rng(0).exponential(size=400)
    ours = interval(bootstrap_means(values[:, None], 20_000, seed=1), 0.95)[:, 0]
    theirs = bootstrap((values,), np.mean, n_resamples=20_000, method="percentile", random_state=2).confidence_interval
    np.testing.assert_allclose(ours, [theirs.low, theirs.high], atol=0.004)


def test_width_follows_the_standard_error():
    values = np.random.default_rng(0).normal(size=(2000, 1))
    low, high = interval(bootstrap_means(values, 10_000, seed=1), 0.95)[:, 0]
    assert high - low == pytest.approx(2 * 1.96 * values.std() / np.sqrt(2000), rel=0.04)


def test_columns_are_resampled_together():
    first = np.random.default_rng(0).normal(size=500)
    means = bootstrap_means(np.stack([first, first + 0.25], axis=1), 200, seed=3)
    assert np.ptp(means[:, 0]) > 0.1  # each mean varies, their paired difference does not
    np.testing.assert_allclose(means[:, 1] - means[:, 0], 0.25)


def test_same_seed_same_means_in_blocks_of_any_size(monkeypatch):
    values = np.random.default_rng(0).normal(size=(50, 3))
    whole = bootstrap_means(values, 120, seed=4)
    monkeypatch.setattr(significance, "BLOCK_NUMBERS", 7 * 50)
    np.testing.assert_allclose(bootstrap_means(values, 120, seed=4), whole)
    assert not np.allclose(bootstrap_means(values, 120, seed=5), whole)


def test_constant_and_single_user_have_no_width():
    for values in (np.full((30, 1), 0.2), np.array([[0.2]])):
        assert interval(bootstrap_means(values, 100, seed=0), 0.9)[:, 0] == pytest.approx([0.2, 0.2])


def test_confidence_sets_the_quantiles():
    means = np.arange(101.0)[:, None]
    assert interval(means, 0.9)[:, 0] == pytest.approx([5, 95])
