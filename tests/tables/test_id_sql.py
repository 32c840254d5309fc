"""Ids in SQL, on either engine, against the one definition in Python."""

from decimal import Decimal
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from longtail.contracts.ids import canonical_id
from longtail.tables.engines import open_engine
from longtail.tables.id_sql import id_columns, id_sql
from longtail.tables.sources import find

VALUES = {
    "text": (
        pa.string(),
        ["12", "12.0", " 12 ", "12.00", "007", "007.0", "-3.0", "-0.0", "0.0", "a b", "x\t", "\u00a0y\u00a0", "\ufeffz", "é ",
         "", " ", "nan", "1e5", "12.5", "1.0.0", "水.0", "12345678901234567890123.0", None],
    ),
    "int64": (pa.int64(), [0, -3, 2**60 + 1, None]),
    "uint64": (pa.uint64(), [0, 2**64 - 1, None]),
    "float64": (pa.float64(), [12.0, -3.0, 0.0, -0.0, 12.5, 1e15, 2.0**53, 1e18, float("nan"), float("inf"), None]),
    "float32": (pa.float32(), [12.0, 12.5, 16777216.0, float("nan"), None]),
    "decimal": (pa.decimal128(20, 2), [Decimal("12.00"), Decimal("12.50"), Decimal("123456789012345678.00"), None]),
    "bool": (pa.bool_(), [True, False, None]),
}  # fmt: skip


def cleaned(engine: str, path: Path, folder: Path) -> dict[str, list[str | None]]:
    with open_engine(engine, 0.5, None, folder) as opened:  # type: ignore[arg-type]
        scan = opened.scan(find(str(path)))
        sql = {name: id_sql(opened.quote(name), kind) for name, kind in scan.kinds.items()}
        found = opened.collect(scan.select(sql)).to_pydict()
        looked = id_columns(scan, list(scan.kinds), opened.quote, opened.collect)
        assert opened.collect(scan.select(looked)).to_pydict() == found
        return found


def test_every_type_gives_the_canonical_id(engine: str, tmp_path: Path):
    length = max(len(values) for _, values in VALUES.values())
    columns = {
        name: pa.array(values + [None] * (length - len(values)), kind) for name, (kind, values) in VALUES.items()
    }
    pq.write_table(pa.table(columns), tmp_path / "t.parquet")
    expected = {
        name: [str(value).lower() if isinstance(value, bool) else canonical_id(value) for value in column.to_pylist()]
        for name, column in columns.items()
    }
    assert cleaned(engine, tmp_path / "t.parquet", tmp_path) == expected


@settings(max_examples=20, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.lists(st.text(" \t\r.019a\u00a0é", max_size=5), min_size=1, max_size=200))
def test_any_text_gives_the_canonical_id(tmp_path: Path, texts: list[str]):
    pq.write_table(pa.table({"id": texts}), tmp_path / "t.parquet")
    assert cleaned("duckdb", tmp_path / "t.parquet", tmp_path)["id"] == [canonical_id(text) for text in texts]


def test_ids_that_are_all_canonical_are_taken_as_they_are(tmp_path: Path):
    pq.write_table(pa.table({"a": ["x", "007"], "b": ["x ", "y"], "c": [1, 2]}), tmp_path / "t.parquet")
    with open_engine("duckdb", 0.5, None, tmp_path) as opened:
        scan = opened.scan(find(str(tmp_path / "t.parquet")))
        found = id_columns(scan, ["a", "b", "c"], opened.quote, opened.collect)
    assert found["a"] == 'cast("a" as string)'
    assert "trim" in found["b"]
