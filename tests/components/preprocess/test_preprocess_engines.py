"""Both engines against the rules written again in plain Python, on messy random rows."""

import csv
import math
import random
from collections import defaultdict
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from helpers_ties import tie

from longtail.contracts.errors import UserError

SECOND = 1_000_000  # microseconds
NOW = 2_000_000_000  # the fixture's latest_timestamp
KINDS = ("view", "click", "cart", "purchase")
ITEMS = [
    {
        "item_id": f"i{n}",
        "title": f"T{n}" if n % 5 else None,
        "attributes": ["a", f"b{n % 3}"],
        "price": n * 1.5,
        "stock": n,
    }
    for n in range(20)
]
USERS = [{"user_id": f"u{n}", "age": n % 40, "city": f"c{n % 4}", "code": f"x{n}"} for n in range(210)]
VARIANTS: list[dict[str, Any]] = [
    {},
    {"repeats": "keep", "min_rating": 2, "min_item_count": 12, "segments": "quantile"},
    {"split": "global_time", "validation_share": 0.2, "test_share": 0.25},
]


def messy_rows(seed: int, count: int = 600) -> list[dict[str, Any]]:
    draw = random.Random(seed)
    return [
        {
            "user_id": draw.choice([None, *[f"u{n}" for n in range(0, 80, 2)]]),
            "item_id": draw.choice([f"i{n}" for n in range(21)]),  # i20 is unknown
            "timestamp": draw.choice([-1, NOW + 1, *range(100, 140)]),
            "event": draw.choice([None, None, *KINDS, "rating", "rating", "jump"]),
            "value": draw.choice([None, float("nan"), 1.0, 2.0, 3.5, 4.0, 5.0]),
        }
        for _ in range(count)
    ]


def reason_of(row: dict[str, Any], min_rating: float | None) -> str | None:
    value, event = row["value"], row["event"]
    if row["user_id"] is None:
        return "null id"
    if not 0 <= row["timestamp"] <= NOW:
        return "negative timestamp" if row["timestamp"] < 0 else "future timestamp"
    if value is not None and math.isnan(value):
        return "value is not a number"
    if event is not None and event not in KINDS and event != "rating":
        return "unknown event"
    if event == "rating" and value is None:
        return "rating without a value"
    if row["item_id"] == "i20":
        return "unknown item"
    is_rating = event == "rating" or (event is None and value is not None)
    return "rating below min_rating" if min_rating is not None and is_rating and value < min_rating else None


def expected_events(rows: list[dict[str, Any]], settings: dict[str, Any]) -> list[tuple[str, int, str, int, int]]:
    groups: dict[Any, list[int]] = defaultdict(list)
    for row in rows:
        if reason_of(row, settings.get("min_rating")) is None:
            key = (row["user_id"], row["item_id"]) + ((row["timestamp"],) if settings.get("repeats") == "keep" else ())
            groups[key].append(row["timestamp"])
    merged = [(key[0], min(times), key[1]) for key, times in groups.items()]
    if "min_item_count" in settings:
        counts = defaultdict(int)
        for event in merged:
            counts[event[2]] += 1
        merged = [event for event in merged if counts[event[2]] >= settings["min_item_count"]]
    times = sorted(event[1] for event in merged)
    histories = defaultdict(list)
    for event in sorted(merged, key=lambda event: (event[0], event[1], tie(event[0], event[2]))):
        histories[event[0]].append(event)
    placed = []
    for history in histories.values():
        for position, event in enumerate(history):
            if settings.get("split") == "global_time":
                first = [times[math.ceil(len(times) * share) - 1] for share in (0.55, 0.75)]
                split = sum(event[1] >= cut for cut in first)
            else:
                split = max(0, 3 - (len(history) - position))
            placed.append((event, position, split))
    return [(user, place, item, time * SECOND, split) for (user, time, item), place, split in placed]


