"""Context of the interactions by hand, on both engines: what is kept of a merged repeat, what is refused."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq
import pytest

from longtail.components.preprocess.later_events import read_events
from longtail.components.preprocess.settings import PreprocessSettings
from longtail.contracts.errors import UserError
from longtail.contracts.prepared import Split

ITEMS = [{"item_id": name, "title": name.upper()} for name in "abcd"]
NAMES = ("user_id", "item_id", "timestamp", "device", "hour")
EVENTS = [
    ("u", "a", 9, "tablet", 3.0), ("u", "a", 1, "phone", 2.0),  # a was chosen first at 1, on the phone
    ("u", "b", 2, None, 2.5), ("u", "c", 3, " desk ", None), ("u", "d", 4, None, None),
    ("v", "b", 5, "phone", 2.0), ("v", "c", 5, "phone", 2.0), ("v", "d", 6, "it's", 20.0),
]  # fmt: skip


def rows(*events: tuple[Any, ...], names: tuple[str, ...] = NAMES) -> list[dict[str, Any]]:
    return [dict(zip(names, event)) for event in events]


def of_items(data) -> list[list[Any]]:
    """Item and context of each event, in order."""
    contexts = data.contexts_of(range(len(data.item_codes)))
    return [[data.item_ids[code], *context] for code, context in zip(data.item_codes, contexts)]


def test_context_of_every_event(run, engine: str):
    """2.0 is 2, a blank around a text goes, what is missing is no context, a merged repeat has that of its first time."""
    data = run(rows(*EVENTS), ITEMS, engine=engine, context=("hour", "device"))
    by_item = {item: context for item, *context in of_items(data)[:4]}
    assert by_item == {"a": ["device=phone", "hour=2"], "b": ["hour=2.5"], "c": ["device=desk"], "d": []}
    assert of_items(data)[6] == ["d", "device=it's", "hour=20"]
    assert data.facts["context"] == ["device=desk", "device=it's", "device=phone", "hour=2", "hour=2.5", "hour=20"]
    stored = pq.read_table(data.artifact.file("events.parquet"))["context"].to_pylist()
    assert stored[0] == ["device=phone", "hour=2"] and stored[3] is None
    test = data.targets(Split.TEST)
    assert test.contexts == [[], ["device=it's", "hour=20"]]  # of u's d and v's d
    assert test.of([1]).contexts == [["device=it's", "hour=20"]]


def test_kept_repeats_have_contexts_of_their_own(run):
    data = run(rows(*EVENTS), ITEMS, context=("device",), repeats="keep")
    assert [event[1:] for event in of_items(data)[:5]] == [
        ["device=phone"],
        [],
        ["device=desk"],
        [],
        ["device=tablet"],
    ]


def test_of_the_same_time_twice_the_first_text_is_taken(run):
    """What was known at one moment is told twice: the draw must not hang on the order of rows."""
    twice = [("w", "a", 1, "tv", None), ("w", "a", 1, "phone", None), ("w", "a", 1, None, None)]
    for number, repeats in enumerate(("merge", "keep")):
        data = run(rows(*EVENTS, *twice[::-1]), ITEMS, context=("device",), repeats=repeats)
        assert of_items(data)[-1] == ["a", "device=phone"], number


def test_without_the_setting_there_is_no_context(run):
    data = run(rows(*EVENTS), ITEMS)
    assert data.facts["context"] == [] and not any(data.contexts_of(range(len(data.item_codes))))


def test_the_order_of_a_log_and_its_context(run):
    """With ties: file, rows decide; a's first time is 5, where it comes after b."""
    events = rows(("u", "a", 9, "late", 1), ("u", "b", 5, "one", 1), ("u", "a", 5, "two", 1), ("u", "c", 6, "three", 1))
    data = run(events, ITEMS, ties="file", context=("device",))
    assert of_items(data) == [["b", "device=one"], ["a", "device=two"], ["c", "device=three"]]


