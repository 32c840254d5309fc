"""Lists for everybody, compared with the recommender's answers one by one."""

from pathlib import Path
from typing import Any

import pytest
from helpers_bundle import write_tiny_bundle
from helpers_hand_bundle import write_hand_bundle
from helpers_lists import everybody, given, rows
from helpers_prepared import write_tiny_prepared
from hypothesis import HealthCheck
from hypothesis import given as over
from hypothesis import settings as limits
from hypothesis import strategies as st

from longtail.components.recommend.asking import Shop
from longtail.components.recommend.recommend import recommend
from longtail.components.recommend.settings import RecommendSettings
from longtail.contracts.artifacts import LISTS, read_artifact
from longtail.contracts.errors import UserError
from longtail.contracts.histories import Histories
from longtail.contracts.prepared import PreparedDataset
from longtail.scoring.asked import Asked, Filters
from longtail.scoring.bundle import load_bundle
from longtail.scoring.recommender import Recommender
from longtail.scoring.rules import Rules

HAND = {"attributes": (("lamp", "brand: Lux"), ("lamp", "brand: Sol"), ("chair",), ("chair", "brand: Lux"))}
HAND |= {"numbers": {"price": [5, 9, 20, 7]}}


def same(row: dict[str, Any], user: str, rank: int, item: Any) -> None:
    known = {name: row[name] for name in ("user_id", "rank", "item_id", "title", "reason", "source", "about")}
    said = {name: getattr(item, name) for name in ("item_id", "title", "reason", "source", "about")}
    assert known == {"user_id": user, "rank": rank, **said}
    assert row["score"] == pytest.approx(item.score, abs=1e-5)


def test_lists_are_what_the_recommender_answers_each_user(tmp_path: Path):
    prepared = PreparedDataset(write_tiny_prepared(tmp_path / "prepared"))
    bundle = write_tiny_bundle(tmp_path / "bundle", item_ids=prepared.item_ids)
    settings = RecommendSettings(k=4, users_per_part=50, processes=1)
    facts = recommend(bundle, Histories.of(prepared), tmp_path / "lists", settings)
    assert read_artifact(tmp_path / "lists", LISTS).facts == facts
    users, found = rows(tmp_path / "lists", "users"), iter(rows(tmp_path / "lists", "recommendations"))
    assert [user["user_id"] for user in users] == prepared.user_ids
    recommender, segments = Recommender.load(bundle), dict[str, int]()
    for code, user in enumerate(users):
        history = [prepared.item_ids[item] for item in prepared.whole_history(code)]
        answer = recommender.answers([Asked(history, prepared.user_attributes[code], k=4)])[0]
        segments[answer.segment] = segments.get(answer.segment, 0) + 1
        assert (user["segment"], user["events"], user["given"]) == (answer.segment, len(history), 4)
        for rank, item in enumerate(answer.items, start=1):
            same(next(found), user["user_id"], rank, item)
    assert next(found, None) is None
    expected = {"asked": 120, "rows": 480} | {f"segment {name}": count for name, count in segments.items()}
    assert facts["counts"] == expected


lists = st.lists(st.sampled_from(["a", "b", "c", "d", "gone"]), max_size=5)
shaping = st.fixed_dictionaries(
    {},
    optional={
        "k": st.integers(1, 4),
        "exclude": st.lists(st.sampled_from("abcd"), max_size=2, unique=True),
        "max_per": st.sampled_from([{"brand": 1}, {"lamp": 1}]),
        "diversity": st.sampled_from([0.3, 0.9]),
        "diversity_by": st.sampled_from(["mmr", "dpp"]),
        "diversity_on": st.sampled_from(["vectors", "attributes", "both"]),
        "fold": st.booleans(),
        "context": st.just(["occasion=party"]),
        "explain": st.booleans(),
        "filters": st.sampled_from(
            [{"all": ["lamp"]}, {"any": ["lamp", "brand: Lux"]}, {"none": ["chair"]}, {"ranges": {"price": [6, None]}}]
        ),
    },
)


