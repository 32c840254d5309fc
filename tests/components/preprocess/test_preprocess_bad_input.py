"""What a user can get wrong: one message that names file, row or key and the remedy; nothing is left behind."""

import gzip
import os
import re
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from longtail.contracts.errors import UserError
from longtail.contracts.prepared import PreparedDataset

EVENTS = [{"user_id": "u", "item_id": item, "timestamp": n} for n, item in enumerate("abc")]
ITEMS = [{"item_id": name, "title": name} for name in "abc"]


def renamed(table: list[dict[str, Any]], **names: str) -> list[dict[str, Any]]:
    return [{names.get(key, key): value for key, value in row.items()} for row in table]


def with_values(table: list[dict[str, Any]], **values: Any) -> list[dict[str, Any]]:
    return [row | values for row in table]


MANY = [{"user_id": f"u{n}", "item_id": "a", "timestamp": n} for n in range(1000)]  # of users who come once


@pytest.mark.parametrize(
    ("tables", "settings", "message"),
    [
        (
            {"interactions": renamed(EVENTS, timestamp="time")},
            {},
            "interactions.parquet: has no column 'timestamp' (found: user_id, item_id, time); interactions need timestamp: "
            "rename yours, or map it in the settings with columns: {timestamp: YOUR_COLUMN}",
        ),
        ({"items": renamed(ITEMS, item_id="sku")}, {}, "items.parquet: has no column 'item_id' (found: sku, title)"),
        ({"users": [{"customer": "u"}]}, {}, "users.parquet: has no column 'user_id' (found: customer)"),
        ({}, {"columns": {"event": "action"}}, "columns.event: there is no column 'action'"),
        ({}, {"columns": {"colour": "x"}}, "columns.colour: is none of our columns; they are attributes, description"),
        ({}, {"events": ["view", "rating"]}, "events: ratings are taken always; take rating out of the list"),
        (
            {"interactions": with_values(EVENTS, timestamp=[1])},
            {},
            "column 'timestamp' holds lists, records or lengths of time",
        ),
        (
            {"items": with_values(ITEMS, title={"en": "x"})},
            {},
            "column 'title' holds lists, records or lengths of time",
        ),
        (
            {"interactions": with_values(EVENTS, timestamp="yesterday")},
            {},
            "interactions.parquet: 3 of 3 rows cannot be used (bad timestamp: 3), for example row 0 "
            "[user_id=u, item_id=a, timestamp=yesterday]; that is above max_rejected_share 0.1: give times as seconds since "
            "1970, or as text, 2020-09-13T12:26:40+00:00",
        ),
        (
            {"interactions": with_values(EVENTS, timestamp=3_000_000_000)},
            {},
            "(future timestamp: 3), for example row 0 [user_id=u, item_id=a, timestamp=3000000000]; that is above "
            "max_rejected_share 0.1: give times as seconds since 1970, or raise latest_timestamp",
        ),
        ({"interactions": with_values(EVENTS, timestamp=-5)}, {}, "(negative timestamp: 3)"),
        ({"interactions": with_values(EVENTS, timestamp=float("nan"))}, {}, "(bad timestamp: 3)"),
        ({"interactions": with_values(EVENTS, item_id="zzz")}, {}, "(unknown item: 3), for example row 0"),
        ({"items": [*ITEMS, ITEMS[1]]}, {}, "items.parquet: item_id occurs more than once: 'b' (2 times)"),
        ({"users": [{"user_id": "u"}] * 2}, {}, "users.parquet: user_id occurs more than once: 'u' (2 times)"),
        (
            {"items": [*ITEMS, {"item_id": None, "title": "x"}]},
            {},
            "items.parquet: 1 of 4 rows cannot be used (null id: 1)",
        ),
        ({"items": pa.table({"item_id": []})}, {}, "has no rows"),
        ({"interactions": MANY}, {}, "no event is left for train, validation; each user needs three events"),
        (
            {"interactions": with_values(MANY, timestamp=5)},
            {"split": "global_time"},
            "; the times are too few or too alike",
        ),
    ],
)
def test_one_message_and_nothing_left(run, tmp_path: Path, tables, settings, message):
    with pytest.raises(UserError, match=re.escape(message)):
        run(**({"interactions": EVENTS, "items": ITEMS} | tables), **settings)
    assert {path.suffix for path in tmp_path.iterdir()} == {".parquet"}


