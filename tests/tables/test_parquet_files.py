"""Parquet parts whose types differ, and columns that are not what they seem."""

from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from longtail.contracts.errors import UserError


def parts(folder: Path, *tables) -> Path:
    for number, table in enumerate(tables):
        pq.write_table(table if isinstance(table, pa.Table) else pa.table(table), folder / f"{number}.parquet")
    return folder


def test_parts_whose_types_differ_are_one_table_of_text(read, engine: str, tmp_path: Path):
    table = read(
        parts(
            tmp_path,
            {"id": [1, 2**60 + 1], "n": [1, 2]},
            {"id": [1.0, float("nan")], "n": [0.5, None]},
            {"id": ["007", None], "n": pa.nulls(2)},
            {"id": pa.array(["x"]).dictionary_encode()},
        ),
        engine,
    )
    assert table.column("id") == ["1", "1152921504606846977", "1", None, "007", None, "x"]
    assert table.column("n") == ["1", "2", "0.5", None, None, None, None]
    assert table.kinds == {"id": "text", "n": "text"}
    if engine == "duckdb":
        assert table.column("row") == list(range(7))


def test_widths_of_one_kind_stay_that_kind(read, engine: str, tmp_path: Path):
    narrow, wide = pa.array([1], pa.int32()), pa.array([2**40], pa.int64())
    table = read(
        parts(
            tmp_path,
            {"n": narrow, "t": pa.array([1], pa.timestamp("s"))},
            {"n": wide, "t": pa.array([2_000], pa.timestamp("ms"))},
        ),
        engine,
    )
    assert table.kinds == {"n": "whole", "t": "time"}
    assert table.column("n") == [1, 2**40]
    assert [time.second for time in table.column("t")] == [1, 2]


def test_lists_of_anything_are_lists_of_text(read, engine: str, tmp_path: Path):
    table = read(parts(tmp_path, {"l": [[1, None], [], None]}, {"l": [["a"], None, ["b"]]}), engine)
    assert table.kinds == {"l": "list"}
    assert table.column("l") == [["1", None], [], None, ["a"], None, ["b"]]


def test_bytes_are_text_where_they_can_be(read, engine: str, tmp_path: Path):
    table = read(parts(tmp_path, {"b": [b"abc", "é".encode(), b"\xff\xd8", None]}), engine)
    assert table.column("b") == ["abc", "é", None, None]


@pytest.mark.parametrize("name", ["t [1].parquet", "what{a,b}?.parquet", "50%#x*.parquet"])
def test_names_with_the_signs_of_a_glob(read, engine: str, tmp_path: Path, name: str):
    pq.write_table(pa.table({"id": ["a"]}), tmp_path / name)
    pq.write_table(pa.table({"id": ["b"]}), tmp_path / "t 1.parquet")
    assert read(tmp_path / name, engine).column("id") == ["a"]


def test_columns_that_differ_in_case_alone_are_refused(read, tmp_path: Path):
    with pytest.raises(UserError, match="columns 'id' and 'ID' differ in case alone; rename one"):
        read(parts(tmp_path, {"id": [1], "ID": [2]}))


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"id,title\n1,a\n", "it is no Parquet file, but begins with b'id,t'"),
        (b"PAR1 and then nothing", "cannot be read: .*mend or replace the file"),
    ],
)
def test_what_is_no_parquet_file_is_named(read, tmp_path: Path, content: bytes, message: str):
    (tmp_path / "t.parquet").write_bytes(content)
    with pytest.raises(UserError, match=rf"t\.parquet: cannot be read: .*{message.removeprefix('cannot be read: .*')}"):
        read(tmp_path / "t.parquet")


def test_a_page_that_is_broken_is_the_files_fault(read, engine: str, tmp_path: Path):
    path = tmp_path / "t.parquet"
    pq.write_table(pa.table({"id": [f"user {n * 7919 % 5000}" for n in range(5000)]}), path, use_dictionary=False)
    content = bytearray(path.read_bytes())
    content[100:4000] = b"\xff" * 3900
    path.write_bytes(bytes(content))
    with pytest.raises(UserError, match=r"t\.parquet: cannot be read|Spark cannot work on these tables"):
        read(path, engine)