@pytest.fixture(scope="module")
def hand(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("hand")
    return Path(write_hand_bundle(folder / "bundle", titles=("Red lamp", "Lamp, red", None, "Chair"), **HAND))


@limits(max_examples=40, suppress_health_check=[HealthCheck.function_scoped_fixture])
@over(histories=st.lists(lists, min_size=1, max_size=6), asked=shaping, ruled=st.booleans(), female=st.booleans())
def test_whatever_is_asked_lists_are_those_of_one_question_at_a_time(
    tmp_path: Path, hand: Path, histories: list[list[str]], asked: dict[str, Any], ruled: bool, female: bool
):
    rules = "rules: [{name: push, boost: {chair: 3}}, {name: first, pin: {2: d}}]"
    (tmp_path / "rules.yaml").write_text(rules)
    users = {f"u{place}": history for place, history in enumerate(histories)}
    attributes = {"u0": ["gender=F"]} if female else {}
    settings = RecommendSettings(**{"k": 2} | asked, rules=str(tmp_path / "rules.yaml") if ruled else None, processes=1)
    recommend(hand, everybody(users, attributes), tmp_path / "lists", settings)
    recommender = Recommender(load_bundle(hand), threads=1)
    if ruled:
        recommender.obey(Rules.parse(rules, "rules"))
    plain = {name: value for name, value in asked.items() if name not in ("filters", "k")}
    ranges = {name: tuple(given) for name, given in asked.get("filters", {}).get("ranges", {}).items()}
    filters = Filters(**{**asked.get("filters", {}), "ranges": ranges})
    found = iter(rows(tmp_path / "lists", "recommendations"))
    for user, row in zip(users, rows(tmp_path / "lists", "users"), strict=True):
        answer = recommender.recommend(
            users[user], attributes.get(user, ()), k=asked.get("k", 2), filters=filters, **plain
        )
        for rank, item in enumerate(answer.items, start=1):
            same(next(found), user, rank, item)
        assert (row["fewer_than_k"], row["degraded"]) == (answer.fewer_than_k, answer.degraded)
        assert (row["given"], row["events"]) == (len(answer.items), len(users[user]))
    assert next(found, None) is None


def test_what_is_closed_now_is_not_given_and_what_is_added_may_be(tmp_path: Path, hand: Path):
    (tmp_path / "shop.yaml").write_text(
        "hidden: [a]\nscheduled: {b: {until: 2020-01-01T00:00:00Z}, c: {from: 2020-01-01T00:00:00Z}}\n"
        "added: {e: {title: Red thing, text: red lamp, attributes: [new]}}"
    )
    settings = RecommendSettings(k=5, availability=str(tmp_path / "shop.yaml"), processes=1)
    recommend(hand, everybody({"new": [], "ann": ["d"]}), tmp_path / "lists", settings)
    lists = given(tmp_path / "lists")
    assert {user: sorted(items) for user, items in lists.items()} == {"new": ["c", "d", "e"], "ann": ["c", "e"]}
    users = {row["user_id"]: row for row in rows(tmp_path / "lists", "users")}
    assert users["ann"]["fewer_than_k"] == "of 5 items, 3 are available, 2 are not in the history"
    (tmp_path / "shop.yaml").write_text("hidden: []")
    recommend(hand, everybody({"new": [], "ann": ["d"]}), tmp_path / "lists", settings.model_copy(update={"k": 4}))
    assert given(tmp_path / "lists")["new"] == ["a", "b", "c", "d"]  # an earlier artifact is replaced


def test_the_moment_of_work_that_was_begun_decides_what_is_closed(hand: Path):
    settings = RecommendSettings(k=1, availability="shop.yaml")
    text = "scheduled: {a: {from: 2026-01-01T00:00:00Z}}"
    for moment, first in ((1.7e9, "b"), (1.8e9, "a")):
        recommender = Shop(str(hand), settings, text, None, moment).opened()
        assert recommender.recommend(k=1).items[0].item_id == first


def test_unknown_items_and_attributes_are_counted(tmp_path: Path, hand: Path):
    users = {"ann": ["gone", "a", "gone"], "bob": ["gone"], "cy": []}
    histories = everybody(users, {"cy": ["age=30", "gender=F"], "bob": ["age=7"]})
    facts = recommend(hand, histories, tmp_path / "lists", RecommendSettings(k=1, processes=1))
    assert facts["counts"] == {
        "asked": 3,
        "rows": 3,
        "segment cold": 2,
        "segment tail": 1,
        "users with unknown items": 2,
        "events of unknown items": 3,
        "unknown attribute age": 2,
        "not answered as asked": 1,
    }
    found = {row["user_id"]: row for row in rows(tmp_path / "lists", "users")}
    assert found["bob"]["degraded"] == "no item of the history is known; answered as a newcomer"
    assert (found["ann"]["events"], found["ann"]["segment"]) == (3, "tail")


@pytest.mark.parametrize(
    ("given", "message"),
    [
        ({"k": 5}, "k is 5, but the catalogue holds 4 items; ask for fewer"),
        ({"exclude": ["z"]}, "exclude: item 'z' is not in the catalogue of .*; take it out"),
        ({"context": ["occasion=funeral"]}, "context occasion=funeral: is not known to .*, which knows occasion=party"),
        ({"filters": {"all": ["lam"]}}, "filters.all: no item has the attribute 'lam'; near it are 'lamp'"),
        ({"filters": {"ranges": {"weight": (1, 2)}}}, "filters.ranges: items have no number 'weight'; known: price"),
        ({"max_per": {"maker": 1}}, "max_per: no item has the attribute 'maker'"),
        ({"availability": "no.yaml"}, "no.yaml: no such file"),
        ({"rules": "no.yaml"}, "no.yaml: no such file"),
        ({"not_repeated_from": ["nowhere"]}, "not_repeated_from: nowhere is no artifact of longtail"),
    ],
)
def test_what_cannot_be_asked_is_refused_before_any_work(
    tmp_path: Path, hand: Path, given: dict[str, Any], message: str
):
    with pytest.raises(UserError, match=message):
        recommend(hand, everybody({"ann": []}), tmp_path / "lists", RecommendSettings(**{"k": 1} | given))
    assert not list(tmp_path.iterdir())


def test_users_bundle_and_output_are_looked_at_first(tmp_path: Path, hand: Path):
    with pytest.raises(UserError, match="the test: holds no users, so there is nobody to recommend to"):
        recommend(hand, everybody({}), tmp_path / "lists", RecommendSettings())
    (tmp_path / "mine").mkdir()
    (tmp_path / "mine" / "notes.txt").write_text("mine")
    with pytest.raises(UserError, match="holds files that no stage of longtail wrote"):
        recommend(hand, everybody({"ann": []}), tmp_path / "mine", RecommendSettings())
    bundle = Path(write_hand_bundle(tmp_path / "bundle"))
    with pytest.raises(UserError, match=r"is a longtail/bundle artifact, which a longtail/lists would replace"):
        recommend(hand, everybody({"ann": []}), bundle, RecommendSettings())
    (bundle / "tensors.safetensors").write_bytes(b"short")
    with pytest.raises(UserError, match=r"tensors.safetensors: differs from its checksum"):
        recommend(bundle, everybody({"ann": []}), tmp_path / "lists", RecommendSettings())
    with pytest.raises(UserError, match="no such folder; a longtail/bundle artifact was expected here"):
        recommend(tmp_path / "none", everybody({"ann": []}), tmp_path / "lists", RecommendSettings())
