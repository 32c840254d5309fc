"""What may not be given just now: read strictly, and never given."""

from datetime import UTC, datetime

import pytest
from helpers_hand_bundle import write_hand_bundle

from longtail.contracts.errors import UserError
from longtail.scoring import recommender as recommending
from longtail.scoring.availability import Availability, Closed
from longtail.scoring.bundle import load_bundle
from longtail.scoring.recommender import Recommender

FILE = """
hidden: [a, 007]
sold_out: [12.0, "c"]   # 12
scheduled:
  b: {from: 2026-12-01T08:00:00Z, until: 2026-12-02T08:00:00+01:00}
  d: {until: 2026-12-01T08:00:00Z}
"""
BEGIN = datetime(2026, 12, 1, 8, tzinfo=UTC).timestamp()
END = datetime(2026, 12, 2, 7, tzinfo=UTC).timestamp()


def test_ids_stay_as_they_are_written():
    availability = Availability.parse(FILE, "f")
    assert (availability.hidden, availability.sold_out) == (("a", "007"), ("12", "c"))
    assert availability.item_ids == ["a", "007", "12", "c", "b", "d"]


def test_times_are_those_of_their_zone():
    closed = Closed(Availability.parse(FILE, "f"), {item: code for code, item in enumerate("abcd")})
    assert closed.unknown == ["007", "12"]
    at = lambda moment: sorted("abcd"[code] for code in closed.at(moment))  # noqa: E731
    assert at(BEGIN - 1) == ["a", "b", "c"]  # d may still be given
    assert at(BEGIN) == ["a", "c", "d"]
    assert at(END - 1) == ["a", "c", "d"]
    assert at(END) == ["a", "b", "c", "d"]


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", r"f: must hold hidden: .* one that closes nothing holds hidden: \[\]"),
        ("[a]", "f: must hold hidden"),
        ("hidden: [a", "f: is not YAML"),
        ("hiden: [a]", "f: hiden: Extra inputs are not permitted; it holds hidden"),
        ("hidden: a", "f: hidden: Input should be a valid tuple"),
        ("hidden:", "f: hidden: Input should be a valid tuple"),
        ("hidden: [a, ' ']", "f: hidden.1: ' ' is no item's id"),
        ("hidden: [a]\nsold_out: [b]\nhidden: [c]", "'hidden' is there twice"),
        ("scheduled: {a: {from: 2026-12-01T08:00:00Z}, a: {until: 2026-12-01T08:00:00Z}}", "'a' is there twice"),
        ("scheduled: {a: {}}", "f: scheduled.a: give from, until or both"),
        ("scheduled: {a: {from: 2026-12-01T08:00:00}}", "f: scheduled.a.from: Input should have timezone info"),
        ("scheduled: {a: {from: soon}}", "f: scheduled.a.from: Input should be a valid datetime"),
        (
            "scheduled: {a: {from: 2026-12-02T08:00:00Z, until: 2026-12-01T08:00:00Z}}",
            "f: scheduled.a: from is not before until",
        ),
    ],
)
def test_what_is_wrong_is_said(text, message):
    with pytest.raises(UserError, match=message):
        Availability.parse(text, "f")


def test_json_is_read_too_and_nothing_closed_is_nothing():
    assert Availability.parse('{"hidden": ["a"], "scheduled": {}}', "f").hidden == ("a",)
    assert Availability.parse("hidden: []", "f").item_ids == []


def test_what_is_closed_is_not_given_whatever_is_asked(tmp_path, monkeypatch):
    recommender = Recommender(load_bundle(write_hand_bundle(tmp_path / "bundle")), threads=1)
    ids = lambda **asked: [item.item_id for item in recommender.recommend(**asked).items]  # noqa: E731
    assert recommender.close(
        Availability.parse("{hidden: [a, z], scheduled: {b: {from: 2026-12-01T08:00:00Z}}}", "f")
    ) == ["z"]
    monkeypatch.setattr(recommending.time, "time", lambda: BEGIN - 1)
    assert ids(k=4) == ids(candidates=["a", "c", "d", "b"], k=4) == ids(max_per={"x": 4}, k=4) == ["c", "d"]
    assert ids(history=["c"], k=4) == ids(similar_to=["c"], k=4) == ["d"]
    assert recommender.recommend(k=4).fewer_than_k == "of 4 items, 2 are available"
    monkeypatch.setattr(recommending.time, "time", lambda: BEGIN)
    assert ids(k=4) == ["b", "c", "d"]
    recommender.close(Availability())
    assert ids(k=4) == ["a", "b", "c", "d"]
