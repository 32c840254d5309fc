"""Quotes that are balanced, escaped by a backslash, or mean nothing."""

import csv
import io
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from longtail.contracts.errors import UserError
from longtail.tables.csv_quotes import _balanced

ROWS = [("i1", "plain", "x"), ("i2", '5" lamp', "y"), ("i3", '"stray', "z"), ("i4", "last", "w")]


def written(path: Path, delimiter: str, rows=ROWS) -> Path:
    path.write_text("\n".join(delimiter.join(row) for row in [("id", "title", "tags"), *rows]) + "\n")
    return path


def test_a_tsv_with_unbalanced_quotes_has_none(read, tmp_path: Path):
    table = read(written(tmp_path / "t.tsv", "\t"))
    assert [tuple(row.values())[1:] for row in table.rows] == ROWS
    assert table.faults == []


def test_a_tsv_whose_stray_quotes_pair_up_over_lines_has_none(read, tmp_path: Path):
    rows = [("i1", '"stray', "x"), ("i2", "swallowed", "y"), ("i3", 'TV 32"', "z")]  # balanced, by chance
    assert read(written(tmp_path / "t.tsv", "\t", rows)).column("id") == ["i1", "i2", "i3"]


def test_a_tsv_with_balanced_quotes_has_them(read, tmp_path: Path):
    rows = [("i1", '"a\ttab"', "x"), ("i2", '"two\nlines"', '"say ""hi"""')]
    table = read(written(tmp_path / "t.tsv", "\t", rows))
    assert [tuple(row.values())[1:] for row in table.rows] == [("i1", "a\ttab", "x"), ("i2", "two\nlines", 'say "hi"')]


def test_a_csv_with_unbalanced_quotes_names_line_and_setting(read, tmp_path: Path):
    path = written(tmp_path / "t.csv", ",")
    with pytest.raises(
        UserError, match=r"t\.csv: the quotes of the row that begins at line 4 .* preprocess\.quotes=false"
    ):
        read(path)
    with pytest.raises(UserError, match="line 4"):
        read(written(tmp_path / "u.tsv", "\t"), quotes=True)
    assert read(path, quotes=False).column("title") == [title for _, title, _ in ROWS]


def test_text_after_a_closing_quote_is_a_fault(read, tmp_path: Path):
    path = written(tmp_path / "t.csv", ",", [("i1", "a", "x"), ("i2", '"old" lamp', "y")])
    with pytest.raises(UserError, match="begins at line 3 are not balanced"):
        read(path)


def test_inch_marks_within_a_field_are_no_quotes(read, tmp_path: Path):
    rows = [("i1", 'TV 32"', "x"), ("i2", 'TV 40" wide', "y")]
    assert read(written(tmp_path / "t.csv", ",", rows)).column("title") == [title for _, title, _ in rows]


def test_backslashes_as_spark_writes_them(read, tmp_path: Path):
    path = written(tmp_path / "t.csv", ",", [("i1", r'"a \"good\", old lamp"', "x"), ("i2", "b", "y")])
    assert read(path).column("title") == ['a "good", old lamp', "b"]


def test_a_backslash_is_a_plain_sign_where_quotes_are_doubled(read, tmp_path: Path):
    path = written(tmp_path / "t.csv", ",", [("i1", '"C:\\"', "x"), ("i2", '"say ""hi"""', "y")])
    assert read(path).column("title") == ["C:\\", 'say "hi"']


@given(st.lists(st.lists(st.text('a",;\\ ', max_size=6), min_size=2, max_size=2), min_size=1, max_size=5))
def test_what_the_fast_look_takes_pythons_strict_reader_takes_alike(rows):
    text = "\n".join(",".join(fields) for fields in rows) + "\n"
    if _balanced(("\n" + text).encode(), ord(",")):
        list(csv.reader(io.StringIO(text), strict=True))  # raises where it does not
