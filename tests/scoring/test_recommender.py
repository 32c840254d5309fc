"""The Python API on the users' own ids, by hand."""

import json
from dataclasses import replace

import numpy as np
import pytest
from helpers_hand_bundle import write_hand_bundle

from longtail.contracts.errors import UserError
from longtail.registry.opening import open_registry
from longtail.scoring import recommender as recommending
from longtail.scoring.asked import Asked, Event, Explore
from longtail.scoring.bundle import load_bundle
from longtail.scoring.recommender import Recommender
from longtail.scoring.rules import Rules


@pytest.fixture
def recommender(tmp_path):
    return Recommender(load_bundle(write_hand_bundle(tmp_path / "bundle")), threads=1)


def test_recommendations_are_ordered_and_leave_the_history_out(recommender):
    # history a: q = (1.1, .2), bucket 1: b = .2 + .8 + .05, c = .66 + .16 + .2 - .05, d = -1.1 - .1
    answer = recommender.recommend(["a"], k=4)
    assert [item.item_id for item in answer.items] == ["b", "c", "d"]
    assert [item.score for item in answer.items] == pytest.approx([1.05, 0.97, -1.2])
    assert [item.title for item in answer.items] == ["Blue lamp", None, "Chair"]
    assert (answer.segment, answer.unknown_items, answer.unknown_attributes) == ("tail", [], [])


def test_events_are_read_in_the_order_of_their_times(recommender):
    of_ids = recommender.recommend(["c", "a"], k=2)
    assert recommender.recommend([Event("a", 20.0), Event("c", 10.0)], k=2) == of_ids
    assert recommender.recommend([Event("c", 10.0), Event("a", 10.0), Event("z", 5.0)], k=2).items == of_ids.items
    assert recommender.recommend(["a", "c"], k=2).items != of_ids.items


def test_kinds_of_events_that_training_did_not_count_are_refused(tmp_path):
    written = load_bundle(write_hand_bundle(tmp_path / "bundle"))
    bundle = replace(written, facts=written.facts | {"preprocess": {"events": ["view", "purchase"]}})
    recommender = Recommender(bundle, threads=1)
    assert recommender.recommend([Event("a", 1.0, "view")], k=1).items[0].item_id == "b"
    with pytest.raises(UserError, match=r"history\[1\].event: 'gift' is none .* \(view, purchase\)"):
        recommender.recommend([Event("a", 1.0), Event("b", 2.0, "gift")])


def test_history_may_be_recommended_where_repeats_were_kept(tmp_path):
    bundle = load_bundle(write_hand_bundle(tmp_path / "bundle", exclude_history=False))
    answer = Recommender(bundle, threads=1).recommend(["a"], k=4)
    assert [item.item_id for item in answer.items] == ["a", "b", "c", "d"]  # a = 1.1 + .1


def test_equal_scores_are_ordered_by_item_code(recommender, monkeypatch):
    monkeypatch.setattr(recommender._scorer, "score", lambda queries: np.zeros((len(queries), 4), np.float32))
    assert [item.item_id for item in recommender.recommend(["b"], k=2).items] == ["a", "c"]


def test_what_is_not_known_is_said_and_left_out(recommender):
    answer = recommender.recommend(["z", "a", "y"], {"gender": "F", "age": 30}, k=3)
    assert (answer.unknown_items, answer.unknown_attributes, answer.segment) == (["z", "y"], ["age=30"], "tail")
    alone = recommender.recommend(["a"], ["gender=F"], k=3)
    assert answer.items == alone.items
    nobody = recommender.recommend(["z"])
    assert nobody.segment == "cold" and nobody.items == recommender.recommend().items


def test_context_is_asked_for_beside_attributes(recommender):
    asked = recommender.recommend(attributes={"gender": "F"}, context={"occasion": "party", "device": "tv"}, k=4)
    assert asked.unknown_attributes == ["device=tv"]
    scores = {item.item_id: item.score for item in asked.items}
    plain = {item.item_id: item.score for item in recommender.recommend(attributes={"gender": "F"}, k=4).items}
    assert {item: scores[item] - plain[item] for item in "abcd"} == pytest.approx({"a": -1, "b": 0.5, "c": 0, "d": 1.5})


def test_an_attribute_that_is_left_out_is_missing(tmp_path):
    """The one row of attributes, (0, -.5), is that of a missing gender: b has 1.2 - .5."""
    bundle = replace(load_bundle(write_hand_bundle(tmp_path / "bundle")), attributes=["gender="])
    asked = Recommender(bundle, threads=1)
    for attributes in ([], ["gender="], {"gender": ""}, ["shoe="]):
        answer = asked.recommend(attributes=attributes, k=2)
        assert [item.score for item in answer.items] == pytest.approx([2.1, 0.7])
        assert answer.unknown_attributes == []  # what is missing is never unknown
        assert answer.items[0].reason == "popular with newcomers"  # and no reason
    said = asked.recommend(attributes=["gender=X"], k=2)
    assert [item.score for item in said.items] == pytest.approx([2.1, 1.2])
    assert said.unknown_attributes == ["gender=X"]