@pytest.mark.parametrize(
    ("context", "message"),
    [
        (
            ["devise"],
            r"interactions\.parquet: has no column 'devise' of context \(found: .*device.*\); name one of these",
        ),
        (["timestamp"], r"context: 'timestamp' is the timestamp of .*interactions\.parquet; take it out"),
        (["user_id"], "context: 'user_id' is the user_id of"),
    ],
)
def test_a_column_that_is_missing_or_ours_is_refused(run, context: list[str], message: str):
    with pytest.raises(UserError, match=message):
        run(rows(*EVENTS), ITEMS, context=context)


def test_a_column_that_is_mapped_is_ours(run):
    with pytest.raises(UserError, match="context: 'device' is the event of"):
        run(rows(*EVENTS), ITEMS, context=["device"], columns={"event": "device"})


def test_an_empty_column_is_refused(run):
    events = [event | {"where": None} for event in rows(*EVENTS)] + [rows(("w", "zzz", 1, "x", 1))[0] | {"where": "x"}]
    with pytest.raises(UserError, match="column 'where' of context is empty; take it out"):
        run(events, ITEMS, context=["where"], max_rejected_share=0.5)


def test_settings_that_name_a_column_twice_or_trust_none_are_refused():
    with pytest.raises(ValueError, match="context: names 'device' more than once"):
        PreprocessSettings(context=("device", "device"))
    with pytest.raises(ValueError, match="trusted_context: 'size' is not in context; take it out, or name it in both"):
        PreprocessSettings(context=("device",), trusted_context=("size",))


@pytest.mark.parametrize(
    ("column", "word"),
    [
        ("fit", "fit"), ("star_rating", "star"), ("reviewText", "review"), ("Order Quantity", "quantity"),
        ("is-returned", "returned"), ("shirtSize2", "size"), ("price (EUR)", "price"), ("STARS", "stars"),
    ],
)  # fmt: skip
def test_names_of_what_is_known_later_are_refused_unless_trusted(run, column: str, word: str):
    events = [event | {column: event["device"]} for event in rows(*EVENTS)]
    with pytest.raises(UserError, match=rf"context: .* known only after the choice \('{word}'\).*trusted_context"):
        run(events, ITEMS, context=[column])
    assert len(run(events, ITEMS, context=[column], trusted_context=[column]).facts["context"]) == 3


@pytest.mark.parametrize("column", ["outfit", "sizeable", "valued_customer", "preview", "fitness"])
def test_names_that_only_hold_such_a_word_are_taken(run, column: str):
    events = [event | {column: event["device"]} for event in rows(*EVENTS)]
    assert run(events, ITEMS, context=[column]).facts["context"]


def bought(colour: Callable[[int, str], str | None]) -> list[dict[str, Any]]:
    """12 users choose a and b (24 training events), then c, then d; colour: of user and item."""
    return [
        {"user_id": f"u{user:02d}", "item_id": item, "timestamp": n, "colour": colour(user, item)}
        for user in range(12)
        for n, item in enumerate("abcd" if user % 2 else "bacd")
    ]


OF_THE_ITEM = {"a": "red", "b": "blue", "c": "red", "d": "blue"}


def nearly_of_the_item(user: int, item: str) -> str:
    """But for one of 24 training events."""
    return "green" if (user, item) == (3, "a") else OF_THE_ITEM[item]


@pytest.mark.parametrize(
    ("colour", "share"),
    [
        (lambda user, item: OF_THE_ITEM[item], "100% of 24"),
        (nearly_of_the_item, "96% of 24"),
        (lambda user, item: OF_THE_ITEM[item] if user < 10 else None, "100% of 20"),
    ],
)
def test_a_property_of_the_item_is_refused_unless_trusted(run, colour: Any, share: str):
    message = (
        rf"interactions\.parquet: column 'colour' of context is a property of the item: {share} training events .*; put it "
        "into the items table, or add it to trusted_context"
    )
    with pytest.raises(UserError, match=message):
        run(bought(colour), ITEMS, context=["colour"])
    taken = run(bought(colour), ITEMS, context=["colour"], trusted_context=["colour"])
    assert taken.facts["context"][0] == "colour=blue"


