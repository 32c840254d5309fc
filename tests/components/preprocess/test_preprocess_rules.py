"""Each rule on rows small enough to work out by hand."""

from typing import Any

import numpy as np
import pyarrow.parquet as pq
from helpers_ties import drawn_order

from longtail.contracts.prepared import Split

ITEMS = [{"item_id": name, "title": name.upper()} for name in "abcd"]
SECOND = 1_000_000  # microseconds


def rows(
    *events: tuple[Any, ...], names: tuple[str, ...] = ("user_id", "item_id", "timestamp")
) -> list[dict[str, Any]]:
    return [dict(zip(names, event)) for event in events]


def test_leave_last_out_by_hand(run):
    events = rows(
        ("v", "b", 30), ("v", "a", 10), ("v", "c", 20), ("v", "d", 20),  # equal seconds: drawn
        ("u", "a", 5),
        ("w", "b", 2), ("w", "a", 1),
    )  # fmt: skip
    prepared = run(events, ITEMS)
    table = pq.read_table(prepared.artifact.file("events.parquet"))
    assert table.schema.names == [
        "user_code",
        "position",
        "item_code",
        "timestamp",
        "split",
        "tied",
        "context",
    ]
    assert [str(kind) for kind in table.schema.types][:6] == [
        "int32", "int32", "int32", "int64", "int8", "bool",
    ]  # fmt: skip
    assert str(table.schema.types[6].value_type) == "string"
    second, third = ["abcd".index(item) for item in drawn_order("v", "cd")]
    names = ("user_code", "position", "item_code", "timestamp", "split", "tied")
    assert list(zip(*[table[name].to_pylist() for name in names])) == [
        (0, 0, 0, 5 * SECOND, 2, False),  # u has one event: the test target of an empty history
        (1, 0, 0, 10 * SECOND, 0, False), (1, 1, second, 20 * SECOND, 0, True),
        (1, 2, third, 20 * SECOND, 1, True), (1, 3, 1, 30 * SECOND, 2, False),
        (2, 0, 0, 1 * SECOND, 1, False), (2, 1, 1, 2 * SECOND, 2, False),
    ]  # fmt: skip
    assert prepared.user_ids == ["u", "v", "w"]
    assert prepared.train_counts.tolist() == [int(code in (0, second)) for code in range(4)]  # of v
    assert prepared.facts["protocol"] == "leave_last_out (strict)"
    assert (
        prepared.facts["counts"] | {"users": 3, "items": 4, "rows": 7, "events": 7, "train": 2}
        == prepared.facts["counts"]
    )
    test = prepared.targets(Split.TEST)
    assert [history.tolist() for history in test.histories] == [[], [0, second, third], [0]]


