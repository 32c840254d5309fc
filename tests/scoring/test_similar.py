"""Items like others, by hand."""

import numpy as np
import pytest
from helpers_hand_bundle import ITEMS, write_hand_bundle

from longtail.contracts.errors import UserError
from longtail.scoring.asked import Asked
from longtail.scoring.bundle import load_bundle
from longtail.scoring.int8 import Int8Rows
from longtail.scoring.recommender import Recommender
from longtail.scoring.similar import Similarity


@pytest.fixture
def recommender(tmp_path):
    return Recommender(load_bundle(write_hand_bundle(tmp_path / "bundle")), threads=1)


def test_likeness_is_the_cosine_in_deviations_of_pairs(monkeypatch):
    # pairs of ITEMS: a.b 0, a.c .6, a.d -1, b.c .8, b.d 0, c.d -.6: mean -.0333, deviation .6263
    (found,) = Similarity([ITEMS]).to(np.array([0]))
    assert found == pytest.approx([(x + 0.2 / 6) / 0.62627 for x in (1, 0, 0.6, -1)], abs=1e-3)
    both = Similarity([ITEMS]).to(np.array([0, 1]))
    assert both == pytest.approx(np.array([found, [(x + 0.2 / 6) / 0.62627 for x in (0, 1, 0.8, 0)]]), abs=1e-3)
    assert Similarity([Int8Rows.of(ITEMS)]).to(np.array([0]))[0] == pytest.approx(found, abs=0.03)
    flat = np.zeros((4, 2), np.float32)
    monkeypatch.setattr("longtail.scoring.similar.REMEMBERED", 2 * 4 * 4)  # of two items
    few = Similarity([ITEMS])
    for codes in ([0, 1], [2, 0], [1], [0, 1]):
        assert few.to(np.array(codes)) == pytest.approx(Similarity([ITEMS]).to(np.array(codes)))
    assert Similarity([ITEMS, flat]).to(np.array([0]))[0] == pytest.approx(found / 2)


def test_items_like_one_leave_it_out_and_say_so(recommender, monkeypatch):
    # to b: vectors 0, .8 and 0 of a, c, d are .05, 1.33 and .05 deviations; texts .71, 0 and 1 are .50, -1.38 and 1.28
    monkeypatch.setattr("longtail.scoring.recommender.ALIKE", 0.6)  # four items are too few to stand far out
    answer = recommender.recommend(similar_to=["b"], k=4)
    assert {item.item_id for item in answer.items} == {"a", "c", "d"}
    assert answer.fewer_than_k == "of 4 items, 3 are others than those to be like"
    found = {item.item_id: (item.reason, item.source, item.about) for item in answer.items}
    assert found["d"] == ("similar to Blue lamp", "similarity", "b")
    assert found["a"] == found["c"] == ("popular with newcomers", "popularity", None)


def test_an_unknown_item_is_said_and_left_aside(recommender):
    answer = recommender.recommend(similar_to=["z"])
    assert answer.unknown_items == ["z"]
    assert answer.degraded == "no item of similar_to is known; it was left aside"
    assert [item.item_id for item in answer.items] == [item.item_id for item in recommender.recommend().items]


def test_what_knows_no_likeness_refuses(recommender, monkeypatch):
    monkeypatch.setattr(type(recommender._scorer), "has_dense_part", False)
    monkeypatch.setattr(recommender._scorer, "_text", None)
    with pytest.raises(UserError, match="cannot say which items are alike; leave similar_to out"):
        recommender.answers([Asked(similar_to=["a"])])
    with pytest.raises(UserError, match=r"no trained item vectors .*; give diversity_on: attributes"):
        recommender.answers([Asked(diversity=0.5, diversity_on="both")])
    monkeypatch.setattr(recommender._eligibility, "items_of", {})
    with pytest.raises(UserError, match=r"no trained item vectors .*; leave diversity out"):
        recommender.answers([Asked(diversity=0.1)])
