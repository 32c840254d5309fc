"""Scores, order and reasons of the bundle in helpers_hand_bundle, computed by hand."""

import numpy as np
import pytest
from helpers_hand_bundle import ITEMS, POPULARITY, START, A, B, C, D, write_hand_bundle

from longtail.contracts.errors import UserError
from longtail.scoring.bundle import load_bundle
from longtail.scoring.query import Query
from longtail.scoring.scorer import Scorer


@pytest.fixture(scope="module")
def scorer(tmp_path_factory):
    return Scorer(load_bundle(write_hand_bundle(tmp_path_factory.mktemp("scorer") / "bundle")), threads=1)


def query(*history, attributes=(), interests=None):
    return Query(np.array(history, dtype=np.int32), attributes, interests)


def test_cold_user_is_scored_by_start_and_popularity(scorer):
    # q = (.1, .2): q.V = .1, .2, .06 + .16 = .22, -.1; popularity weighs 2 for an empty history
    assert scorer.score([query()])[0] == pytest.approx([0.1 + 2, 0.2 + 1, 0.22 - 1, -0.1 - 2])


def test_attributes_are_added_to_start_and_unknown_ones_are_not(scorer):
    # q = (.1, -.3): q.V = .1, -.3, .06 - .24 = -.18, -.1
    scores = scorer.score([query(attributes=["gender=F"]), query(attributes=["gender=X"])])
    assert scores[0] == pytest.approx([0.1 + 2, -0.3 + 1, -0.18 - 1, -0.1 - 2])
    assert scores[1] == pytest.approx(scorer.score([query()])[0])


def test_history_adds_items_and_decayed_neighbours(scorer):
    # history a, b (b last): q = (.1 + 1 + 0, .2 + 0 + 1) = (1.1, 1.2)
    dense = np.array([1.1, 1.2, 0.66 + 0.96, -1.1])
    # bucket 2: weight 2; a is one step back (decay .5): b += .8 * .5, c += .2 * .5; b is last: c += .5
    sparse_term = 2 * np.array([0, 0.4, 0.1 + 0.5, 0])
    assert scorer.score([query(A, B)])[0] == pytest.approx(dense + sparse_term + 0.1 * POPULARITY, rel=1e-6)


def test_order_of_the_history_matters(scorer):
    # history b, a (a last): b += .8, c += .2 + .5 * .5
    dense = np.array([1.1, 1.2, 1.62, -1.1])
    assert scorer.score([query(B, A)])[0] == pytest.approx(dense + 2 * np.array([0, 0.8, 0.45, 0]) + 0.1 * POPULARITY)


def test_only_the_latest_items_are_read_but_the_whole_length_counts(scorer):
    # d, d, a, b, c with max_history 3: a, b, c are read; the bucket is that of five items, weight 5
    dense = ITEMS @ (START + ITEMS[A] + ITEMS[B] + ITEMS[C])
    sparse_term = 5 * np.array([0, 0.8 * 0.25, 0.2 * 0.25 + 0.5 * 0.5, 0])
    assert scorer.score([query(D, D, A, B, C)])[0] == pytest.approx(dense + sparse_term + 0.1 * POPULARITY)


def test_an_item_twice_in_the_history_contributes_twice(scorer):
    # a, a: b += .8 * (1 + .5), c += .2 * 1.5; q = (2.1, .2)
    dense = ITEMS @ np.array([2.1, 0.2])
    assert scorer.score([query(A, A)])[0] == pytest.approx(dense + 2 * np.array([0, 1.2, 0.3, 0]) + 0.1 * POPULARITY)


def test_interests_are_an_item_known_by_its_text(scorer):
    # "red lamp": words sum to (2, 2, 0), projected to (6, 8), unit (.6, .8); q = start + (.6, .8) = (.7, 1)
    assert scorer.project(scorer.text_vectors(["red lamp", "red"])) == pytest.approx(np.array([[0.6, 0.8], [1, 0]]))
    # its neighbours: a reads the same, all others share a word, cosine .5 ** .5 to the power 8 = .0625; a row holds two
    # items, as the longest of the bundle, and has the length .4 + .6 of all likeness; weights are those of one known item
    alike = np.array([1, 0.0625, 0, 0]) / np.hypot(1, 0.0625)
    assert scorer.score([query(interests="red lamp")])[0] == pytest.approx(
        ITEMS @ [0.7, 1.0] + 1 * alike + 0.1 * POPULARITY, rel=1e-3
    )
    # beside b it is the older of two known items: weight 2, once decayed; b itself brings c
    beside = ITEMS @ [0.7, 2.0] + 2 * np.array([0, 0, 0.5, 0]) + 2 * 0.5 * alike + 0.1 * POPULARITY
    assert scorer.score([query(B, interests="red lamp")])[0] == pytest.approx(beside, rel=1e-3)


