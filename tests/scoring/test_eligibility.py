"""Only what may be given is given, in the order of the full ranking."""

import numpy as np
import pytest
from helpers_hand_bundle import write_hand_bundle
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from longtail.contracts.errors import UserError
from longtail.scoring.asked import Asked, Filters
from longtail.scoring.bundle import load_bundle
from longtail.scoring.recommender import Recommender
from longtail.scoring.scores import Scores

ATTRIBUTES = (("lamp", "brand=Lux"), ("lamp", "brand=Sol"), ("chair",), ("chair", "brand=Lux", "oak"))
PRICES = {"price": [19.99, 5, None, 40], "stock": [0, 2, 2, 2]}


@pytest.fixture(scope="module")
def recommender(tmp_path_factory):
    path = tmp_path_factory.mktemp("bundle") / "bundle"
    return Recommender(load_bundle(write_hand_bundle(path, attributes=ATTRIBUTES, numbers=PRICES)), threads=1)


def ids(answer):
    return [item.item_id for item in answer.items]


@pytest.mark.parametrize(
    ("asked", "given_"),
    [
        (Asked(filters=Filters(all=["lamp"])), ["a", "b"]),
        (Asked(filters=Filters(all=["lamp", "brand=Lux"])), ["a"]),
        (Asked(filters=Filters(any=["oak", "brand=Sol"])), ["b", "d"]),
        (Asked(filters=Filters(none=["lamp"])), ["c", "d"]),
        (Asked(filters=Filters(all=["brand=Lux"], none=["oak"])), ["a"]),
        (Asked(filters=Filters(ranges={"price": (19.99, None)})), ["a", "d"]),  # the bounds are allowed; c has no price
        (Asked(filters=Filters(ranges={"price": (None, 19.99)})), ["a", "b"]),
        (Asked(filters=Filters(ranges={"price": (5, 20), "stock": (1, None)})), ["b"]),
        (Asked(candidates=["d", "z", "b"]), ["b", "d"]),
        (Asked(candidates=["d", "b"], exclude=["b", "y"]), ["d"]),
        (Asked(exclude=["a", "d"]), ["b", "c"]),
        (Asked(["a"], filters=Filters(all=["lamp"])), ["b"]),
        (Asked(candidates=[]), []),
        (Asked(filters=Filters(all=["lamp"], none=["lamp"])), []),
    ],
)
def test_what_may_be_given_by_hand(recommender, asked, given_):
    (answer,) = recommender.answers([asked])
    assert ids(answer) == given_
    assert (answer.fewer_than_k is None) == (len(given_) == 4)


def test_it_is_said_what_left_too_few(recommender):
    asked = Asked(["a"], candidates=["a", "b", "d", "z"], exclude=["c"], filters=Filters(none=["oak"]), k=4)
    (answer,) = recommender.answers([asked])
    assert answer.fewer_than_k == "of 4 items, 3 are candidates, 2 pass the filters, 1 are not in the history"
    assert answer.unknown_items == ["z"]
    (answer,) = recommender.answers([Asked(max_per={"brand": 1}, filters=Filters(any=["brand=Lux"]), k=4)])
    assert (ids(answer), answer.fewer_than_k) == (["a"], "of 4 items, 2 pass the filters, 1 keep within limits")


def test_limits_by_attribute_and_by_name(recommender, tmp_path):
    """Of equals (a, d: Lux), the better one; a closer limit goes before that of the name."""
    assert ids(recommender.recommend(k=4, max_per={"brand": 1})) == ["a", "b", "c"]
    assert ids(recommender.recommend(k=4, max_per={"brand": 1, "brand=Lux": 2})) == ["a", "b", "c", "d"]
    assert ids(recommender.recommend(k=4, max_per={"lamp": 1, "chair": 1})) == ["a", "c"]
    attributes = (("brand: Lux",), ("brand : Lux",), ("brand: Sol", "for: desks"), ("x",))
    written = Recommender(load_bundle(write_hand_bundle(tmp_path / "b", attributes=attributes)), threads=1)
    assert ids(written.recommend(k=4, max_per={"brand": 1})) == ["a", "b", "c", "d"]  # two writings are two brands
    assert ids(written.recommend(k=4, max_per={"for": 1})) == ["a", "b", "c", "d"]


