"""The engine itself: what it keeps, how it sorts, and how it refuses."""

import sys
from pathlib import Path

import narwhals as nw
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from longtail.contracts.errors import UserError
from longtail.tables.engines import open_engine
from longtail.tables.sources import find


@pytest.fixture
def table(tmp_path: Path) -> Path:
    path = tmp_path / "t [1].parquet"  # a name with a glob's signs
    rows = {
        "k": [3, 1, 2, None],
        "x": [0.5, 1.5, 2.5, 9.0],
        "a \"b' c": ["p", "q", None, "s"],
        "l": [["y"], [], None, ["z"]],
    }
    pq.write_table(pa.table(rows), path)
    return path


def test_reading_keeping_and_writing(table: Path, tmp_path: Path):
    with open_engine("duckdb", 0.5, None, tmp_path) as engine:
        scan = engine.scan(find(str(tmp_path)))
        assert scan.kinds == {"k": "whole", "x": "number", "a \"b' c": "text", "l": "list"}
        frame = engine.keep(
            scan.select({"k": engine.quote("k"), "x": "x", "text": engine.quote("a \"b' c")}, rows=True)
        )
        assert engine.collect(frame.filter(nw.col("k") == 2)).to_pylist() == [
            {"row": 2, "k": 2, "x": 2.5, "text": None}
        ]
        assert engine.percentiles(frame, "x", [0.25, 0.5, 0.75, 0.76]) == [0.5, 1.5, 2.5, 9.0]
        engine.write(engine.pack(frame, ["k", "x"], "pair"), tmp_path / "out.parquet", ["text"])
    out = pq.read_table(tmp_path / "out.parquet")
    assert out["text"].to_pylist() == ["p", "q", "s", None]
    assert out["pair"].to_pylist() == [[3, 0.5], [1, 1.5], [None, 9.0], [2, 2.5]]
    assert out.schema.field("pair").type.value_type == pa.float32()


def test_what_does_not_fit_into_memory_goes_to_disk(tmp_path: Path):
    pq.write_table(pa.table({"k": pa.array(range(3_000_000))}), tmp_path / "t.parquet")
    with open_engine("duckdb", 0.11, None, tmp_path) as engine:
        scan = engine.scan(find(str(tmp_path / "t.parquet")))
        frame = engine.keep(scan.select({"k": "k", "text": "sha256(cast(k as string))"}))  # 64 characters a row: 190 MB
        assert any(path.stat().st_size for path in (tmp_path / "spill").iterdir())
        assert engine.collect(frame.select(n=nw.len(), top=nw.col("k").max())).to_pylist() == [
            {"n": 3_000_000, "top": 2_999_999}
        ]


def test_spark_without_pyspark_or_java_says_what_to_install(monkeypatch: pytest.MonkeyPatch, tmp_path: Path):
    monkeypatch.delitem(sys.modules, "longtail.tables.spark_engine", raising=False)
    with monkeypatch.context() as patch:
        patch.setitem(sys.modules, "pyspark.sql", None)
        with pytest.raises(UserError, match=r"pip install 'longtail\[spark\]', or take engine: duckdb"), open_engine("spark", 1, None, tmp_path):  # fmt: skip
            pass
    pytest.importorskip("pyspark", reason="pyspark is not installed (the spark extra)")
    monkeypatch.setenv("PATH", "")
    monkeypatch.delenv("JAVA_HOME", raising=False)
    with pytest.raises(UserError, match="needs Java 17"), open_engine("spark", 1, None, tmp_path):
        pass