def test_a_batch_scores_like_its_queries_alone(scorer):
    queries = [
        query(),
        query(A, B, C, D),
        query(B, interests="lamp"),
        query(interests="red", attributes=["gender=F"]),
        query(C),
    ]
    alone = np.concatenate([scorer.score([one]) for one in queries])
    assert scorer.score(queries) == pytest.approx(alone, rel=1e-5)


def test_recommendations_are_ordered_and_leave_the_history_out(scorer):
    # history a: q = (1.1, .2), bucket 1: b = .2 + .8 + .05, c = .66 + .16 + .2 - .05, d = -1.1 - .1
    (answer,) = scorer.recommend([query(A)], 4)
    assert [item.item_id for item in answer] == ["b", "c", "d"]
    assert [item.score for item in answer] == pytest.approx([1.05, 0.97, -1.2])
    assert [item.title for item in answer] == ["Blue lamp", None, "Chair"]


def test_history_may_be_recommended_where_repeats_were_kept(tmp_path):
    scorer = Scorer(load_bundle(write_hand_bundle(tmp_path / "bundle", exclude_history=False)), threads=1)
    (answer,) = scorer.recommend([query(A)], 4)
    assert [item.item_id for item in answer] == ["a", "b", "c", "d"]  # a = 1.1 + .1


def test_equal_scores_are_ordered_by_item_code(tmp_path, monkeypatch):
    scorer = Scorer(load_bundle(write_hand_bundle(tmp_path / "bundle")), threads=1)
    monkeypatch.setattr(scorer, "score", lambda queries: np.zeros((len(queries), 4), np.float32))
    assert [item.item_id for item in scorer.recommend([query(B)], 2)[0]] == ["a", "c"]


@pytest.mark.parametrize(
    ("asked", "item", "reason"),
    [
        (query(A), B, "because of Red lamp in your history"),
        (query(A, B), C, "because of Blue lamp in your history"),  # .5 now beats .2 * .5
        (query(A), D, "fits your history as a whole"),  # no entry of the sparse term: it is not the cause; a.d = -1
        (query(C, A), B, "because of Red lamp in your history"),
        # pairs have the cosines -1, -.6, 0, 0, .6, .8: 95 % lie below .75
        (query(C), B, "similar to c"),  # c.b = .8; c has no title
        (query(C), A, "fits your history as a whole"),  # c.a = .6
        (query(C, B), A, "fits your history as a whole"),
        # a reads "red lamp", too; of four items, only the nearest is beyond 95 %
        (query(interests="red lamp"), A, "matches your interest in red lamp"),
        (query(interests="red lamp"), B, "popular with newcomers"),
        (query(interests="red lamp", attributes=["gender=F"]), B, "chosen by newcomers like you"),
        (query(A, interests="red lamp"), C, "because of Red lamp in your history"),
        (query(D, interests="red lamp"), A, "matches your interest in red lamp"),
        (query(D, interests="red lamp"), C, "fits your history as a whole"),
        (query(attributes=["gender=F"]), A, "chosen by newcomers like you"),
        (query(attributes=["gender=X"]), A, "popular with newcomers"),
        (query(), A, "popular with newcomers"),
    ],
)
def test_reasons_say_what_the_score_came_from(scorer, asked, item, reason):
    assert scorer.reasons(asked, np.array([item])) == [reason]


def test_a_reason_names_no_item_that_the_score_did_not_read(scorer):
    # a lies before the latest three, so it contributed nothing to b
    assert scorer.reasons(query(A, D, D, D), np.array([B])) == ["fits your history as a whole"]


@pytest.mark.parametrize("k", [0, -1, 5])
def test_k_outside_the_catalogue_is_refused(scorer, k):
    with pytest.raises(UserError, match=f"k is {k}; the catalogue holds 4 items"):
        scorer.recommend([query()], k)


def test_interests_without_a_text_encoder_are_refused(tmp_path):
    scorer = Scorer(load_bundle(write_hand_bundle(tmp_path / "bundle", text=False)))
    with pytest.raises(UserError, match="holds no text encoder"):
        scorer.score([query(interests="red")])


def test_an_item_id_that_is_unknown_has_no_code(scorer):
    assert scorer.code("c") == C
    assert scorer.code("z") is None
