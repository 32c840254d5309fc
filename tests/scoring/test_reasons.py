"""Reasons, by hand: what is said, and that nothing is said that is not so."""

import numpy as np
import pytest
from helpers_hand_bundle import write_hand_bundle

from longtail.scoring.bundle import load_bundle
from longtail.scoring.query import Query
from longtail.scoring.reasons import Reasons
from longtail.scoring.scorer import Scorer

A, B, C, D = range(4)


@pytest.fixture
def reasons(tmp_path):
    return Reasons(Scorer(load_bundle(write_hand_bundle(tmp_path / "bundle")), threads=1))


def query(*history, attributes=(), interests=None, context=()):
    return Query(np.array(history, dtype=np.int32), attributes, interests, context=context)


def texts(found):
    return [reason.text for reason in found]


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
        # relevance to "red lamp" is 3.5, 1.5, 2.4 and 1.2; to "red" 2.7, -1.4, 4.2 and -1.4
        (query(interests="red lamp"), A, "near your interest in red lamp"),
        (query(interests="red"), C, "matches your interest in red"),
        (query(interests="red"), B, "popular with newcomers"),
        (query(interests="red", attributes=["gender=F"]), B, "chosen by newcomers like you"),
        (query(A, interests="red"), C, "matches your interest in red"),  # what is asked for goes before the history
        (query(A, interests="red lamp"), C, "because of Red lamp in your history"),
        (query(D, interests="red lamp"), C, "near your interest in red lamp"),
        (query(D, interests="red"), B, "fits your history as a whole"),
        (query(interests="table"), A, "comes near to table, which nothing here quite fits"),
        (query(attributes=["gender=F"]), A, "chosen by newcomers like you"),
        (query(attributes=["gender=X"]), A, "popular with newcomers"),
        (query(), A, "popular with newcomers"),
        # what occasion=party adds is -2, 1, 0 and 3
        (query(context=["occasion=party"]), D, "often chosen with occasion=party"),
        (query(context=["occasion=party"]), C, "popular with newcomers"),
        (query(attributes=["gender=F"], context=["occasion=party"]), A, "chosen by newcomers like you"),
        (query(A, context=["occasion=party"]), B, "because of Red lamp in your history"),
        (query(A, context=["occasion=party"]), D, "often chosen with occasion=party"),
    ],
)
def test_reasons_say_what_the_score_came_from(reasons, asked, item, reason, monkeypatch):
    monkeypatch.setattr("longtail.scoring.reasons.MATCHES", 4.0)  # four items are too few to stand far out
    assert texts(reasons.of(asked, np.array([item]))) == [reason]


def test_a_reason_names_no_item_that_the_score_did_not_read(reasons):
    # a lies before the latest three, so it contributed nothing to b
    assert texts(reasons.of(query(A, D, D, D), np.array([B]))) == ["fits your history as a whole"]


@pytest.mark.parametrize(
    ("interests", "said"),
    [
        ("red lamp " * 200, "red lamp " * 6 + "red l…"),
        ("red lamp" + "x" * 2000, "red lamp" + "x" * 51 + "…"),
        ("red\n\tlamp", "red lamp"),
        (f"{'red lamp ' * 6}redred", f"{'red lamp ' * 6}redred"),  # 60 characters
    ],
)
def test_a_long_interest_is_not_repeated_in_every_reason(reasons, interests, said, monkeypatch):
    monkeypatch.setattr("longtail.scoring.reasons.MATCHES", -9.0)
    monkeypatch.setattr("longtail.scoring.reasons.NOTHING", -9.0)
    assert texts(reasons.of(query(interests=interests), np.array([A, B]))) == [f"matches your interest in {said}"] * 2


def test_it_is_said_where_nothing_fits(reasons):
    assert [reasons.nothing_fits(query(interests=words)) for words in ("table", "red lamp", None)] == [
        True,
        False,
        False,
    ]