def test_global_time_cuts_at_quantiles_of_events(run):
    events = rows(*[(f"u{n % 3}", "abcd"[n % 4], 100 + n) for n in range(10)])
    prepared = run(events, ITEMS, split="global_time", validation_share=0.2, test_share=0.2, repeats="keep")
    # smallest times at or below which 60 % and 80 % of ten events lie: the 6th and the 8th
    assert prepared.facts["split"] == {
        "rule": "global_time", "validation_from": 105 * SECOND, "test_from": 107 * SECOND,
    }  # fmt: skip
    assert sorted(zip((prepared.timestamps // SECOND).tolist(), prepared.splits.tolist())) == [
        *[(100 + n, 0) for n in range(5)], (105, 1), (106, 1), (107, 2), (108, 2), (109, 2),
    ]  # fmt: skip


def test_merge_keeps_the_first_time(run):
    names = ("user_id", "item_id", "timestamp", "event")
    events = rows(("u", "a", 9, "view"), ("u", "a", 3, "click"), ("u", "a", 5, "purchase"), ("u", "b", 4, "view"),
                  ("u", "c", 6, "cart"), names=names)  # fmt: skip
    prepared = run(events, ITEMS)
    assert prepared.item_codes.tolist() == [0, 1, 2]
    assert prepared.timestamps.tolist() == [3 * SECOND, 4 * SECOND, 6 * SECOND]
    assert prepared.facts["counts"]["merged_repeats"] == 2
    assert prepared.exclude_history


def test_keep_keeps_repeats_but_not_the_same_time_twice(run):
    events = rows(("u", "a", 1.5), ("u", "a", 1.5), ("u", "a", 1.75), ("u", "b", 3.0))
    prepared = run(events, ITEMS, repeats="keep")
    assert prepared.item_codes.tolist() == [0, 0, 1]
    assert prepared.timestamps.tolist() == [1_500_000, 1_750_000, 3_000_000]
    assert prepared.facts["counts"]["merged_repeats"] == 1
    assert not prepared.exclude_history


def test_every_reason_is_given_counted_and_written(run):
    names = ("user_id", "item_id", "timestamp", "event", "value")
    good = [("u", item, second, "view", None) for second, item in enumerate("abcd")]
    bad = [
        (None, "a", 1, "view", None), ("u", "", 1, "view", None), ("u", "a", None, "view", None),
        ("u", "a", -1, "view", None), ("u", "a", 2_000_000_001, "view", None), ("u", "a", 1, "rating", float("nan")),
        ("u", "a", 1, "teleport", None), ("u", "a", 1, "rating", None), ("u", "zzz", 1, "view", None),
        ("u", "a", 1, "rating", 1.0),
    ]  # fmt: skip
    prepared = run(rows(*good, *bad, names=names), ITEMS, max_rejected_share=0.7, min_rating=2)
    assert prepared.facts["rejected"] == {
        "null id": 2, "bad timestamp": 1, "negative timestamp": 1, "future timestamp": 1, "value is not a number": 1,
        "unknown event": 1, "rating without a value": 1, "unknown item": 1, "rating below min_rating": 1,
    }  # fmt: skip
    assert prepared.item_codes.tolist() == [0, 1, 2, 3]
    written = pq.read_table(prepared.artifact.file("rejected.parquet")).to_pylist()
    assert [row["row"] for row in written] == list(range(4, 14))
    assert written[6] == {
        "table": "interactions", "row": 10, "reason": "unknown event",
        "content": "user_id=u, item_id=a, timestamp=1, event=teleport",
    }  # fmt: skip


def test_dislikes_do_not_count_against_the_limit(run):
    names = ("user_id", "item_id", "timestamp", "value")
    events = rows(*[("u", item, n, 5) for n, item in enumerate("abc")], ("v", "a", 1, 1), ("v", "b", 1, 1), names=names)
    prepared = run(events, ITEMS, min_rating=3, max_rejected_share=0)
    assert prepared.facts["rejected"] == {"rating below min_rating": 2}
    assert prepared.user_ids == ["u", "v"]  # v has no event left, and stays


def test_min_item_count_drops_events_never_users_or_items(run):
    events = rows(*[(user, item, n) for user in "uvw" for n, item in enumerate("abc")], ("x", "d", 1))
    prepared = run(events, ITEMS, min_item_count=2)
    assert prepared.item_ids == ["a", "b", "c", "d"]
    assert prepared.user_ids == ["u", "v", "w", "x"]
    assert len(prepared.item_codes) == 9
    assert prepared.facts["counts"]["events_of_rare_items"] == 1


def test_users_of_the_table_stay_without_events(run):
    events = rows(*[("m", item, n) for n, item in enumerate("abc")])
    users = [{"user_id": "a", "plan": "free"}, {"user_id": "m", "plan": "pro"}, {"user_id": "z", "plan": None}]
    prepared = run(events, ITEMS, users)
    assert prepared.user_ids == ["a", "m", "z"]
    assert prepared.user_attributes == [["plan=free"], ["plan=pro"], ["plan="]]
    assert prepared.facts["user_attributes"] == ["plan=", "plan=free", "plan=pro"]


def test_segment_rule_by_quantile_of_test_histories(run):
    # histories at test time: 1, 2, 2, 3, 9 items
    events = [
        {"user_id": user, "item_id": f"i{n}", "timestamp": n}
        for user, length in {"a": 1, "b": 2, "c": 2, "d": 3, "e": 9}.items()
        for n in range(length + 1)
    ]
    items = [{"item_id": f"i{n}", "title": str(n)} for n in range(10)]
    assert run(events, items, segments="quantile").facts["segment_rule"] == {"tail_max": 2, "torso_max": 3}
    assert run(events, items).facts["segment_rule"] == {"tail_max": 4, "torso_max": 9}


def test_item_text_numbers_and_counts(run):
    items = [
        {"item_id": "a", "title": "Tea", "description": "Green.", "attributes": ["drink", "hot"], "price": 2.0},
        {"item_id": "b", "title": None, "description": None, "attributes": ["drink"], "price": 4.0},
        {"item_id": "c", "title": " ", "description": "Only this", "attributes": [], "price": None},
        {"item_id": "d", "title": None, "description": None, "attributes": None, "price": float("nan")},
    ]
    prepared = run(rows(*[("u", item, n) for n, item in enumerate("abc")]), items)
    assert prepared.item_texts == ["Tea | drink, hot | Green.", "drink", "Only this", ""]
    assert prepared.item_attributes == [["drink", "hot"], ["drink"], [], []]
    assert prepared.titles == ["Tea", None, None, None]
    assert prepared.facts["numeric_names"] == ["price"]
    np.testing.assert_allclose(prepared.numeric, [[-1], [1], [0], [0]])  # mean 3, sd 1; missing is the mean
    assert prepared.facts["items_without_text"] == 1


def test_user_attributes_bands_lists_and_what_is_left_out(run):
    users = [
        {
            "user_id": f"u{n:03d}",
            "age": n,
            "stars": n % 3,
            "half": n % 2 / 2,
            "zip": f"z{n}",
            "likes": ["x", "y"][: n % 3],
        }
        for n in range(250)
    ]
    prepared = run(rows(*[("u001", item, n) for n, item in enumerate("abc")]), ITEMS, users)
    assert prepared.user_attributes[0] == ["age=0-49", "half=0", "likes=", "stars=0"]
    assert prepared.user_attributes[50] == ["age=50-99", "half=0", "likes=x", "likes=y", "stars=2"]
    assert prepared.user_attributes[249] == ["age=200-249", "half=0.5", "likes=", "stars=0"]
    assert [name for name in prepared.facts["user_attributes"] if name.startswith("age")] == [
        "age=0-49", "age=100-149", "age=150-199", "age=200-249", "age=50-99",
    ]  # fmt: skip
    assert prepared.facts["left_out_user_attributes"] == {"zip": 250}


def test_ids_stay_the_users_own_strings(run):
    events = [{"user_id": 7, "item_id": item, "timestamp": n} for n, item in enumerate([1, 2, 10])]
    prepared = run(events, [{"item_id": item, "title": "t"} for item in (1, 2, 10)])
    assert prepared.user_ids == ["7"]
    assert prepared.item_ids == ["1", "10", "2"]  # sorted as text
    assert prepared.item_codes.tolist() == [0, 2, 1]


def test_same_input_gives_the_same_bytes(run, tmp_path):
    events = rows(*[(f"u{n % 50}", "abcd"[n // 50 % 4], n % 7) for n in range(500)])
    one, other = run(events, ITEMS, output=tmp_path / "one"), run(events[::-1], ITEMS, output=tmp_path / "other")
    for name in ("items", "users", "events"):
        assert one.artifact.file(f"{name}.parquet").read_bytes() == other.artifact.file(f"{name}.parquet").read_bytes()


def test_few_events_may_leave_a_split_empty_which_is_said(run, tmp_path, caplog):
    assert len(run(rows(("u", "a", 1), ("u", "b", 2), ("u", "c", 3)), ITEMS).train_sequences()) == 1
    two = run(rows(("u", "a", 1), ("u", "b", 2)), ITEMS, output=tmp_path / "two")
    assert two.splits.tolist() == [Split.VALIDATION, Split.TEST]
    assert "no event is left for train, of 2: what they would teach or judge is missing" in caplog.text
    assert two.facts["counts"] == {
        "rows": 2,
        "train": 0,
        "validation": 1,
        "test": 1,
        "events": 2,
        "merged_repeats": 0,
        "events_of_rare_items": 0,
        "users": 1,
        "items": len(ITEMS),
    }
