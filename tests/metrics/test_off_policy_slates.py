"""Two places, three items: every slate can be listed, so truth and weights are sums over lists."""

import itertools

import numpy as np
import pytest
from scipy.optimize import lsq_linear

from longtail.contracts.errors import UserError
from longtail.metrics import off_policy_slates as slates
from longtail.metrics.off_policy import Way
from longtail.metrics.off_policy_slates import Slates

FEW = Way(samples=50)
HAND = Slates(np.array([[1.0, 2.0], [0.0, 4.0]]), np.array([[2.0, 0.5], [0.5, 3.0]]))
ITEMS, PLACES = 3, 2
ALL = np.array(list(itertools.product(range(ITEMS), repeat=PLACES)))  # places filled independently
WITHOUT_REPETITION = np.array(list(itertools.permutations(range(ITEMS), PLACES)))
LOG = np.array([[0.5, 0.3, 0.2], [0.2, 0.3, 0.5]])  # [places, items]
NEW = np.array([[0.2, 0.2, 0.6], [0.6, 0.2, 0.2]])


@pytest.mark.parametrize(
    ("estimator", "by_hand"),
    [
        (slates.standard, (1 * 3 + 1.5 * 4) / 2),
        (slates.independent, ((2 + 1) + (0 + 12)) / 2),
        (slates.reward_interaction, ((2 * 1 + 1 * 2) + (0 + 1.5 * 4)) / 2),
        (slates.pseudo_inverse, ((2 + 0.5 - 1) * 3 + (0.5 + 3 - 1) * 4) / 2),
    ],
)
def test_values_by_hand(estimator, by_hand):
    assert estimator(HAND, FEW).value == pytest.approx(by_hand, rel=1e-12)


def test_cascade_dr_by_hand():
    """sum of w_1..l (r - Q) + w_1..l-1 V; cumulated ratios: 2, 1 and .5, 1.5"""
    of_shown, of_policy = np.array([[2.0, 1.0], [1.0, 2.0]]), np.array([[2.5, 1.5], [1.5, 3.0]])
    first = 2 * (1 - 2) + 2.5 + 1 * (2 - 1) + 2 * 1.5
    second = 0.5 * (0 - 1) + 1.5 + 1.5 * (4 - 2) + 0.5 * 3
    assert slates.cascade_dr(HAND, of_shown, of_policy, FEW).value == pytest.approx((first + second) / 2)
    nothing = np.zeros((2, 2))
    plain = slates.cascade_dr(HAND, nothing, nothing, FEW)
    assert plain.value == slates.reward_interaction(HAND, FEW).value


def test_clipping_cuts_weights_and_says_so():
    found = slates.standard(HAND, Way(samples=50, clip=1.2))
    assert found.value == pytest.approx((1 * 3 + 1.2 * 4) / 2)
    assert "leaves the bias" in found.warnings[0]


def drawn(rng, table, probabilities, count):
    return table[rng.choice(len(table), count, p=probabilities)]


def ratio_of(shown):
    return np.stack([(NEW / LOG)[place, shown[:, place]] for place in range(PLACES)], axis=1)


def means(estimators, reward_of, repetitions=400, rounds=200):
    """Of every estimator over many logs: mean, its error, spread; and the truth by enumeration."""
    rng = np.random.default_rng(3)
    joint = LOG[0][ALL[:, 0]] * LOG[1][ALL[:, 1]]
    truth = float((NEW[0][ALL[:, 0]] * NEW[1][ALL[:, 1]]) @ reward_of(ALL).sum(axis=1))
    found = {name: [] for name in estimators}
    for _ in range(repetitions):
        shown = drawn(rng, ALL, joint, rounds)
        log = Slates(reward_of(shown) + rng.normal(0, 0.2, shown.shape), ratio_of(shown))
        for name, estimator in estimators.items():
            found[name].append(estimator(log, shown))
    return {n: (np.mean(v), np.std(v) / np.sqrt(repetitions), np.std(v)) for n, v in found.items()}, truth


def value_only(estimator):
    return lambda log, shown: estimator(log, Way(samples=2)).value


EVERY = {
    name: value_only(getattr(slates, name))
    for name in ("standard", "independent", "reward_interaction", "pseudo_inverse")
}


def unbiased(found, truth):
    return {name for name, (mean, error, _) in found.items() if abs(mean - truth) < 3.5 * error}


OF_PLACE = np.array([[0.1, 0.5, 0.9], [0.3, 0.1, 0.2]])


