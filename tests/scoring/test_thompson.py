"""Thompson sampling: propensities against enumeration of beliefs, and a bundle that holds a learned policy, asked as the server asks it."""

from collections import Counter

import numpy as np
import pytest
from helpers_policies import ITEMS, LIKED, shown_lists, tiny_bundle

from longtail.contracts.errors import UserError
from longtail.policies.learning import learn_policy, write_policy
from longtail.policies.settings import LearningSettings
from longtail.policies.shown_lists import ShownList
from longtail.scoring import exploring
from longtail.scoring.asked import Asked, Explore
from longtail.scoring.bundle import load_bundle
from longtail.scoring.exploring import shares_of_beliefs, thompson
from longtail.scoring.recommender import Recommender

SCORES = np.array([2.0, 1.0, 0.5, 9.0], dtype=np.float32)
ALLOWED = np.array([True, True, True, False])
BELIEFS = np.array([[0, 0, 0], [-2, 0.5, 0], [-2, -1, 3], [-3, 1, 1.4]])  # deviations of items 0 to 2


def test_propensities_are_shares_of_beliefs(monkeypatch):
    """Beliefs put 0, 1, 2 and 1 first (2.5 before 1.9 in the last); without 1 they put 0, 2, 2 and 2 first."""
    monkeypatch.setattr(exploring, "THOMPSON_DRAWS", 4)
    rng, drawn = np.random.default_rng(0), Counter[tuple[int, ...]]()
    for _ in range(4000):
        found = thompson(SCORES, ALLOWED, 2, lambda items, count, _: BELIEFS[:count, items], rng)
        listed = tuple(found.codes.tolist())
        drawn[listed] += 1
        first = {0: 0.25, 1: 0.5, 2: 0.25}[listed[0]]
        # of the beliefs' scores (2, 1, .5), (0, 1.5, .5), (0, 0, 3.5), (-1, 2, 1.9)
        second = {(0, 1): 0.75, (0, 2): 0.25, (1, 0): 0.25, (1, 2): 0.75, (2, 0): 0.5, (2, 1): 0.5}[listed]
        assert found.propensities.tolist() == [first, second]
    for listed, count in drawn.items():
        first = {0: 0.25, 1: 0.5, 2: 0.25}[listed[0]]
        second = {(0, 1): 0.75, (0, 2): 0.25, (1, 0): 0.25, (1, 2): 0.75, (2, 0): 0.5, (2, 1): 0.5}[listed]
        assert count / 4000 == pytest.approx(first * second, abs=0.03)
    assert shares_of_beliefs(SCORES[:3] + BELIEFS, np.array([1, 2])).tolist() == [0.5, 0.75]


@pytest.fixture(scope="module")
def learnt(tmp_path_factory):
    folder = tmp_path_factory.mktemp("learnt")
    bundle = tiny_bundle(folder)
    settings = LearningSettings(candidates=ITEMS, folds=3)
    write_policy(
        bundle, *learn_policy(bundle, shown_lists(bundle, 500, LIKED), "thompson", settings), folder / "new", {}
    )
    return load_bundle(folder / "new")


def test_a_bundle_shows_what_it_may_and_says_with_which_propensity(learnt):
    recommender = Recommender(learnt, threads=1)
    asked = Asked(history=["i001"], k=3, explore=Explore(thompson=True), exclude=["i002"])
    seen, propensities = Counter[str](), list[float]()
    for answer in recommender.answers([asked] * 300):
        items = [item.item_id for item in answer.items]
        assert len(set(items)) == 3
        assert not {"i001", "i002"} & set(items)
        assert all(0 < item.propensity <= 1 for item in answer.items)
        seen[items[0]] += 1
        propensities.append(1 / answer.items[0].propensity)
    assert len(seen) > 1
    reason = {item.source for answer in recommender.answers([asked] * 50) for item in answer.items}
    assert "exploration" in reason
    # inverse propensities of what was drawn add up to the number of items that may be first
    assert np.mean(propensities) <= ITEMS - 2


def test_the_surer_the_policy_the_less_it_explores(learnt):
    recommender = Recommender(learnt, threads=1)
    asked = Asked(history=["i001"], k=1, explore=Explore(thompson=True))

    def first(scale):
        posterior = recommender._beliefs.posterior
        assert posterior is not None
        known = vars(posterior)
        recommender._beliefs.posterior = type(posterior)(
            **known | {"maps": scale * known["maps"], "scale": scale * known["scale"]}
        )
        found = Counter(answer.items[0].item_id for answer in recommender.answers([asked] * 200))
        recommender._beliefs.posterior = posterior
        return found

    best = recommender.answers([Asked(history=["i001"], k=1)])[0].items[0].item_id
    assert first(1e-6) == {best: 200}
    assert len(first(5.0)) > len(first(0.2))


def test_it_is_refused_where_it_cannot_act(learnt, tmp_path):
    explore = Explore(thompson=True)
    with pytest.raises(UserError, match="holds no policy that was learnt"):
        Recommender(tiny_bundle(tmp_path)).recommend(explore=explore)
    with pytest.raises(UserError, match="neither interests nor similar_to"):
        Recommender(learnt, threads=1).recommend(similar_to=["i003"], explore=explore)


def test_a_policy_learns_from_lists_that_it_drew(learnt):
    """The loop: what Thompson sampling showed teaches the next policy, and is judged as Thompson sampling."""
    recommender, rng = Recommender(learnt, threads=1), np.random.default_rng(0)
    asked = [Asked(history=[f"i{rng.integers(ITEMS):03d}"], k=2, explore=Explore(thompson=True)) for _ in range(400)]
    lists = []
    for number, one in enumerate(asked):
        query = recommender.query(one)
        scores, allowed = recommender.scorer.score([query])[0], recommender.may_be_given(one, query)
        drawn = thompson(scores, allowed, 2, recommender._beliefs.about(query), rng)
        items = tuple(learnt.item_ids[code] for code in drawn.codes)
        rewards = (rng.random(2) < [LIKED.get(item, 0.05) for item in items]).astype(float)
        lists.append(ShownList(f"u{number}", number, one, items, drawn.propensities, rewards))
    settings = LearningSettings(candidates=ITEMS, folds=2, least_effective_lists=1)
    judged, learned = learn_policy(learnt, lists, "thompson", settings)
    assert judged.own is None
    assert judged.compared.mean_weight == pytest.approx(1, abs=0.35)
    assert judged.compared.lists == 400
    assert learned.posterior is not None
    with pytest.raises(UserError, match="policy-gradient learns no beliefs"):
        learn_policy(learnt, lists, "policy-gradient", settings)
