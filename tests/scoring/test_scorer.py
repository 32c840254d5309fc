"""Scores, order and reasons of the bundle in helpers_hand_bundle, computed by hand."""

from dataclasses import replace

import numpy as np
import pytest
from helpers_hand_bundle import ITEMS, POPULARITY, START, A, B, C, D, write_hand_bundle

from longtail.contracts.errors import UserError
from longtail.scoring.bundle import LENGTH_BUCKETS, PARTS, load_bundle
from longtail.scoring.query import Query
from longtail.scoring.scorer import Scorer


@pytest.fixture(scope="module")
def scorer(tmp_path_factory):
    return Scorer(load_bundle(write_hand_bundle(tmp_path_factory.mktemp("scorer") / "bundle")), threads=1)


def query(*history, attributes=(), interests=None, context=()):
    return Query(np.array(history, dtype=np.int32), attributes, interests, context=context)


def test_cold_user_is_scored_by_start_and_popularity(scorer):
    # q = (.1, .2): q.V = .1, .2, .06 + .16 = .22, -.1; popularity weighs 2 for an empty history
    assert scorer.score([query()])[0] == pytest.approx([0.1 + 2, 0.2 + 1, 0.22 - 1, -0.1 - 2])


def test_attributes_are_added_to_start_and_unknown_ones_are_not(scorer):
    # q = (.1, -.3): q.V = .1, -.3, .06 - .24 = -.18, -.1
    scores = scorer.score([query(attributes=["gender=F"]), query(attributes=["gender=X"])])
    assert scores[0] == pytest.approx([0.1 + 2, -0.3 + 1, -0.18 - 1, -0.1 - 2])
    assert scores[1] == pytest.approx(scorer.score([query()])[0])


def test_context_adds_what_was_counted_with_it_and_nothing_to_the_start(scorer):
    # occasion=party has weight .5 and scale 1: b + 1, d + 3, a - 2 (its base)
    plain, then, said_as_attribute = scorer.score(
        [query(), query(context=["occasion=party"]), query(attributes=["occasion=party"])]
    )
    assert then - plain == pytest.approx([-1, 0.5, 0, 1.5])
    assert said_as_attribute == pytest.approx(then)  # one vocabulary


def test_a_trait_counts_once_however_often_it_is_said(scorer):
    once, twice = scorer.score([query(context=["occasion=party"]), query(context=["occasion=party"] * 2)])
    assert once.tolist() == twice.tolist()


def test_dense_scores_have_a_weight_of_their_own(scorer):
    bundle = scorer.bundle
    without = replace(bundle, tensors=replace(bundle.tensors, dense_weight=np.zeros(LENGTH_BUCKETS, np.float32)))
    assert Scorer(without, threads=1).score([query()])[0] == pytest.approx(2 * POPULARITY)


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
    alone = ITEMS @ [0.7, 1.0] + 1 * alike + 0.1 * POPULARITY
    assert scorer.behaviour([query(interests="red lamp")])[0] == pytest.approx(alone, rel=1e-3)
    # beside b it is the older of two known items: weight 2, once decayed; b itself brings c
    beside = ITEMS @ [0.7, 2.0] + 2 * np.array([0, 0, 0.5, 0]) + 2 * 0.5 * alike + 0.1 * POPULARITY
    assert scorer.behaviour([query(B, interests="red lamp")])[0] == pytest.approx(beside, rel=1e-3)


def test_what_fits_an_interest_comes_before_what_users_choose(scorer):
    asked = [query(interests="red lamp"), query(B, interests="red lamp")]
    behaviour, relevance = scorer.behaviour(asked), scorer.relevance("red lamp").ranking
    for row, scores in enumerate(scorer.score(asked)):
        standard = (behaviour[row] - behaviour[row].mean()) / behaviour[row].std()
        assert scores == pytest.approx(standard + 2.5 * relevance, rel=1e-5)
    # "red lamp" is (2, 2, 0); cosines of pairs of items are .5 ** .5 three times, 0 twice and 1
    usual = np.array([0.5**0.5] * 3 + [0, 0, 1])
    cosines = np.array([1, 0.5**0.5, 0.5**0.5, 0.5**0.5])
    words = scorer.index._lexicon.coverage("red lamp")
    expected = (cosines - usual.mean()) / usual.std() + 2.5 * words
    assert scorer.relevance("red lamp").direct == pytest.approx(expected, rel=5e-3)  # vectors are kept with 16 bits


def test_a_slip_of_the_pen_is_read_as_what_was_meant(tmp_path):
    bundle = write_hand_bundle(tmp_path / "bundle", texts=["red lampshade", "lampshade", "red", "lampshade chair"])
    scorer = Scorer(load_bundle(bundle), threads=1)
    assert scorer.score([query(interests="lampshdae")]) == pytest.approx(scorer.score([query(interests="lampshade")]))


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


def test_the_text_encoder_reads_a_question_once_with_its_wishes(tmp_path, monkeypatch):
    scorer = Scorer(load_bundle(write_hand_bundle(tmp_path / "bundle")), threads=1)
    read, text_vectors = [], scorer.text_vectors
    monkeypatch.setattr(scorer, "text_vectors", lambda texts: read.append(texts) or text_vectors(texts))
    for asked in (query(interests="red and lamp"), query(B, interests="red and lamp"), query(interests="lamp")):
        scorer.score([asked])
    assert read == [("red and lamp", "red", "lamp"), ("lamp",)]


def test_interests_without_a_text_encoder_are_refused(tmp_path):
    scorer = Scorer(load_bundle(write_hand_bundle(tmp_path / "bundle", text=False)))
    with pytest.raises(UserError, match="holds no text encoder"):
        scorer.score([query(interests="red")])


def test_parts_and_their_weights_are_the_scores(scorer):
    # q = (1.1, 1.2) as above; b: .8 a step back, c: .2 a step back and .5; the party adds to b and d and takes from a
    parts = scorer.parts(query(A, B, context=["occasion=party"]))
    expected = {
        "dense": [1.1, 1.2, 1.62, -1.1],
        "neighbour": [0, 0.4, 0.6, 0],
        "popularity": POPULARITY,
        "trait": [-2, 1, 0, 3],
    }
    np.testing.assert_allclose(parts, np.column_stack([expected[part] for part in PARTS]), atol=1e-6)
    for asked in (query(), query(A), query(A, B, C, attributes=["gender=F"]), query(D, context=["occasion=party"])):
        weighed = scorer.parts(asked) @ scorer.bundle.part_weights[len(asked.history)]
        np.testing.assert_allclose(weighed, scorer.score([asked])[0], atol=1e-6)


def test_an_items_offset_is_added_to_its_score(scorer):
    offset = np.array([0, 0.25, 0, -1], dtype=np.float32)
    bundle = scorer.bundle
    lifted = Scorer(replace(bundle, tensors=replace(bundle.tensors, item_offset=offset)), threads=1)
    for asked in (query(), query(A, B)):
        np.testing.assert_allclose(lifted.score([asked]) - scorer.score([asked]), [offset], atol=1e-6)