def test_several_users_are_answered_as_each_alone(recommender):
    asked = [Asked(k=2), Asked(["a", "b"], interests="lamp"), Asked(["b"], ["gender=F"], k=1)]
    together = recommender.answers(asked)
    assert [len(answer.items) for answer in together] == [
        2,
        2,
        1,
    ]  # ten where there are as many; the history is left out
    for one, answer in zip(asked, together):
        (alone,) = recommender.answers([one])
        assert [item.item_id for item in alone.items] == [item.item_id for item in answer.items]
    assert recommender.answers([]) == []


@pytest.mark.parametrize(
    "k, message", [(0, "k is 0; ask for at least 1"), (-1, "k is -1;"), (5, "holds 4 items; ask for fewer")]
)
def test_k_outside_the_catalogue_is_refused(recommender, k, message):
    with pytest.raises(UserError, match=message):
        recommender.recommend(k=k)


def test_a_server_gives_at_most_so_many_items(recommender):
    limited = Recommender(recommender.bundle, max_k=10)
    assert limited.recommend(k=4) == recommender.recommend(k=4)
    with pytest.raises(UserError, match="k is 11, but at most 10 items are given; ask for fewer"):
        limited.recommend(k=11)
    with pytest.raises(UserError, match="max_k is 9, but who names no k gets 10 items"):
        Recommender(recommender.bundle, max_k=9)


def test_of_a_long_history_the_latest_are_read(recommender, monkeypatch):
    monkeypatch.setattr(recommending, "MAX_HISTORY", 3)
    answer = recommender.recommend(["y", "c", "b", "z", "a"], k=4)
    assert answer == recommender.recommend(["b", "z", "a"], k=4)
    assert answer.unknown_items == ["z"]
    assert {item.item_id for item in answer.items} == {"c", "d"}  # what is older may come again


def test_thousands_of_items_are_a_history(recommender):
    long = recommender.recommend(["d"] * 5000 + ["a", "b"], k=4)
    assert [item.item_id for item in long.items] == ["c"]
    assert long.segment == "head"


@pytest.mark.parametrize("room, pieces", [(4, [1, 1, 1, 1, 1]), (9, [2, 2, 1]), (1, [1, 1, 1, 1, 1]), (1000, [5])])
def test_scores_of_many_users_are_computed_in_pieces(recommender, monkeypatch, room, pieces):
    asked = [Asked(k=2), Asked(["a"], k=3), Asked(["b"], ["gender=F"]), Asked(["a", "b"]), Asked(interests="lamp")]
    expected = recommender.answers(asked)
    score, sizes = recommender._scorer.score, []

    def counted(queries):
        sizes.append(len(queries))
        return score(queries)

    monkeypatch.setattr(recommending, "PIECE_SCORES", room)
    monkeypatch.setattr(recommender._scorer, "score", counted)
    answers = recommender.answers(asked)
    assert sizes == pieces
    for answer, one in zip(answers, expected, strict=True):
        assert [item.item_id for item in answer.items] == [item.item_id for item in one.items]
        assert [item.score for item in answer.items] == pytest.approx([item.score for item in one.items])
        assert [item.reason for item in answer.items] == [item.reason for item in one.items]


def test_interests_without_a_text_encoder_are_refused(tmp_path):
    plain = Recommender(load_bundle(write_hand_bundle(tmp_path / "bundle", text=False)))
    with pytest.raises(UserError, match="cannot read interests"):
        plain.recommend(interests="red")


def test_a_bundle_a_run_and_a_registry_are_loaded_alike(tmp_path):
    bundle = write_hand_bundle(tmp_path / "run/bundle")
    expected = Recommender.load(bundle).recommend(["a"], interests="red lamp", k=2)
    registry = open_registry(str(tmp_path / "registry"))
    version = registry.publish(bundle)
    with pytest.raises(UserError, match=r"has no champion yet|holds neither"):
        Recommender.load(tmp_path / "registry")
    registry.promote(version, None, "first")
    for place in (tmp_path / "run", tmp_path / "registry", f"registry:{tmp_path / 'registry'}", version.uri):
        assert Recommender.load(place).recommend(["a"], interests="red lamp", k=2) == expected


def test_a_place_without_a_bundle_is_named(tmp_path):
    (tmp_path / "empty").mkdir()
    for place in (tmp_path / "empty", tmp_path / "absent"):
        with pytest.raises(UserError, match=place.name):
            Recommender.load(place)


def test_the_answer_is_what_the_server_would_say(recommender):
    from dataclasses import asdict

    answer = json.loads(json.dumps(asdict(recommender.recommend(["a"], k=1))))
    assert answer["items"][0]["item_id"] == "b" and answer["items"][0]["reason"].startswith("because of Red lamp")


@pytest.mark.parametrize(
    "asked",
    [
        {},
        {"history": ["a"]},
        {"interests": "red lamp"},
        {"similar_to": ["a"], "diversity": 0.5},
        {"explore": Explore(epsilon=0.0)},
        {"k": 1, "exclude": ["a"]},
    ],
)
def test_without_reasons_the_rest_is_the_same_and_none_is_computed(recommender, monkeypatch, asked):
    recommender.obey(Rules.parse("rules: [{name: r, for: [tail], pin: {1: d}}]", "f"))
    explained = recommender.recommend(**asked, explain=True)
    assert all(item.reason and item.source for item in explained.items)
    monkeypatch.setattr(recommender._reasons, "of", lambda *_: pytest.fail("reasons were computed"))
    silent = [replace(item, reason=None, source=None, about=None) for item in explained.items]
    assert recommender.recommend(**asked, explain=False) == replace(explained, items=silent)
