"""Propensities are those with which lists are drawn: against enumeration of all lists of a small catalogue."""

from collections import Counter
from itertools import permutations

import numpy as np
import pytest
from helpers_hand_bundle import write_hand_bundle

from longtail.contracts.errors import UserError
from longtail.scoring.asked import Asked, Explore, Filters
from longtail.scoring.bundle import load_bundle
from longtail.scoring.exploring import explored
from longtail.scoring.recommender import Recommender
from longtail.scoring.rules import Rules

SCORES = np.array([2.0, 1.0, 0.5, -1.0, 9.0], dtype=np.float32)
ALLOWED = np.array([True, True, True, True, False])
NEW = np.array([False, False, True, True, True])
DRAWS = 20_000


def plackett_luce(listed, temperature):
    """By its definition."""
    weights = np.exp(SCORES[:4].astype(float) / (temperature * SCORES[:4].astype(float).std()))
    left, product = set(range(4)), 1.0
    for item in listed:
        product *= weights[item] / sum(weights[other] for other in left)
        left.discard(item)
    return product


def epsilon_greedy(listed, epsilon, new_items):
    """By its definition."""
    left, product = [0, 1, 2, 3], 1.0  # in the order of their scores
    for item in listed:
        pool = [other for other in left if NEW[other] or not new_items]
        share = epsilon if pool else 0.0
        product *= (1 - share) * (item == left[0]) + (share / len(pool) if item in pool else 0)
        left.remove(item)
    return product


@pytest.mark.parametrize(
    ("explore", "probability"),
    [
        (Explore(temperature=0.5), lambda listed: plackett_luce(listed, 0.5)),
        (Explore(temperature=3.0), lambda listed: plackett_luce(listed, 3.0)),
        (Explore(epsilon=0.3), lambda listed: epsilon_greedy(listed, 0.3, False)),
        (Explore(epsilon=1.0), lambda listed: epsilon_greedy(listed, 1.0, False)),
        (Explore(epsilon=0.4, new_items=True), lambda listed: epsilon_greedy(listed, 0.4, True)),
    ],
)
@pytest.mark.parametrize("k", [2, 4])
def test_propensities_are_those_of_the_draws(explore, probability, k):
    rng = np.random.default_rng(0)
    lists = list(permutations(range(4), k))
    assert sum(map(probability, lists)) == pytest.approx(1)
    drawn: Counter[tuple[int, ...]] = Counter()
    for _ in range(DRAWS):
        found = explored(explore, SCORES, ALLOWED, NEW, k, rng)
        listed = tuple(found.codes.tolist())
        drawn[listed] += 1
        assert np.prod(found.propensities) == pytest.approx(probability(listed))
        left = [0, 1, 2, 3]
        for item, greedy in zip(listed, found.greedy):
            assert greedy == (item == left[0])
            left.remove(item)
    for listed in lists:
        expected = DRAWS * probability(listed)
        assert abs(drawn[listed] - expected) <= 5 * np.sqrt(expected) + 1  # five standard deviations


def test_nothing_explored_is_the_ranking_and_few_items_are_all():
    rng = np.random.default_rng(0)
    found = explored(Explore(epsilon=0.0), SCORES, ALLOWED, NEW, 3, rng)
    assert (found.codes.tolist(), found.propensities.tolist()) == ([0, 1, 2], [1, 1, 1])
    assert sorted(explored(Explore(temperature=1.0), SCORES, ALLOWED, NEW, 9, rng).codes.tolist()) == [0, 1, 2, 3]
    nothing = np.zeros(5, dtype=bool)
    for explore in (Explore(epsilon=0.5), Explore(temperature=1.0)):
        assert explored(explore, SCORES, nothing, NEW, 3, rng).codes.tolist() == []
    extreme = np.array([1e30, 1, -1e30, 0, 0], dtype=np.float32)
    found = explored(Explore(temperature=0.01), extreme, ALLOWED, NEW, 2, rng)
    assert np.isfinite(found.propensities).all() and (found.propensities > 0).all()


@pytest.fixture
def recommender(tmp_path):
    attributes = (("lamp",), ("lamp",), ("chair",), ("chair",))
    return Recommender(load_bundle(write_hand_bundle(tmp_path / "bundle", attributes=attributes)), threads=1)


def test_answers_hold_what_was_drawn_and_how_likely_it_was(recommender):
    asked = Asked(["b"], k=2, filters=Filters(any=["lamp", "chair"]), exclude=["c"], explore=Explore(epsilon=0.5))
    seen = set()
    for _ in range(200):
        (answer,) = recommender.answers([asked])
        listed = tuple(item.item_id for item in answer.items)
        seen.add(listed)
        assert set(listed) == {"a", "d"}  # b is in the history
        first, second = answer.items
        assert first.propensity == pytest.approx(0.75 if first.item_id == "a" else 0.25)
        assert second.propensity == 1
        assert (first.source == "exploration") == (first.item_id == "d")
    assert seen == {("a", "d"), ("d", "a")}
    assert all(item.propensity is None for item in recommender.recommend(["b"], k=2).items)


def test_nobody_had_chosen_new_items(recommender):
    asked = Asked(k=1, explore=Explore(epsilon=1.0, new_items=True))
    assert {recommender.answers([asked])[0].items[0].item_id for _ in range(20)} == {"d"}


def test_exploring_is_exact_or_not_done(recommender):
    for more in ({"diversity": 0.5}, {"max_per": {"lamp": 1}}, {"fold": True}):
        with pytest.raises(UserError, match="explore acts with none of diversity, max_per and fold"):
            recommender.answers([Asked(explore=Explore(epsilon=0.5), **more)])
    recommender.obey(Rules.parse("rules: [{name: r, pin: {1: d}}]", "f"))
    (answer,) = recommender.answers([Asked(k=2, explore=Explore(epsilon=1.0))])
    assert [item.item_id for item in answer.items] == ["d", "a"]
    assert answer.degraded == "nothing is explored, as a rule places or limits items"
    assert all(item.propensity is None for item in answer.items)
    recommender.obey(Rules.parse("rules: [{name: r, hide: [chair]}]", "f"))
    (answer,) = recommender.answers([Asked(k=2, explore=Explore(epsilon=1.0))])
    assert answer.degraded is None and {item.item_id for item in answer.items} == {"a", "b"}
