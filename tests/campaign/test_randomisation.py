import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.stats import mannwhitneyu
from sklearn.metrics import roc_auc_score

from longtail.campaign.randomisation import check_randomised, check_shares, separation, weighted_auc
from longtail.contracts.errors import UserError

ARMS = ["none", "mail"]


def features(users, seed):
    return np.random.default_rng(seed).normal(size=(users, 3))


def check(x, arm, weight=None, alpha=0.001):
    weight = np.ones(len(x)) if weight is None else weight
    return check_randomised(x, ["a", "b", "c"], arm.astype(np.int64), weight, ARMS, alpha, seed=0)


def test_a_random_draw_passes():
    x = features(2000, 1)
    found = check(x, np.random.default_rng(2).integers(2, size=2000))
    assert found["random"]
    assert found["arms"][0]["auc"] == pytest.approx(0.5, abs=0.05)
    assert abs(found["arms"][0]["difference"]) < 0.15


def test_p_values_of_random_draws_are_spread_evenly():
    x = features(300, 3)
    rng = np.random.default_rng(4)
    p_values = np.array([separation(x, rng.random(300) < 0.4, np.ones(300), seed)[1] for seed in range(40)])
    assert np.mean(p_values < 0.1) <= 0.25  # 4 of 40 are expected; more than 10 have a probability below .2 %
    assert np.mean(p_values < 0.5) >= 0.25


def test_who_was_contacted_by_a_feature_is_refused_and_it_is_named():
    x = features(2000, 5)
    chosen = np.random.default_rng(6).random(2000) < 1 / (1 + np.exp(-x[:, 1]))
    with pytest.raises(
        UserError, match=r"'mail' was not drawn at random against 'none'.*'b' most: its means differ by"
    ) as error:
        check(x, chosen)
    assert "no uplift is given" in str(error.value) and "recoverable value" in str(error.value)


def test_a_choice_that_leaves_the_means_alike_is_found():
    """Only users in the middle of a feature were contacted: its means are alike, a classifier sees it."""
    x = features(2000, 7)
    chosen = np.random.default_rng(8).random(2000) < np.where(np.abs(x[:, 2]) < 0.7, 0.7, 0.3)
    assert abs(x[chosen, 2].mean() - x[~chosen, 2].mean()) < 0.15
    with pytest.raises(UserError, match="'c' most: alone it tells them with an AUC of"):
        check(x, chosen)


def test_a_draw_whose_probabilities_are_known_passes_when_weighed():
    x = features(4000, 9)
    propensity = np.where(x[:, 0] > 0, 0.8, 0.3)
    chosen = np.random.default_rng(10).random(4000) < propensity
    with pytest.raises(UserError, match="'a' most"):
        check(x, chosen)
    assert check(x, chosen, 1 / np.where(chosen, propensity, 1 - propensity))["random"]


@given(st.integers(0, 1000))
def test_auc_against_scikit_learn(seed):
    rng = np.random.default_rng(seed)
    positive = np.append(rng.random(30) < 0.5, [True, False])
    score, weight = np.round(rng.normal(size=32), 1) + positive, rng.uniform(0.5, 2, size=32)
    auc, variance = weighted_auc(score, positive, weight)
    assert auc == pytest.approx(roc_auc_score(positive, score, sample_weight=weight))
    assert variance >= 0
    plain, _ = weighted_auc(score, positive, np.ones(32))
    pairs = positive.sum() * (~positive).sum()
    assert plain == pytest.approx(mannwhitneyu(score[positive], score[~positive]).statistic / pairs)


def test_variance_of_auc_is_that_of_many_samples():
    rng = np.random.default_rng(11)
    found = []
    for _ in range(400):
        positive = rng.random(120) < 0.4
        found.append(weighted_auc(rng.normal(size=120) + 0.5 * positive, positive, np.ones(120)))
    aucs, variances = np.array(found).T
    assert variances.mean() == pytest.approx(aucs.var(), rel=0.2)


def test_propensities_that_are_not_the_shares():
    arm = (np.random.default_rng(12).random(1000) < 0.3).astype(np.int64)
    check_shares(arm, np.where(arm == 1, 0.3, 0.7), ARMS, 0.001)
    with pytest.raises(UserError, match=r"of 1000 users have the treatment 'none'.*do not give that share"):
        check_shares(arm, np.full(1000, 0.5), ARMS, 0.001)
    with pytest.raises(UserError, match="do not give that share"):
        check_shares(arm, np.ones(1000), ARMS, 0.001)
