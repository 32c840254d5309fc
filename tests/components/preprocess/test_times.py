"""Times of every kind become the same microseconds, on both engines; times that look wrong are said."""

import json
import logging
from datetime import UTC, date, datetime
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from longtail.tables.engines import open_engine
from longtail.tables.kinds import Kind
from longtail.tables.sources import find
from longtail.tables.time_sql import microseconds

ITEMS = [{"item_id": name, "title": name} for name in "abcdefghijklmnopqrst"]
# text -> microseconds since 1970, from `date -u -d @1600000000.123456` and by hand
TEXTS = {
    "1600000000": 1600000000_000000,
    "1600000000.25": 1600000000_250000,
    "1.60E+09": 1600000000_000000,
    "1600000000123": 1600000000_123000,
    "1600000000123456": 1600000000_123456,
    "1600000000123456789": 1600000000_123457,
    "2020-09-13T12:26:40.123456Z": 1600000000_123456,
    "2020-09-13T12:26:40.1234567Z": 1600000000_123456,
    "2020-09-13 14:26:40.5+02:00": 1600000000_500000,
    "2020-09-13 07:26:40-0500": 1600000000_000000,
    "2020-09-13 14:26:40+02": 1600000000_000000,
    "2020-09-13 12:26:40 UTC": 1600000000_000000,
    " 2020-09-13T12:26 ": 1599999960_000000,
    "2020-09-13": 1599955200_000000,
}
BAD = [
    "",
    "yesterday",
    "now",
    "2020-09",
    "13.09.2020",
    "2020-02-30",
    "2020-09-13T25:00:00",
    "nan",
    "inf",
    "1e30",
]
CASES = [*TEXTS, *BAD]


def read(engine: str, file: Path, kinds: dict[str, Kind], tmp_path: Path) -> dict[str, list[int | None]]:
    """The columns of a file as microseconds, by the engine itself; rows in the order of the column ``n``."""
    with open_engine(engine, 0.5, None, tmp_path) as opened:
        scan = opened.scan(find(str(file)))
        columns = {name: microseconds(opened.quote(name), kind) for name, kind in (scan.kinds | kinds).items()}
        rows = opened.collect(scan.select({"row": "cast(n as int)"} | columns)).sort_by("row")
        return {name: rows[name].to_pylist() for name in columns if name != "n"}


@pytest.mark.parametrize("ending", ["csv", "jsonl"])
def test_text(engine: str, ending: str, tmp_path: Path):
    file = tmp_path / f"log.{ending}"
    lines = {
        "csv": lambda: ["n,time", *[f"{n},{text}" for n, text in enumerate(CASES)]],
        "jsonl": lambda: [json.dumps({"n": n, "time": text}) for n, text in enumerate(CASES)],
    }
    file.write_text("\n".join(lines[ending]()) + "\n")
    found = read(engine, file, {"time": "text"}, tmp_path)["time"]
    assert dict(zip(CASES, found)) == TEXTS | dict.fromkeys(BAD)


MIXED = {
    "1600000000": 1600000000_000000,
    "1600000001.5": 1600000001_500000,
    "1600000002000": 1600000002_000000,
    "2020-09-13T14:26:43+02:00": 1600000003_000000,
}
MOMENT = datetime(2020, 9, 13, 12, 26, 40, 123456, tzinfo=UTC)
PARQUET = [
    (pa.array([1600000000], pa.int64()), 1600000000_000000),
    (pa.array([1600000000], pa.int32()), 1600000000_000000),
    (pa.array([1600000000], pa.uint64()), 1600000000_000000),
    (pa.array([1600000000123], pa.int64()), 1600000000_123000),
    (pa.array([1600000000123456], pa.int64()), 1600000000_123456),
    (pa.array([1600000000123456789], pa.int64()), 1600000000_123457),
    (pa.array([-(2**63)], pa.int64()), None),
    (pa.array([1600000000.123456], pa.float64()), 1600000000_123456),
    (pa.array([float("nan")], pa.float64()), None),
    (pa.array([MOMENT], pa.timestamp("us", "UTC")), 1600000000_123456),
    (pa.array([MOMENT], pa.timestamp("us", "Europe/Berlin")), 1600000000_123456),
    (pa.array([MOMENT.replace(tzinfo=None)], pa.timestamp("us")), 1600000000_123456),
    (pa.array([MOMENT.replace(microsecond=123000, tzinfo=None)], pa.timestamp("ms")), 1600000000_123000),
    (pa.array([1600000000123456789], pa.timestamp("ns")), 1600000000_123457),
    (pa.array([date(2020, 9, 13)], pa.date32()), 1599955200_000000),
    (pa.array(["2020-09-13T12:26:40Z"], pa.string()), 1600000000_000000),
]