def test_limits_use_up_more_than_the_first_pool(tmp_path, monkeypatch):
    monkeypatch.setattr("longtail.scoring.choosing.POOL", 1)
    attributes = (("lamp",), ("lamp",), ("lamp",), ("chair",))
    recommender = Recommender(load_bundle(write_hand_bundle(tmp_path / "b", attributes=attributes)), threads=1)
    answer = recommender.recommend(k=2, max_per={"lamp": 1})
    assert (ids(answer), answer.fewer_than_k) == (["a", "d"], None)
    monkeypatch.setattr("longtail.scoring.choosing.POOL", 2)
    assert ids(recommender.recommend(k=2, max_per={"lamp": 1})) == ["a", "d"]


@pytest.mark.parametrize(
    ("asked", "message"),
    [
        (Asked(filters=Filters(all=["lamps"])), "filters.all: no item has the attribute 'lamps'; near it are 'lamp'"),
        (Asked(filters=Filters(none=["Oak"])), "filters.none: no item has the attribute 'Oak'"),
        (Asked(filters=Filters(ranges={"weight": (1, 2)})), "items have no number 'weight'; known: price, stock"),
        (
            Asked(max_per={"colour": 1}),
            "max_per: no item has the attribute 'colour', or one that begins with 'colour:' or",
        ),
        (Asked(diversity=1.1), "diversity is 1.1; give 0 to 1"),
    ],
)
def test_what_no_item_has_is_refused(recommender, asked, message):
    with pytest.raises(UserError, match=message):
        recommender.answers([asked])


def test_a_bundle_without_numbers_says_so(tmp_path):
    recommender = Recommender(load_bundle(write_hand_bundle(tmp_path / "bundle")), threads=1)
    with pytest.raises(UserError, match="no number 'price'; this model's items have none"):
        recommender.recommend(filters=Filters(ranges={"price": (1, None)}))


subsets = st.lists(st.sampled_from("abcdz"), max_size=5)
attributes = st.lists(st.sampled_from(["lamp", "chair", "oak", "brand=Lux", "brand=Sol"]), max_size=2)


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    st.lists(st.sampled_from("abcd"), max_size=3),
    st.sampled_from([None, "red lamp", "chair"]),
    st.one_of(st.none(), subsets),
    subsets,
    attributes,
    attributes,
    attributes,
    st.integers(1, 4),
)
def test_the_order_is_that_of_the_full_ranking_restricted(recommender, history, words, among, exclude, al, an, no, k):
    """Against a plain restriction of the whole ranking."""
    plain = [item for item in recommender.recommend(history, interests=words or "", k=4).items]
    of = dict(zip("abcd", map(set, ATTRIBUTES)))
    expected = [
        item.item_id
        for item in plain
        if (among is None or item.item_id in among)
        and item.item_id not in exclude
        and of[item.item_id].issuperset(al)
        and (not an or of[item.item_id] & set(an))
        and not of[item.item_id] & set(no)
    ][:k]
    asked = Asked(history, (), words, k, candidates=among, exclude=exclude, filters=Filters(al, an, no))
    (answer,) = recommender.answers([asked])
    assert ids(answer) == expected
    assert (answer.fewer_than_k is not None) == (len(expected) < k)


def test_masks_give_what_sorting_all_gives():
    """300 of 30,000, as scores fall."""
    rng = np.random.default_rng(0)
    scores = np.round(rng.standard_normal(30_000), 2).astype(np.float32)  # with ties
    allowed = np.zeros(30_000, dtype=bool)
    allowed[rng.choice(30_000, 300, replace=False)] = True
    expected = [code for code in np.argsort(-scores, kind="stable") if allowed[code]]
    assert Scores(scores).best(10, np.zeros(0, np.int32), allowed).tolist() == expected[:10]
    assert Scores(scores).best(400, np.zeros(0, np.int32), allowed).tolist() == expected