@pytest.mark.parametrize(
    ("name", "content", "message"),
    [
        ("events.csv", b"", "events.csv: is empty"),
        (
            "events.csv",
            b"user_id,item_id,timestamp\nu,a,1,what,is,this\n",
            r"events.csv: 1 of 1 rows cannot be used \(wrong number of columns: 1\), for example row 0 \[u,a,1,what,is,this\]",
        ),
        (
            "events.csv",
            b"user_id,item_id,timestamp\nu\xe9,a,1\n",
            "events.csv: line 2 is not UTF-8; as latin-1 it reads 'ué,a,1'",
        ),
        ("events.csv.gz", gzip.compress(os.urandom(4000).hex().encode())[:3000], "events.csv.gz"),
        ("events.parquet", b"PAR1 and then nothing", "events.parquet: cannot be read"),
        ("events.jsonl", b"no json\n" * 9, "events.jsonl: is not JSON Lines: its first line is 'no json'"),
    ],
)
def test_files_that_are_broken(run, tmp_path: Path, name: str, content: bytes, message: str):
    (tmp_path / name).write_bytes(content)
    with pytest.raises(UserError, match=message):
        run(str(tmp_path / name), ITEMS)
    assert not (tmp_path / "prepared").exists()


def test_truncated_parquet(run, tmp_path: Path):
    whole = tmp_path / "whole.parquet"
    pq.write_table(pa.Table.from_pylist(EVENTS), whole)
    (tmp_path / "cut.parquet").write_bytes(whole.read_bytes()[:-20])
    with pytest.raises(UserError, match=r"cut\.parquet: cannot be read"):
        run(str(tmp_path / "cut.parquet"), ITEMS)


def test_broken_json_lines_are_rejected_one_by_one(run, tmp_path: Path):
    lines = [f'{{"user_id": "u", "item_id": "{item}", "timestamp": {n}}}' for n, item in enumerate("abc")]
    (tmp_path / "events.jsonl").write_text("\n".join([*lines[:2], '{"user_id": "u", "it', lines[2]]) + "\n")
    prepared = run(str(tmp_path / "events.jsonl"), ITEMS, max_rejected_share=0.3)
    assert prepared.facts["rejected"] == {"not a JSON object": 1}
    rejected = pq.read_table(prepared.artifact.file("rejected.parquet")).to_pylist()
    assert rejected == [
        {"table": "interactions", "row": 2, "reason": "not a JSON object", "content": '{"user_id": "u", "it'}
    ]
    assert prepared.item_codes.tolist() == [0, 1, 2]


def test_a_failed_run_leaves_the_former_result(run, tmp_path: Path):
    before = run(EVENTS, ITEMS).train_digest()
    with pytest.raises(UserError):
        run(with_values(EVENTS, item_id="zzz"), ITEMS)
    assert PreparedDataset(tmp_path / "prepared").train_digest() == before


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        (
            {"min_rating": 9},
            "none of 3 rows is left (rating below min_rating: 3): min_rating 9 leaves ratings below it out",
        ),
        (
            {"min_rating": 4},
            "no event is left for train, validation (left out before: rating below min_rating: 2); each user needs three",
        ),
        (
            {"min_item_count": 7},
            "no event is left for train, validation, test (left out before: of items below min_item_count 7: 3); each user",
        ),
        ({"encoding": "latin-1"}, "encoding is latin-1, but no table is a text file; take it out"),
        ({"quotes": False}, "quotes is False, but no table is a CSV file; take it out"),
        ({"encoding": "latin-x"}, "there is no text encoding 'latin-x'"),
    ],
)
def test_a_setting_that_leaves_nothing_or_does_nothing_is_named(run, settings: dict[str, Any], message: str):
    rated = [row | {"value": n + 2} for n, row in enumerate(EVENTS)]
    with pytest.raises(UserError, match=re.escape(message)):
        run(rated, ITEMS, **settings)


def test_a_limit_for_ratings_needs_ratings(run):
    with pytest.raises(
        UserError, match=r"min_rating is 4, but .*interactions\.parquet has no column 'value' \(found: "
    ):
        run(EVENTS, ITEMS, min_rating=4)


def test_short_rows_of_items_are_rejected_and_never_items(run, tmp_path: Path, caplog: pytest.LogCaptureFixture):
    rows = "".join(f"{name},{name}\n" for name in "abcdefghijklmnopqrst")
    (tmp_path / "items.csv").write_text("item_id,title\n" + rows + "broken over\n" + "x,y,z\n")
    prepared = run(EVENTS, str(tmp_path / "items.csv"))
    assert prepared.item_ids == list("abcdefghijklmnopqrst")
    assert prepared.facts["rejected"] == {"items: wrong number of columns": 2}
    rejected = pq.read_table(prepared.artifact.file("rejected.parquet")).to_pylist()
    assert [(row["table"], row["row"], row["content"]) for row in rejected] == [
        ("items", 20, "broken over"),
        ("items", 21, "x,y,z"),
    ]
    assert "2 of 22 rows are left out (wrong number of columns: 2), for example row 20 [broken over]" in caplog.text
