"""CSV and TSV as people write them: what is a row, what is not, and where it stands."""

import gzip
from pathlib import Path

import pytest

from longtail.contracts.errors import UserError
from longtail.tables import csv_files

HEADER = "id,title,tags\n"


@pytest.fixture
def write(tmp_path: Path):
    def write(content: str | bytes, name: str = "t.csv") -> Path:
        path = tmp_path / name
        path.write_bytes(content.encode() if isinstance(content, str) else content)
        return path

    return write


def test_quoted_newlines_delimiters_and_quotes(read, write):
    table = read(write(HEADER + '1,"one\ntwo","a, ""b"""\n2,plain,\n'))
    assert table.rows == [
        {"row": 0, "id": "1", "title": "one\ntwo", "tags": 'a, "b"'},
        {"row": 1, "id": "2", "title": "plain", "tags": ""},
    ]
    assert table.faults == []


def test_rows_of_another_length_are_set_apart_with_their_place(read, write):
    table = read(write(HEADER + '1,"a\nb",x\n2,broken\nrest,y\n3,a,b,c\n\n4,ok,z\n'))
    assert [(row["row"], row["id"]) for row in table.rows] == [(0, "1"), (4, "4")]  # blank lines are no rows
    assert [(fault["row"], fault["reason"], fault["content"]) for fault in table.faults] == [
        (1, "wrong number of columns", "2,broken"),
        (2, "wrong number of columns", "rest,y"),
        (3, "wrong number of columns", "3,a,b,c"),
    ]


def test_rows_are_numbered_over_all_files_and_blocks(read, write, tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(csv_files, "BLOCK", 64)
    write(HEADER + "".join(f"a{n},t,x\n" if n % 3 else f"a{n},t\n" for n in range(40)), "a.csv")
    write(HEADER, "b.csv")  # no rows
    write(HEADER + "bad\n" + "".join(f"c{n},t,x\n" for n in range(5)), "c.csv")
    table = read(tmp_path)
    good = [(n, f"a{n}") for n in range(40) if n % 3] + [(41 + n, f"c{n}") for n in range(5)]
    assert [(row["row"], row["id"]) for row in table.rows] == good
    assert [fault["row"] for fault in table.faults] == [*range(0, 40, 3), 40]


@pytest.mark.parametrize("end", ["\n", "\r\n", "\r"])
@pytest.mark.parametrize("mark", [b"", b"\xef\xbb\xbf"])
@pytest.mark.parametrize("pack", [bytes, gzip.compress])
def test_line_ends_marks_and_gzip_are_told_by_content(read, write, end: str, mark: bytes, pack):
    text = (HEADER + '1,"x",y\n2,z,\n').replace("\n", end)
    table = read(write(pack(mark + text.encode())))  # gzip under the name .csv
    assert [(row["id"], row["title"]) for row in table.rows] == [("1", "x"), ("2", "z")]


def test_a_plain_file_named_gz_is_read_as_what_it_is(read, write):
    assert read(write(HEADER + "1,a,b\n", "t.csv.gz")).column("id") == ["1"]


@pytest.mark.parametrize("encoding", ["utf-16", "utf-16-le", "utf-16-be", "latin-1", "gbk", "utf-8"])
@pytest.mark.parametrize("quoted", ["{}", '"{}"'])
def test_encodings(read, write, encoding: str, quoted: str):
    title = quoted.format("café" if encoding == "latin-1" else "水灯")
    path = write((HEADER + f"1,{title},x\n").encode(encoding))
    said = {} if encoding in ("utf-16", "utf-8") else {"encoding": encoding}
    assert read(path, **said).column("title") == [title.strip('"')]


def test_the_encoding_of_the_settings_is_for_files_that_are_not_utf_8(read, write, tmp_path: Path):
    write((HEADER + "1,café,x\n").encode(), "a.csv")
    write((HEADER + "2,café,x\n").encode("latin-1"), "b.csv")
    assert read(tmp_path, encoding="latin-1").column("title") == ["café", "café"]


@pytest.mark.parametrize(("line", "names"), [("a,b;c,d", 3), ("a;b;c", 3), ("a\tb\tc", 3), ("a|b", 2)])
def test_the_delimiter_is_the_most_frequent_of_the_header_line(read, write, line: str, names: int):
    assert len(read(write(line + "\n" + line + "\n")).found) == names


def test_header_with_quotes_and_byte_order_mark(read, write):
    assert read(write('\ufeffuser_id,"item, id"\r\n1,2\r\n'.encode())).found == ("user_id", "item, id")


def test_the_unnamed_first_column_of_pandas_has_its_name(read, write):
    assert read(write(",id\n0,a\n")).found == ("Unnamed: 0", "id")


def test_only_the_asked_columns_are_read(read, write):
    table = read(write(HEADER + "1,a,b\n2,c\n"), only=["tags", "other"])
    assert table.rows == [{"row": 0, "tags": "b"}]
    assert (table.found, len(table.faults)) == (("id", "title", "tags"), 1)


def test_names_for_files_without_a_header_line(read, write):
    table = read(write("1;a|b|c;x\n2;d;y\n"), header=("id", "title", "tags"))
    assert [tuple(row.values()) for row in table.rows] == [(0, "1", "a|b|c", "x"), (1, "2", "d", "y")]


@pytest.mark.parametrize(
    ("content", "said", "message"),
    [
        (HEADER + "1,a,b\n", {"header": ("id", "title", "tags")}, "has a header line, so its columns need no names"),
        ("1,2\n", {"header": ("a", "b", "c")}, r"header names 3 columns \(a, b, c\), but the first line has 2: 1,2"),
        ("x,,y\n1,2,3\n", {}, "has an empty or repeated name; name every column"),
        ("x,x\n1,2\n", {}, "has an empty or repeated name"),
        ("\nid,title\n", {}, "has an empty or repeated name"),
        ("id,ID\n1,2\n", {}, "columns 'id' and 'ID' differ in case alone"),
    ],
)
def test_what_the_first_line_lacks(read, write, content: str, said, message: str):
    with pytest.raises(UserError, match=message):
        read(write(content), **said)


def test_files_of_one_table_have_one_header(read, write, tmp_path: Path):
    write("x,y\n1,2\n", "a.csv")
    write("y,x\n1,2\n", "b.csv")
    with pytest.raises(UserError, match=r"b\.csv: has another header line than .*a\.csv"):
        read(tmp_path)


def test_a_row_longer_than_a_block_is_told(read, write, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(csv_files, "BLOCK", 1 << 10)
    with pytest.raises(UserError, match=r"t\.csv: cannot be read .* a quote that is not closed"):
        read(write(HEADER + "1," + "x" * 5000 + ",y\n" * 5))
