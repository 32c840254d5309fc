"""Places in everybody's lists, by an index and without, as a sort of all scores has them."""

import numpy as np
import pytest
from helpers_bundle import write_tiny_bundle

from longtail.scoring import bundle_writing, item_index
from longtail.scoring.asked import Asked, Filters
from longtail.scoring.bundle import load_bundle
from longtail.scoring.item_index import ItemIndex
from longtail.scoring.places import standings
from longtail.scoring.recommender import Recommender
from longtail.scoring.rules import Rules

ITEMS = 600


@pytest.fixture(scope="module")
def bundle(tmp_path_factory):
    counts = np.random.default_rng(0).integers(50, size=ITEMS)
    patch = pytest.MonkeyPatch()
    patch.setattr(bundle_writing, "INDEXED_FROM", ITEMS)
    written = write_tiny_bundle(tmp_path_factory.mktemp("b") / "b", ITEMS, 17, train_counts=counts)
    patch.undo()
    return load_bundle(written)


def by_sorting(bundle, asked, allowed):
    """Places of all items, 0 where they may not be given."""
    recommender = Recommender(bundle, threads=1)
    recommender.scorer.item_index = None
    scores = recommender.scorer.score([recommender.query(asked)])[0]
    order = [item for item in np.argsort(-scores, kind="stable") if allowed[item]]
    places = np.zeros(ITEMS, int)
    places[order] = np.arange(1, len(order) + 1)
    return places, scores


@pytest.mark.parametrize("indexed", [False, True])
def test_a_place_is_that_of_a_sort_of_all_scores(bundle, indexed, monkeypatch):
    monkeypatch.setattr(item_index, "FOUND", 200)
    recommender = Recommender(bundle, threads=1)
    assert isinstance(recommender.scorer.item_index, ItemIndex)
    if not indexed:
        recommender.scorer.item_index = None
    rng = np.random.default_rng(1)
    asked = [Asked([f"i{code:03d}" for code in rng.integers(ITEMS, size=size)]) for size in (0, 1, 3, 3, 8)]
    asked.append(Asked(exclude=["i000", "i001"], filters=Filters(all=["x"])))
    items = np.array([0, 17, 599])
    for one, found in zip(asked, standings(recommender, asked, items), strict=True):
        allowed = np.ones(ITEMS, bool)
        allowed[[int(name[1:]) for name in (*one.history, *one.exclude)]] = False
        places, scores = by_sorting(bundle, one, allowed)
        assert found.places[0] == 0 or allowed[0]
        for item, place, score in zip(items, found.places, found.scores):
            if place == 0:
                assert not allowed[item]
                continue
            assert score == pytest.approx(scores[item], abs=1e-4)
            if not indexed or places[item] <= 20:
                assert place == pytest.approx(places[item], abs=1 if indexed else 0)
            assert place <= places[item]  # an index leaves out some that are better, and none is worse for that


def test_what_rules_lift_stands_higher(bundle):
    recommender = Recommender(bundle, threads=1)
    (before,) = standings(recommender, [Asked()], np.array([5]))
    recommender.obey(Rules.parse("rules: [{name: up, boost: {x: 2}}]", "rules"))  # all items alike
    (after,) = standings(recommender, [Asked()], np.array([5]))
    assert after.places[0] >= before.places[0]
    assert after.scores[0] > before.scores[0]
