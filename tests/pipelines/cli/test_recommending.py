"""`longtail recommend`: for users known and new, and with what may be given."""

import json

import pytest
from helpers_command import command
from helpers_hand_bundle import write_hand_bundle
from helpers_prepared import write_tiny_prepared

from longtail.contracts.prepared import PreparedDataset


def test_recommend_for_a_history(tmp_path, capfd):
    bundle = write_hand_bundle(tmp_path / "bundle")
    shown = command(capfd, "recommend", "--bundle", bundle, "--history", "a", "-k", "2")
    assert shown.splitlines()[0] == "History: Red lamp"
    assert "1. Blue lamp" in shown
    assert "because of Red lamp in your history" in shown


def test_recommend_json_is_what_the_scorer_says(tmp_path, capfd):
    from longtail.scoring.recommender import Recommender

    bundle = write_hand_bundle(tmp_path / "bundle")
    answers = json.loads(
        command(capfd, "recommend", "--bundle", bundle, "--attribute", "gender=F", "-k", "3", "--json")
    )
    expected = Recommender.load(bundle).recommend(attributes=["gender=F"], k=3).items
    assert [answer["item_id"] for answer in answers] == [each.item_id for each in expected]
    assert [answer["score"] for answer in answers] == pytest.approx([each.score for each in expected])


def test_recommend_says_why_unless_told_not_to(tmp_path, capfd):
    bundle = write_hand_bundle(tmp_path / "bundle")
    asked = ("recommend", "--bundle", bundle, "--history", "a", "-k", 1)
    assert "because of" in command(capfd, *asked, "--explain")
    assert command(capfd, *asked, "--no-explain").splitlines()[-1] == "   1. Blue lamp  b"
    (item,) = json.loads(command(capfd, *asked, "--no-explain", "--json"))
    assert (item["item_id"], item["reason"], item["source"], item["about"]) == ("b", None, None, None)


def test_recommend_folds_near_duplicates(tmp_path, capfd):
    bundle = write_hand_bundle(tmp_path / "bundle", titles=("Red lamp", "Lamp, red", None, "Chair"))
    shown = command(capfd, "recommend", "--bundle", bundle, "--fold", "-k", 4)
    assert "1. Red lamp  a  popular with newcomers (also b)" in shown
    assert "Fewer than 4: of 4 items, 3 are left within limits, near-duplicates folded." in shown


def test_recommend_takes_interests_and_nothing_at_all(tmp_path, capfd):
    bundle = write_hand_bundle(tmp_path / "bundle")
    asked = ("recommend", "--bundle", bundle, "-k", 1, "--interests")
    assert "near your interest in red" in command(capfd, *asked, "red")
    assert "Nothing in this catalogue quite fits 'a table'; these come nearest." in command(capfd, *asked, "a table")
    assert "popular with newcomers" in command(capfd, "recommend", "--bundle", bundle, "-k", 1)


def test_recommend_knows_the_whole_history_of_a_user(tmp_path, capfd):
    from helpers_bundle import write_tiny_bundle

    prepared = PreparedDataset(write_tiny_prepared(tmp_path / "run/prepared"))
    write_tiny_bundle(tmp_path / "run/bundle", item_ids=prepared.item_ids)
    user = 3
    history = [prepared.item_ids[item] for item in prepared.item_codes[prepared.user_codes == user]]
    by_user = command(
        capfd, "recommend", "--run", tmp_path / "run", "--user", prepared.user_ids[user], "-k", "5", "--json"
    )
    attributes = [part for name in prepared.user_attributes[user] for part in ("--attribute", name)]
    by_history = command(
        capfd, "recommend", "--bundle", tmp_path / "run/bundle", "--history", ",".join(history), *attributes, "-k", "5",
        "--json",
    )  # fmt: skip
    assert json.loads(by_user) == json.loads(by_history)
    assert len(json.loads(by_user)) == 5


ATTRIBUTES = (("lamp", "brand: Lux"), ("lamp", "brand: Sol"), ("chair",), ("chair", "brand: Lux"))


def test_recommend_gives_what_may_be_given(tmp_path, capfd):
    bundle = write_hand_bundle(tmp_path / "bundle", attributes=ATTRIBUTES, numbers={"price": [5, 9, 20, 7]})

    def ids(*options):
        return [
            row["item_id"] for row in json.loads(command(capfd, "recommend", "--bundle", bundle, *options, "--json"))
        ]

    assert ids("-k", 4) == ["a", "b", "c", "d"]
    assert ids("--only", "lamp", "--only", "brand: Sol", "-k", 4) == ["b"]
    assert ids("--without", "lamp", "--exclude", "c", "-k", 4) == ["d"]
    assert ids("--between", "price=..7", "-k", 4) == ["a", "d"]
    assert ids("--between", "price=7..9", "-k", 4) == ["b", "d"]
    assert ids("--max-per", "brand=1", "-k", 4) == ["a", "b", "c"]
    assert ids("--similar-to", "a", "-k", 4)[0] in "bcd"
    assert sorted(ids("--diversity", "0.9", "-k", 4)) == ["a", "b", "c", "d"]
    # behind a (1), c has .1 * .31 with nothing shared, b .1 * .79 - .9 / 3, d .1 * 0 - .9 / 3
    assert ids("--diversity", "0.9", "--diversity-on", "attributes", "-k", 4) == ["a", "c", "b", "d"]
    assert sorted(ids("--diversity", "0.9", "--diversity-by", "dpp", "-k", 4)) == ["a", "b", "c", "d"]
    shown = command(capfd, "recommend", "--bundle", bundle, "--only", "chair", "-k", 3)
    assert "Fewer than 3: of 4 items, 2 pass the filters." in shown
