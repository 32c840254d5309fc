"""Lists turned round, compared with whole lists of every user."""

from pathlib import Path

import numpy as np
import pytest
from helpers_bundle import write_tiny_bundle
from helpers_hand_bundle import write_hand_bundle
from helpers_lists import everybody, rows
from helpers_prepared import write_tiny_prepared

from longtail.components.recommend.reach import reach
from longtail.components.recommend.recommend import recommend
from longtail.components.recommend.settings import RecommendSettings
from longtail.contracts.errors import UserError
from longtail.contracts.histories import Histories
from longtail.contracts.prepared import PreparedDataset

ONE = RecommendSettings(processes=1)


def test_the_users_whom_an_item_reaches_are_those_in_whose_whole_lists_it_stands_best(tmp_path: Path):
    prepared = PreparedDataset(write_tiny_prepared(tmp_path / "prepared"))
    bundle = write_tiny_bundle(tmp_path / "bundle", item_ids=prepared.item_ids)
    users = Histories.of(prepared)
    settings = RecommendSettings(exclude=("i001",), processes=1, users_per_part=50)
    recommend(bundle, users, tmp_path / "lists", settings.model_copy(update={"k": 30}))
    facts = reach(bundle, users, ["i003", "i007"], tmp_path / "reach", settings, limit=25)
    found = rows(tmp_path / "reach", "reach")
    whole = rows(tmp_path / "lists", "recommendations")
    people = {row["user_id"]: row for row in rows(tmp_path / "lists", "users")}
    for item in ("i003", "i007"):
        standing = sorted(
            (row for row in whole if row["item_id"] == item),
            key=lambda row: (row["rank"], -row["score"], row["user_id"]),
        )
        assert facts["counts"][f"users who may be given {item}"] == len(standing) > 25
        mine = [row for row in found if row["item_id"] == item]
        assert [row["rank"] for row in mine] == list(range(1, 26))
        for row, best in zip(mine, standing):
            assert (row["user_id"], row["place"]) == (best["user_id"], best["rank"])
            assert row["score"] == pytest.approx(best["score"], abs=1e-5)
            assert [row[name] for name in ("reason", "source", "about")] == [
                best[name] for name in ("reason", "source", "about")
            ]
            person = people[row["user_id"]]
            assert (row["segment"], row["events"]) == (person["segment"], person["events"])
    assert facts["counts"]["rows"] == len(found) == 50


def test_a_new_product_described_by_text_reaches_those_who_like_what_reads_alike(tmp_path: Path):
    bundle = Path(write_hand_bundle(tmp_path / "bundle"))
    (tmp_path / "shop.yaml").write_text("added: {e: {title: Lamp, text: lamp lamp}}\nhidden: [d]")
    users = everybody({"ann": ["a"], "bob": ["b"], "cy": [], "dora": ["c"]})
    settings = ONE.model_copy(update={"availability": str(tmp_path / "shop.yaml")})
    reach(bundle, users, ["e"], tmp_path / "reach", settings, limit=3)
    recommend(bundle, users, tmp_path / "lists", settings.model_copy(update={"k": 5}))
    standing = [row for row in rows(tmp_path / "lists", "recommendations") if row["item_id"] == "e"]
    best = sorted(standing, key=lambda row: (row["rank"], -row["score"]))[:3]
    found = rows(tmp_path / "reach", "reach")
    assert [(row["user_id"], row["place"]) for row in found] == [(row["user_id"], row["rank"]) for row in best]


def test_who_has_the_item_or_was_given_it_is_not_reached(tmp_path: Path):
    bundle = Path(write_hand_bundle(tmp_path / "bundle"))
    users = everybody({"ann": ["a"], "bob": [], "cy": ["b"]})
    recommend(bundle, everybody({"bob": []}), tmp_path / "lists", RecommendSettings(k=1, processes=1))  # a to bob
    settings = ONE.model_copy(update={"not_repeated_from": (str(tmp_path / "lists"),)})
    facts = reach(bundle, users, ["a"], tmp_path / "reach", settings)
    assert [row["user_id"] for row in rows(tmp_path / "reach", "reach")] == ["cy"]
    assert facts["counts"] == {"asked": 3, "rows": 1, "users who may be given a": 1}
    reach(bundle, everybody({"ann": ["a"]}), ["a"], tmp_path / "nobody", ONE)
    assert rows(tmp_path / "nobody", "reach") == []


def test_reasons_are_left_out_where_nobody_asks(tmp_path: Path):
    bundle = Path(write_hand_bundle(tmp_path / "bundle"))
    reach(bundle, everybody({"ann": []}), ["a"], tmp_path / "r", ONE.model_copy(update={"explain": False}))
    (row,) = rows(tmp_path / "r", "reach")
    assert (row["reason"], row["source"], row["about"]) == (None, None, None)


@pytest.mark.parametrize(
    ("items", "settings", "limit", "message"),
    [
        (["a", "z"], {}, 5, "items: 'z' is not in the catalogue of .*, which holds a, b, c, d, …; describe a new item"),
        ([], {}, 5, "items: names none"),
        (["a"], {"diversity": 0.5}, 5, "diversity: shapes lists, and the place of an item is that of its score"),
        (["a"], {"k": 3}, 5, "k: shapes lists"),
        (["a"], {}, 0, "limit is 0; ask for at least 1 user"),
    ],
)
def test_what_cannot_be_asked_is_refused(tmp_path: Path, items, settings, limit: int, message: str):
    bundle = write_hand_bundle(tmp_path / "bundle")
    with pytest.raises(UserError, match=message):
        reach(bundle, everybody({"ann": []}), items, tmp_path / "r", RecommendSettings(**settings), limit)
    assert [path.name for path in tmp_path.iterdir()] == ["bundle"]


def test_places_of_ties_are_those_of_lists(tmp_path: Path):
    vectors = np.ones((6, 2), np.float32)
    bundle = write_tiny_bundle(tmp_path / "bundle", item_matrix=vectors, item_ids=list("abcdef"), n_items=6)
    users = everybody({"new": []})
    recommend(bundle, users, tmp_path / "lists", RecommendSettings(k=6, processes=1))
    reach(bundle, users, list("fca"), tmp_path / "reach", ONE)
    ranks = {row["item_id"]: row["rank"] for row in rows(tmp_path / "lists", "recommendations")}
    assert [(row["item_id"], row["place"]) for row in rows(tmp_path / "reach", "reach")] == [
        (item, ranks[item]) for item in "fca"
    ]
