"""`longtail recommend-all`, `similar-items` and `reach`."""

import json

import pytest
from helpers_bundle import write_tiny_bundle
from helpers_command import command, is_one_message, refused
from helpers_hand_bundle import write_hand_bundle
from helpers_lists import given, rows
from helpers_prepared import write_tiny_prepared

from longtail.contracts.prepared import PreparedDataset

ATTRIBUTES = (("lamp", "brand: Lux"), ("lamp", "brand: Sol"), ("chair",), ("chair", "brand: Lux"))


@pytest.fixture
def bundle(tmp_path):
    return write_hand_bundle(tmp_path / "bundle", attributes=ATTRIBUTES, numbers={"price": [5, 9, 20, 7]})


@pytest.fixture
def log(tmp_path):
    path = tmp_path / "log.csv"
    path.write_text("user_id,item_id,timestamp\nann,a,2\nann,b,1\nbob ,a,5\nbob,gone,6\n")
    return path


def test_each_user_gets_what_recommend_gives_that_user(tmp_path, capfd):
    run = tmp_path / "run"
    prepared = PreparedDataset(write_tiny_prepared(run / "prepared", n_users=12))
    write_tiny_bundle(run / "bundle", item_ids=prepared.item_ids)
    options = ("-k", 3, "--exclude", "i001", "--diversity", 0.5)
    shown = command(
        capfd, "recommend-all", "--run", run, "--output", tmp_path / "lists", *options, "--users-per-part", 5,
        "--processes", 1,
    )  # fmt: skip
    assert shown.splitlines()[0] == f"Wrote 36 rows to {tmp_path / 'lists'}, of 12 asked"
    lists = given(tmp_path / "lists")
    for user in prepared.user_ids:
        one = json.loads(command(capfd, "recommend", "--run", run, "--user", user, *options, "--json"))
        assert lists[user] == [item["item_id"] for item in one]
    assert sorted(path.name for path in (tmp_path / "lists" / "users").iterdir()) == [
        f"part-{number:05d}.parquet" for number in range(3)
    ]


def test_tables_give_users_and_histories(tmp_path, capfd, bundle, log):
    (tmp_path / "users.csv").write_text("user_id,gender\ncy,F\n")
    shown = command(
        capfd, "recommend-all", "--bundle", bundle, "--interactions", log, "--users", tmp_path / "users.csv",
        "--output", tmp_path / "lists", "-k", 2, "--set", "preprocess.max_rejected_share=0.5", "--processes", 1,
    )  # fmt: skip
    for line in ("segment cold: 1", "segment tail: 2", "rows left out: unknown item: 1"):
        assert f"  {line}\n" in shown
    lists = given(tmp_path / "lists")
    assert sorted(lists) == ["ann", "bob", "cy"]
    for user, known in (("ann", "b,a"), ("bob", "a")):
        one = json.loads(command(capfd, "recommend", "--bundle", bundle, "--history", known, "-k", 2, "--json"))
        assert lists[user] == [item["item_id"] for item in one]
    one = json.loads(command(capfd, "recommend", "--bundle", bundle, "--attribute", "gender=F", "-k", 2, "--json"))
    assert lists["cy"] == [item["item_id"] for item in one]


@pytest.mark.slow
def test_every_way_to_say_which_items_acts(tmp_path, capfd, bundle, log):
    (tmp_path / "users.csv").write_text("user_id\ncy\n")
    (tmp_path / "shop.yaml").write_text("hidden: [a]")
    (tmp_path / "rules.yaml").write_text("rules: [{name: first, pin: {1: d}}]")

    def items(*options):
        command(
            capfd, "recommend-all", "--bundle", bundle, "--users", tmp_path / "users.csv", "--output",
            tmp_path / "lists", "-k", 4, "--processes", 1, *options,
        )  # fmt: skip
        return given(tmp_path / "lists")["cy"]

    assert items() == ["a", "b", "c", "d"]
    assert items("--only", "lamp", "--only", "brand: Sol") == ["b"]
    assert items("--any", "brand: Sol", "--any", "chair") == ["b", "c", "d"]
    assert items("--without", "lamp", "--exclude", "c") == ["d"]
    assert items("--between", "price=..7") == ["a", "d"]
    assert items("--max-per", "brand=1") == ["a", "b", "c"]
    assert items("--diversity", 0.9, "--diversity-on", "attributes") == ["a", "c", "b", "d"]
    assert sorted(items("--diversity", 0.9, "--diversity-by", "dpp")) == ["a", "b", "c", "d"]
    assert items("--context", "occasion=party")[0] != "c"
    assert items("--availability", tmp_path / "shop.yaml") == ["b", "c", "d"]
    assert items("--rules", tmp_path / "rules.yaml") == ["d", "a", "b", "c"]
    items("--no-explain")
    assert {row["reason"] for row in rows(tmp_path / "lists", "recommendations")} == {None}
    (tmp_path / "lists").rename(tmp_path / "earlier")
    assert given(tmp_path / "earlier")["cy"] == ["a", "b", "c", "d"]
    shown = command(
        capfd, "recommend-all", "--bundle", bundle, "--users", tmp_path / "users.csv", "--output", tmp_path / "lists",
        "--not-repeated-from", tmp_path / "earlier", "-k", 1, "--processes", 1,
    )  # fmt: skip
    assert "users not given again what they had: 1" in shown
    assert "Wrote 0 rows" in shown