def test_parquet_types(engine: str, tmp_path: Path):
    table = pa.table({"n": [0]} | {f"c{n}": times for n, (times, _) in enumerate(PARQUET)})
    pq.write_table(table, tmp_path / "log.parquet")
    found = read(engine, tmp_path / "log.parquet", {}, tmp_path)
    assert {
        str(times.type): found[f"c{n}"][0] - expected for n, (times, expected) in enumerate(PARQUET) if expected
    } == {str(times.type): 0 for times, expected in PARQUET if expected}
    assert [found[f"c{n}"] for n, (_, expected) in enumerate(PARQUET) if expected is None] == [[None], [None]]


def test_a_nan_among_times(engine: str, tmp_path: Path):
    """Parquet's statistics leave NaN out."""
    pq.write_table(pa.table({"n": [0, 1, 2], "time": [1600000000.5, float("nan"), 1.6e18]}), tmp_path / "log.parquet")
    found = read(engine, tmp_path / "log.parquet", {}, tmp_path)["time"]
    assert found == [1600000000_500000, None, 1600000000_000000]


@pytest.mark.parametrize("ending", ["csv", "jsonl", "parquet"])
def test_a_column_of_mixed_texts_is_read_row_by_row(run, ending: str, tmp_path: Path):
    """Also where the first rows of JSON Lines look like whole seconds."""
    events = [{"user_id": "u", "item_id": i, "timestamp": t} for i, t in zip("abcd", [*MIXED])]
    file = tmp_path / f"log.{ending}"
    if ending == "csv":
        file.write_text("user_id,item_id,timestamp\n" + "".join(",".join(e.values()) + "\n" for e in events))
    elif ending == "jsonl":
        file.write_text("".join(json.dumps(event) + "\n" for event in events))
    else:
        pq.write_table(pa.Table.from_pylist(events), file)
    assert run(file, ITEMS).timestamps.tolist() == list(MIXED.values())


def test_events_within_a_second_keep_their_order(run):
    times = [1600000000.9, 1600000000.5, 1600000000.7, 1600000000.1]
    prepared = run([{"user_id": "u", "item_id": i, "timestamp": t} for i, t in zip("abcd", times)], ITEMS)
    assert [prepared.item_ids[code] for code in prepared.item_codes] == ["d", "b", "c", "a"]
    assert not prepared.tied.any()
    assert prepared.facts["times"] == {
        "first": 1600000000_100000, "last": 1600000000_900000, "resolution": "microsecond", "warnings": [],
    }  # fmt: skip


DAYS = [1600041600 + 86400 * n for n in range(20)]


@pytest.mark.parametrize(
    ("times", "resolution", "warning"),
    [
        ([1600000000 + n for n in range(20)], "second", None),
        (DAYS, "day", "column 'when' holds days without a time of day"),
        ([20200901 + n for n in range(20)], "second", "column 'when' holds dates written as numbers, such as 20200920"),
        ([float(f"{1.5 + n / 100:.2f}E+09") for n in range(20)], "second", "column 'when' has lost digits: "),
        (
            [1600000000] * 20,
            "second",
            "column 'when' is the same time in every event (2020-09-13 12:26:40), so no order is known",
        ),
        (list(range(20)), "second", "column 'when' ends at 1970-01-01 00:00:19: these are not times in seconds"),
        (
            [*[0, 0], *[1600000000 + n for n in range(18)]],
            "second",
            "column 'when' has 2 events before 1990, such as 1970-01-01 00:00:00: a missing time written as 0",
        ),
    ],
)
def test_times_that_look_wrong_are_said(run, caplog: pytest.LogCaptureFixture, times, resolution, warning):
    events = [{"user_id": f"u{n % 5}", "item_id": "abcdefghijklmnopqrst"[n], "when": t} for n, t in enumerate(times)]
    with caplog.at_level(logging.WARNING):
        facts = run(events, ITEMS, columns={"timestamp": "when"}, max_tied_share=1).facts["times"]
    assert facts["resolution"] == resolution
    assert [record.getMessage() for record in caplog.records] == facts["warnings"]
    assert len(facts["warnings"]) == (0 if warning is None else 1)
    if warning:
        assert f"interactions.parquet: {warning}" in facts["warnings"][0]