def test_rewards_of_each_place_alone_suit_all_and_the_simpler_the_less_variance():
    found, truth = means(EVERY, lambda shown: np.stack([OF_PLACE[p, shown[:, p]] for p in range(2)], axis=1))
    assert unbiased(found, truth) == set(EVERY)
    spread = {name: one[2] for name, one in found.items()}
    assert spread["independent"] < spread["reward_interaction"] < spread["standard"]
    assert spread["pseudo_inverse"] < spread["standard"]


def cascade(shown):
    """The second place earns only what the first one leaves."""
    first = OF_PLACE[0, shown[:, 0]]
    return np.stack([first, (1 - first) * OF_PLACE[1, shown[:, 1]] * 3], axis=1)


def test_a_cascade_suits_standard_reward_interaction_and_cascade_dr_which_varies_least():
    def doubly_robust(log, shown):
        second = (1 - OF_PLACE[0, shown[:, 0]])[:, None] * OF_PLACE[1] * 3  # [slates, items], the true model
        later = second @ NEW[1]
        first = OF_PLACE[0] + (1 - OF_PLACE[0]) * (OF_PLACE[1] @ NEW[1]) * 3
        rows = np.arange(len(shown))
        of_shown = np.stack([first[shown[:, 0]], second[rows, shown[:, 1]]], axis=1)
        of_policy = np.stack([np.full(len(shown), first @ NEW[0]), later], axis=1)
        return slates.cascade_dr(log, of_shown, of_policy, Way(samples=2)).value

    def wrong_model(log, shown):
        return slates.cascade_dr(log, np.full(shown.shape, 0.7), np.full(shown.shape, 0.7), Way(samples=2)).value

    found, truth = means({**EVERY, "cascade_dr": doubly_robust, "wrong model": wrong_model}, cascade)
    assert {"standard", "reward_interaction", "cascade_dr", "wrong model"} <= unbiased(found, truth)
    assert "independent" not in unbiased(found, truth)
    assert found["cascade_dr"][2] < 0.6 * found["reward_interaction"][2]


def test_weights_by_pseudo_inverse_are_the_closed_form_where_places_are_independent():
    joint, policy = LOG[0][ALL[:, 0]] * LOG[1][ALL[:, 1]], NEW[0][ALL[:, 0]] * NEW[1][ALL[:, 1]]
    found = slates.pseudo_inverse_weights(ALL, ALL, joint, policy)
    np.testing.assert_allclose(found, ratio_of(ALL).sum(axis=1) - 1, atol=1e-10)


def ranking_policy(rng):
    weights = rng.random(len(WITHOUT_REPETITION)) + 0.1
    return weights / weights.sum()


def test_pseudo_inverse_of_rankings_against_least_squares_and_a_known_truth():
    """Items are not repeated, so places depend on each other: the weights come from the matrix alone."""
    rng = np.random.default_rng(5)
    log, policy = ranking_policy(rng), ranking_policy(rng)
    found = slates.pseudo_inverse_weights(WITHOUT_REPETITION, WITHOUT_REPETITION, log, policy)
    # brute force: the least weights (in the log's mean of squares) whose marginals are the policy's
    marks = np.array([[float(s[p] == i) for p in range(2) for i in range(3)] for s in WITHOUT_REPETITION])
    root = np.sqrt(log)
    by_least = lsq_linear((marks * root[:, None]).T, policy @ marks, tol=1e-14, lsq_solver="exact").x / root
    np.testing.assert_allclose(found, by_least, atol=1e-8)
    additive = OF_PLACE[0, WITHOUT_REPETITION[:, 0]] + OF_PLACE[1, WITHOUT_REPETITION[:, 1]]
    assert (log * found) @ additive == pytest.approx(policy @ additive, rel=1e-10)  # unbiased, exactly
    plain = policy / log
    assert (log * found**2).sum() <= (log * plain**2).sum()


def test_an_item_that_the_log_never_shows_there_is_named():
    with pytest.raises(UserError, match="item 1 at place 0: the policy shows it, the log never does"):
        slates.pseudo_inverse_weights(ALL[:2], ALL, np.eye(9)[0], np.full(9, 1 / 9))


@pytest.mark.parametrize(
    ("reward", "ratio", "message"),
    [
        (np.ones((2, 2)), np.array([[1.0, -1.0], [1, 1]]), "slate 0, place 1: the ratio"),
        (np.array([[1.0, 1.0], [np.nan, 1.0]]), np.ones((2, 2)), "slate 1, place 0: the reward"),
        (np.ones((2, 2)), np.ones((2, 3)), r"\(2, 2\), ratios of probabilities \(2, 3\)"),
    ],
)
def test_faults_are_named(reward, ratio, message):
    with pytest.raises(UserError, match=message):
        Slates(reward, ratio)
