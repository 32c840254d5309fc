"""Regret where the truth is known: who explores and learns loses less than who does not, and ever less."""

import numpy as np
import pytest
from scipy.special import expit

from longtail.policies.simulation import Course, World, regret
from longtail.synthetic.shop import generate_shop

pytestmark = pytest.mark.slow  # they simulate rounds of a shop

COURSE = Course(rounds=40, arrivals=100, k=3)
SEEDS = range(6)


@pytest.fixture(scope="module")
def shop():
    """Users' tastes say little, so that it counts to find out which items are chosen."""
    truth = generate_shop(0, 400, 150).truth
    tastes = truth.tastes().astype(np.float64)
    tastes *= 0.3 / tastes.std(axis=(0, 1)).max()
    popularity = truth.item_tastes[:, -1].astype(np.float64)
    chances = expit(-3 + tastes.sum(axis=2) + (popularity - popularity.mean()) / popularity.std())
    return World(chances, tastes.astype(np.float32), tastes.sum(axis=2))


@pytest.fixture(scope="module")
def lost(shop):
    names = ("random", "fixed", "greedy", "linucb", "thompson")
    return {name: np.array([regret(shop, COURSE, name, seed) for seed in SEEDS]) for name in names}


@pytest.mark.parametrize("name", ["linucb", "thompson"])
@pytest.mark.parametrize("other", ["random", "fixed", "greedy"])
def test_who_explores_and_learns_loses_less(lost, name, other):
    assert lost[name][:, -1].mean() < 0.8 * lost[other][:, -1].mean()


@pytest.mark.parametrize("name", ["linucb", "thompson"])
def test_their_regret_grows_ever_slower_and_that_of_who_does_not_learn_does_not(lost, name):
    def late(found):
        """Of the last quarter, for each of the first."""
        mean = found.mean(axis=0)
        return (mean[-1] - mean[29]) / mean[9]

    assert late(lost[name]) < 0.35
    assert late(lost["random"]) == pytest.approx(1, abs=0.1)
    assert late(lost["fixed"]) == pytest.approx(1, abs=0.1)


def test_regret_is_what_the_best_list_has_more():
    """Two items, of which each user chooses one: a random list of one item loses half of the difference."""
    chances = np.array([[0.9, 0.1], [0.2, 0.8]])
    world = World(chances, np.zeros((2, 2, 1), np.float32), chances)
    course = Course(rounds=50, arrivals=100, k=1)
    assert regret(world, course, "fixed", 0)[-1] == pytest.approx(0)
    found = regret(world, course, "random", 0)
    assert np.all(np.diff(found) >= 0)
    assert found[-1] / 5000 == pytest.approx((0.8 + 0.6) / 4, abs=0.02)


def test_a_seed_gives_the_same_course_again(shop):
    few = Course(rounds=3, arrivals=20, k=2)
    first, again, other = (regret(shop, few, "thompson", seed) for seed in (1, 1, 2))
    np.testing.assert_array_equal(first, again)
    assert first[-1] != other[-1]