@pytest.mark.parametrize(
    "colour",
    [
        lambda user, item: "green" if user == 3 else OF_THE_ITEM[item],  # 22 of 24 are 92 %
        lambda user, item: "red" if user < 10 else "blue",  # nothing to do with the item
        lambda user, item: "red" if item == "a" or user < 10 else "blue",  # 22 of 24 are red
        lambda user, item: (
            OF_THE_ITEM[item] if item in "cd" or user < 6 else "green"
        ),  # known of events held back alone
        lambda user, item: OF_THE_ITEM[item] if user < 9 else None,  # 18 events
    ],
)
def test_what_users_decide_is_taken(run, colour: Any):
    assert run(bought(colour), ITEMS, context=["colour"]).facts["context"]


def test_items_chosen_once_do_not_decide(run):
    """Each of 30 items trains once, so each agrees with itself."""
    items = [{"item_id": f"i{n}", "title": "x"} for n in range(30)] + ITEMS
    events = [
        {"user_id": f"u{user}", "item_id": item, "timestamp": n, "colour": f"c{user % 5}"}
        for user in range(30)
        for n, item in enumerate((f"i{user}", "a", "b"))
    ]
    assert run(events, items, context=["colour"]).facts["context"] == [f"colour=c{n}" for n in range(5)]


def test_both_engines_judge_a_property_of_the_item(run, engine: str):
    with pytest.raises(UserError, match="'colour' of context is a property of the item: 96% of 24 training events"):
        run(bought(nearly_of_the_item), ITEMS, engine=engine, context=["colour"])
    run(bought(lambda user, item: "red" if user < 8 else "blue"), ITEMS, engine=engine, context=["colour"])


def test_more_than_200_values_are_refused(run):
    events = [{"user_id": f"u{n // 3:02d}", "item_id": "abc"[n % 3], "timestamp": n, "minute": n} for n in range(201)]
    message = "column 'minute' of context has 201 distinct values, and at most 200 can be learnt; put them into bands"
    with pytest.raises(UserError, match=message):
        run(events, ITEMS, context=["minute"], trusted_context=["minute"])
    events[-1]["minute"] = 0
    assert len(run(events, ITEMS, context=["minute"]).facts["context"]) == 200


def test_a_name_of_the_users_table_is_refused(run):
    users = [{"user_id": "u", "device": "phone"}]
    with pytest.raises(UserError, match=r"context: .*users\.parquet has a column 'device' too, .*rename one of them"):
        run(rows(*EVENTS), ITEMS, users, context=["device"])


def test_rejected_rows_show_their_context(run, engine: str):
    data = run(
        rows(*EVENTS, ("w", "zzz", 1, "tv", 1)),
        ITEMS,
        engine=engine,
        context=("device", "hour"),
        max_rejected_share=0.5,
    )
    (lost,) = pq.read_table(data.artifact.file("rejected.parquet")).to_pylist()
    assert lost["content"] == "user_id=w, item_id=zzz, timestamp=1, context=device=tv|hour=1"


def test_a_refresh_reads_context_and_does_not_judge_it_again(run, tmp_path: Path):
    run(bought(lambda user, item: OF_THE_ITEM[item]), ITEMS, context=["colour"], trusted_context=["colour"])
    settings = PreprocessSettings(context=("colour",), latest_timestamp=2_000_000_000)
    data = read_events(str(tmp_path / "interactions.parquet"), list("abcd"), settings, tmp_path)
    assert data.facts["context"] == ["colour=blue", "colour=red"]
    assert data.contexts_of([0]) == [["colour=blue"]]  # u00's first is b