def test_folded_items_are_not_given(tmp_path, capfd):
    bundle = write_hand_bundle(tmp_path / "bundle", titles=("Red lamp", "Lamp, red", None, "Chair"))
    (tmp_path / "users.csv").write_text("user_id\ncy\n")
    asked = (
        "--bundle",
        bundle,
        "--users",
        tmp_path / "users.csv",
        "--output",
        tmp_path / "l",
        "-k",
        2,
        "--processes",
        1,
    )
    command(capfd, "recommend-all", *asked, "--fold")
    assert given(tmp_path / "l")["cy"] == ["a", "c"]


def test_similar_items_and_reach(tmp_path, capfd, bundle, log):
    shown = command(capfd, "similar-items", "--bundle", bundle, "--output", tmp_path / "s", "-k", 2, "--processes", 1)
    assert shown == f"Wrote 8 rows to {tmp_path / 's'}, of 4 asked\n"
    one = json.loads(command(capfd, "recommend", "--bundle", bundle, "--similar-to", "c", "-k", 2, "--json"))
    found = [row["item_id"] for row in rows(tmp_path / "s", "similar_items") if row["similar_to"] == "c"]
    assert found == [item["item_id"] for item in one]
    written = rows(tmp_path / "s", "similar_items")
    command(capfd, "similar-items", "--run", bundle.parent, "--output", tmp_path / "s", "-k", 2, "--processes", 1)
    assert rows(tmp_path / "s", "similar_items") == written
    asked = ("--bundle", bundle, "--interactions", log, "--set", "preprocess.max_rejected_share=0.5")
    shown = command(
        capfd, "reach", *asked, "--items", "b, c", "--limit", 1, "--output", tmp_path / "r", "--processes", 1
    )
    assert shown.splitlines() == [
        f"Wrote 2 rows to {tmp_path / 'r'}, of 2 asked",
        "  users who may be given b: 1",
        "  users who may be given c: 2",
        "  rows left out: unknown item: 1",
    ]
    assert [(row["item_id"], row["rank"], row["place"]) for row in rows(tmp_path / "r", "reach")] == [
        ("b", 1, 1),
        ("c", 1, 1),
    ]


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ((), "give --run, or --bundle with --prepared, --interactions or --users"),
        (("--bundle", "bundle"), "nobody to recommend to: give --run, --prepared, --interactions or --users"),
        (("--bundle", "bundle", "--run", "x"), "give --run, or --bundle"),
        (("--bundle", "bundle", "--prepared", "p", "--users", "u.csv"), "--prepared (or --run) holds users"),
        (("--bundle", "bundle", "--users", "log.csv", "-k", "0"), "k: Input should be greater than or equal to 1"),
        (("--bundle", "bundle", "--users", "log.csv", "--between", "price"), "--between price: give a number's name"),
        (("--bundle", "bundle", "--users", "no.csv"), "no.csv: no such file"),
        (("--bundle", "bundle", "--interactions", "log.csv"), "1 of 4 rows cannot be used (unknown item: 1)"),
        (("--bundle", "log.csv", "--users", "log.csv"), "log.csv: no such folder"),
    ],
)
def test_what_is_wrong_is_said_in_one_message(tmp_path, capfd, monkeypatch, bundle, log, options, message):
    monkeypatch.chdir(tmp_path)
    code, error = refused(capfd, "recommend-all", "--output", "lists", *options)
    assert code == 2
    assert is_one_message(error, message)
    assert sorted(path.name for path in tmp_path.iterdir()) == ["bundle", "log.csv"]


@pytest.mark.parametrize("options", [(), ("--run", ".", "--bundle", "bundle")])
@pytest.mark.parametrize("words", [("similar-items", "--output", "lists"), ("recommend",)])
def test_one_bundle_is_asked(tmp_path, capfd, monkeypatch, bundle, words, options):
    monkeypatch.chdir(tmp_path)
    code, error = refused(capfd, *words, *options)
    assert code == 2
    assert is_one_message(error, "give --run or --bundle, one of the two")
    assert not (tmp_path / "lists").exists()
