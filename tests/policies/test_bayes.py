"""The posterior is the one that the full system of equations gives, and the mode that another library finds."""

import numpy as np
import pytest
from scipy.optimize import minimize
from scipy.special import expit

from longtail.contracts.errors import UserError
from longtail.policies.bayes import Events, Prior, fit

N, SMALL, ITEMS = 400, 3, 7
PRIOR = Prior(np.array([0.2, -0.1, 0.0]), np.array([1.0, 4.0, 0.5]), 2.5)


def events(seed=0, link="logistic"):
    rng = np.random.default_rng(seed)
    rows, items = rng.normal(size=(N, SMALL)), rng.integers(ITEMS, size=N)
    eta = rows @ [1.0, -0.5, 0.3] + rng.normal(size=ITEMS)[items]
    rewards = (rng.random(N) < expit(eta)).astype(float) if link == "logistic" else eta + 0.3 * rng.normal(size=N)
    return Events(rows, items, rewards, ITEMS)


def whole(given):
    """Rows with the items' columns behind them, the prior's mean and its precision."""
    rows = np.hstack([given.rows, np.eye(ITEMS)[given.items]])
    return rows, np.append(PRIOR.mean, np.zeros(ITEMS)), np.append(PRIOR.precision, np.full(ITEMS, PRIOR.of_items))


def covariance(found):
    """Of weights and offsets, put together from the parts."""
    small = found.factor @ found.factor.T
    across = -(found.coupling / found.precision).T  # offsets = across @ weights
    return np.block(
        [[small, small @ across.T], [across @ small, across @ small @ across.T + np.diag(1 / found.precision)]]
    )


def test_linear_is_the_full_system():
    given = events(link="linear")
    found = fit(given, PRIOR, "linear")
    rows, mean, precision = whole(given)

    def solved(variance):
        inverse = np.linalg.inv(np.diag(precision) + rows.T @ rows / variance)
        return inverse @ (precision * mean + rows.T @ given.rewards / variance), inverse

    first, _ = solved(given.rewards.var())
    expected, inverse = solved(np.mean((given.rewards - rows @ first) ** 2))
    np.testing.assert_allclose(np.append(found.weights, found.offsets), expected, rtol=1e-9)
    np.testing.assert_allclose(covariance(found), inverse, atol=1e-12)
    asked = rows[:20]
    np.testing.assert_allclose(
        found.deviations(given.rows[:20], given.items[:20]), np.sqrt(np.einsum("nd,de,ne->n", asked, inverse, asked))
    )
    np.testing.assert_allclose(found.means(given.rows[:20], given.items[:20]), asked @ expected)


def test_logistic_is_the_mode_and_the_curvature_there():
    given = events()
    found = fit(given, PRIOR, "logistic")
    rows, mean, precision = whole(given)

    def loss(w):
        eta = rows @ w
        return (np.logaddexp(0, eta) - given.rewards * eta).sum() + (precision * (w - mean) ** 2).sum() / 2

    mode = minimize(loss, mean, method="BFGS", options={"gtol": 1e-7}).x
    np.testing.assert_allclose(np.append(found.weights, found.offsets), mode, atol=1e-5)
    chances = expit(rows @ mode)
    hessian = np.diag(precision) + (rows * (chances * (1 - chances))[:, None]).T @ rows
    np.testing.assert_allclose(covariance(found), np.linalg.inv(hessian), atol=1e-6)


def test_logistic_without_offsets_is_sklearns():
    from sklearn.linear_model import LogisticRegression

    given = events()
    found = fit(given, Prior(np.zeros(SMALL), np.full(SMALL, 2.0), np.inf), "logistic")
    other = LogisticRegression(C=0.5, fit_intercept=False, tol=1e-10, max_iter=1000).fit(given.rows, given.rewards)
    np.testing.assert_allclose(found.weights, other.coef_[0], atol=1e-5)
    assert not found.offsets.any()


def test_draws_have_the_posteriors_mean_and_covariance():
    found = fit(events(), PRIOR, "logistic")
    rng = np.random.default_rng(0)
    draws = np.array([np.append(*found.draw(rng)) for _ in range(20_000)])
    spread = np.sqrt(np.diag(covariance(found)))
    np.testing.assert_allclose(draws.mean(axis=0), np.append(found.weights, found.offsets), atol=5 * spread.max() / 140)
    np.testing.assert_allclose(
        np.cov(draws.T) / np.outer(spread, spread), covariance(found) / np.outer(spread, spread), atol=0.05
    )


def test_intervals_hold_the_truth_as_often_as_they_say():
    held = []
    for seed in range(60):
        rng = np.random.default_rng(seed)
        weights, offsets = (
            PRIOR.mean + rng.normal(size=SMALL) / np.sqrt(PRIOR.precision),
            rng.normal(size=ITEMS) / np.sqrt(2.5),
        )
        rows, items = rng.normal(size=(N, SMALL)), rng.integers(ITEMS, size=N)
        rewards = (rng.random(N) < expit(rows @ weights + offsets[items])).astype(float)
        found = fit(Events(rows, items, rewards, ITEMS), PRIOR, "logistic")
        asked, of = rng.normal(size=(ITEMS, SMALL)), np.arange(ITEMS)
        error = asked @ weights + offsets - found.means(asked, of)
        held += (np.abs(error) < 1.645 * found.deviations(asked, of)).tolist()
    assert np.mean(held) == pytest.approx(0.9, abs=0.05)


def test_rewards_that_separate_end_at_a_finite_mode():
    rows = np.array([[1.0], [2.0], [-1.0], [-2.0]])
    found = fit(
        Events(rows, np.zeros(4, int), np.array([1.0, 1, 0, 0]), 1), Prior(np.zeros(1), np.ones(1), 1.0), "logistic"
    )
    chances = expit(rows[:, 0] * found.weights[0] + found.offsets[0])
    assert rows[:, 0] @ (np.array([1, 1, 0, 0]) - chances) == pytest.approx(found.weights[0])  # the mode's equation


@pytest.mark.parametrize(("reward", "said"), [(np.nan, "not finite"), (0.5, "takes 0 and 1")])
def test_refused(reward, said):
    with pytest.raises(UserError, match=said):
        fit(
            Events(np.ones((1, 1)), np.zeros(1, int), np.array([reward]), 1),
            Prior(np.zeros(1), np.ones(1), 1.0),
            "logistic",
        )
