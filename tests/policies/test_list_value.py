"""Probabilities are those of the draws, and values those of enumeration."""

from itertools import permutations

import numpy as np
import pytest

from longtail.policies.cases import Case
from longtail.policies.list_value import compare, place_probabilities
from longtail.scoring.asked import Explore
from longtail.scoring.bundle import PARTS
from longtail.scoring.exploring import explored

SCORES = np.array([2.0, 1.0, 0.5, -1.0], dtype=np.float32)
NEW = np.array([False, False, True, True])


def case(shown, explore, propensities=None, rewards=None, user="u"):
    k = len(shown)
    parts = np.zeros((len(SCORES), len(PARTS) + 2), dtype=np.float32)
    parts[:, len(PARTS)] = NEW
    return Case(
        user=user,
        codes=np.arange(len(SCORES)),
        parts=parts,
        bucket=0,
        shown=np.array(shown),
        propensities=np.ones(k) if propensities is None else np.array(propensities),
        rewards=np.zeros(k) if rewards is None else np.array(rewards, dtype=float),
        explore=explore,
        allowed=(len(SCORES), int(NEW.sum())),
        spread=1.0,
    )


@pytest.mark.parametrize(
    "explore",
    [Explore(temperature=0.5), Explore(temperature=3.0), Explore(epsilon=0.3), Explore(epsilon=0.4, new_items=True)],
)
@pytest.mark.parametrize("k", [2, 4])
def test_probabilities_are_the_servers_propensities(explore, k):
    rng = np.random.default_rng(0)
    for _ in range(40):
        drawn = explored(explore, SCORES, np.ones(4, bool), NEW, k, rng)
        found = place_probabilities(case(drawn.codes.tolist(), explore), SCORES)
        np.testing.assert_allclose(found, drawn.propensities, rtol=1e-6)


def test_of_more_items_than_candidates_the_scores_deviate_more():
    """Deviations of the candidates are half of those of all items: the softmax is that of half the scores."""
    explore = Explore(temperature=1.0)
    wide = case([0, 3], explore)
    found = place_probabilities(Case(**{**vars(wide), "spread": 2.0}), SCORES)
    logits = np.exp(SCORES / (2 * SCORES.std()))
    np.testing.assert_allclose(found, [logits[0] / logits.sum(), logits[3] / logits[1:].sum()], rtol=1e-6)


def test_by_hand():
    """Weights of first places 2 and .5, of second ones 2 * .5 and .5 * 1; rewards 1, 0 and 0, 1.

    First places: (2 * 1 + .5 * 0) / 2.5 = .8; second ones: (1 * 0 + .5 * 1) / 1.5 = 1/3. The log has a chosen item a list.
    """
    explore = Explore(temperature=1.0)
    cases = [
        case([0, 1], explore, [0.25, 0.8], [1, 0], "u"),
        case([1, 0], explore, [0.5, 0.5], [0, 1], "v"),
    ]
    found = compare(cases, [np.array([0.5, 0.4]), np.array([0.25, 0.5])])
    assert found.value == pytest.approx(0.8 + 1 / 3)
    assert found.logged == 1.0
    assert found.difference == pytest.approx(0.8 + 1 / 3 - 1)
    assert found.ess == pytest.approx(1.5**2 / (1 + 0.25))
    assert found.mean_weight == pytest.approx(0.75)
    assert (found.lists, found.users) == (2, 2)


def simulated(lists, seed):
    """A log of Plackett-Luce lists of two, rewards that depend on the item, its place and, in the second, on the first; the other policy's probabilities
    and its true value."""
    rng, explore, better = np.random.default_rng(seed), Explore(temperature=1.0), np.array([0.5, 1.5, 2.0, -1.0])

    def chance(first, second):
        return [0.1 + 0.15 * first, 0.3 + 0.1 * second - (0.2 if first == 2 else 0.0)]

    cases = []
    for number in range(lists):
        drawn = explored(explore, SCORES, np.ones(4, bool), NEW, 2, rng)
        shown = drawn.codes.tolist()
        rewards = rng.random(2) < chance(*shown)
        cases.append(case(shown, explore, drawn.propensities, rewards, f"u{number // 2}"))
    listed = list(permutations(range(4), 2))
    truth = {}
    for name, scores in (("logged", SCORES.astype(float)), ("new", better)):
        weights = [np.prod(place_probabilities(case(one, explore), scores)) for one in listed]
        assert sum(weights) == pytest.approx(1)
        truth[name] = sum(weight * sum(chance(*one)) for weight, one in zip(weights, listed))
    return cases, [place_probabilities(one, better) for one in cases], truth["new"] - truth["logged"]


def test_the_interval_holds_the_truth_as_often_as_it_says():
    held, errors = [], []
    for seed in range(40):
        cases, probabilities, truth = simulated(300, seed)
        found = compare(cases, probabilities)
        held.append(found.low <= truth <= found.high)
        errors.append(found.difference - truth)
    assert np.mean(held) >= 0.88  # of 40: .95 less two deviations
    assert abs(np.mean(errors)) < 3 * np.std(errors) / np.sqrt(40) + 0.01


def test_the_same_policy_differs_by_nothing():
    cases, _, _ = simulated(100, 1)
    found = compare(cases, [one.propensities for one in cases])
    assert found.difference == pytest.approx(0)
    assert (found.low, found.high) == pytest.approx((0, 0))
    assert found.ess == pytest.approx(100)