@pytest.mark.parametrize("variant", range(len(VARIANTS)))
def test_messy_rows(run, engine: str, variant: int):
    settings, rows = VARIANTS[variant], messy_rows(variant)
    prepared = run(rows, ITEMS, USERS, engine=engine, max_rejected_share=0.6, **settings)
    table = pq.read_table(prepared.artifact.file("events.parquet")).to_pydict()
    found = [
        (prepared.user_ids[u], position, prepared.item_ids[i], time, split)
        for u, position, i, time, split in zip(*[
            table[name] for name in ("user_code", "position", "item_code", "timestamp", "split")
        ])
    ]  # fmt: skip
    expected = expected_events(rows, settings)
    assert found == sorted(expected, key=lambda event: event[:2])
    assert table["user_code"] == sorted(table["user_code"])

    reasons = [reason_of(row, settings.get("min_rating")) for row in rows]
    counts = {reason: reasons.count(reason) for reason in set(reasons) - {None}}
    assert prepared.facts["rejected"] == counts
    written = pq.read_table(prepared.artifact.file("rejected.parquet")).to_pylist()
    assert sorted(row["reason"] for row in written) == sorted(reason for reason in reasons if reason)
    if engine == "duckdb":
        assert [row["row"] for row in written] == [n for n, reason in enumerate(reasons) if reason]

    assert prepared.user_ids == sorted(f"u{n}" for n in range(210))
    assert prepared.item_ids == sorted(item["item_id"] for item in ITEMS)
    train = [event[2] for event in expected if event[4] == 0]
    assert prepared.train_counts.tolist() == [train.count(item) for item in prepared.item_ids]
    by_id = {item["item_id"]: item for item in ITEMS}
    prices = np.array([by_id[item]["price"] for item in prepared.item_ids])
    np.testing.assert_allclose(prepared.numeric[:, 0], (prices - prices.mean()) / prices.std(), rtol=1e-5, atol=1e-6)
    assert prepared.numbers == [[by_id[item]["price"], by_id[item]["stock"]] for item in prepared.item_ids]
    assert prepared.item_texts[prepared.item_ids.index("i1")] == "T1 | a, b1"
    assert prepared.item_texts[prepared.item_ids.index("i5")] == "a, b2"
    assert prepared.user_attributes[prepared.user_ids.index("u6")] == [
        "age=0-6",
        "city=c2",
    ]  # 7 ages of 6 users are a fifth of 210
    assert prepared.facts["left_out_user_attributes"] == {"code": 210}


def test_text_files_give_what_parquet_gives(run, engine: str, tmp_path: Path):
    """The same rows as CSV, with quotes, other column names and folders; numbers and lists are told from text."""
    rows = [row for row in messy_rows(3) if reason_of(row, None) is None]
    with_csv = tmp_path / "log"
    with_csv.mkdir()
    for part in range(2):
        with (with_csv / f"part-{part}.csv").open("w", newline="") as stream:
            writer = csv.writer(stream, quoting=csv.QUOTE_ALL)
            writer.writerow(["who", "item_id", "timestamp", "event", "value"])
            writer.writerows(row.values() for row in rows[part::2])
    with (tmp_path / "items.csv").open("w", newline="") as stream:
        writer = csv.writer(stream, delimiter=";")
        writer.writerow(["item_id", "title", "attributes", "price", "stock", "supplier"])
        writer.writerows(
            [
                item["item_id"],
                f'{item["title"]}, "so; called"',
                "|".join(item["attributes"]),
                item["price"],
                item["stock"],
                "x1",
            ]
            for item in ITEMS
        )
    prepared = run(with_csv, tmp_path / "items.csv", engine=engine, columns={"user_id": "who"})
    assert prepared.facts["numeric_names"] == ["price", "stock"]
    assert prepared.item_texts[1] == 'T1, "so; called" | a, b1'
    assert prepared.item_attributes[1] == ["a", "b1"]
    events = expected_events(rows, {})
    assert prepared.timestamps.tolist() == [event[3] for event in sorted(events, key=lambda event: event[:2])]


def test_a_broken_file_is_the_users_to_mend(run, engine: str, tmp_path: Path):
    pq.write_table(pa.Table.from_pylist(messy_rows(0, 20)), tmp_path / "cut.parquet")
    (tmp_path / "cut.parquet").write_bytes((tmp_path / "cut.parquet").read_bytes()[:-20])
    with pytest.raises(UserError, match=r"cut\.parquet"):
        run(tmp_path / "cut.parquet", ITEMS, engine=engine)
    assert not (tmp_path / "prepared").exists()
