"""What a file is, told by its bytes."""

import bz2
import gzip
import io
import lzma
import os
import zipfile
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from longtail.contracts.errors import UserError
from longtail.tables.text_streams import check_encoding, encoding_of, first_lines


def zipped() -> bytes:
    with zipfile.ZipFile(memory := io.BytesIO(), "w") as archive:
        archive.writestr("t.csv", "a,b\n")
    return memory.getvalue()


def parquet() -> bytes:
    pq.write_table(pa.table({"a": [1]}), memory := io.BytesIO())
    return memory.getvalue()


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (parquet(), "is a Parquet file: name it .parquet"),
        (zipped(), "is a zip archive or an Excel workbook: unpack it, or save the sheet as CSV"),
        (bz2.compress(b"a,b\n"), "is compressed with bzip2"),
        (lzma.compress(b"a,b\n"), "is compressed with xz"),
        (b"\x28\xb5\x2f\xfd" + b"x" * 20, "is compressed with zstd"),
        (b"version https://git-lfs.github.com/spec/v1\n", "is a pointer of Git LFS"),
        (b"\n<!DOCTYPE HTML><html>", "is a web page"),
        (gzip.compress(parquet()), "is a Parquet file"),
        (gzip.compress(os.urandom(4000).hex().encode())[:3000], "is no complete gzip file"),
    ],
)
def test_what_is_no_text_is_named(tmp_path: Path, content: bytes, message: str):
    path = tmp_path / "t.csv"
    path.write_bytes(content)
    with pytest.raises(UserError, match=rf"t\.csv: {message}"):
        encoding_of(str(path), None), first_lines(str(path), "utf-8", 9)


@pytest.mark.parametrize("name", ["par1", "BZh", "Obj"])
def test_a_column_named_like_a_format_is_a_column(tmp_path: Path, name: str):
    (tmp_path / "t.csv").write_text(f"{name.lower()},b\n")
    assert first_lines(str(tmp_path / "t.csv"), "utf-8", 1) == [f"{name.lower()},b"]


@pytest.mark.parametrize(
    ("text", "encoding", "named"),
    [
        ("id,title\n1,Red café 0\n", "latin-1", ["latin-1", "'1,Red café 0'"]),
        ("id,title\n1,it’s “new”\n", "cp1252", ["cp1252", "it’s"]),
        ("id,title\n1,红色台灯\n2,蓝色椅子\n", "gbk", ["gbk", "'1,红色台灯'"]),
        ("id,title\n1,Красная лампа\n", "cp1251", ["cp1251", "'1,Красная лампа'"]),
        ("id,title\n1,赤いランプ\n", "shift_jis", ["shift_jis", "'1,赤いランプ'"]),
    ],
)
def test_a_file_that_is_not_utf_8_is_shown_as_it_could_be_read(read, tmp_path: Path, text, encoding, named):
    (tmp_path / "t.csv").write_bytes(text.encode(encoding))
    with pytest.raises(UserError, match=r"t\.csv: line 2 is not UTF-8; .* Set preprocess\.encoding=") as refused:
        read(tmp_path / "t.csv")
    for part in named:
        assert part in str(refused.value)
    assert read(tmp_path / "t.csv", encoding=encoding).column("title")[0] == text.splitlines()[1].partition(",")[2]


def test_utf_16_without_a_mark_is_named(read, tmp_path: Path):
    (tmp_path / "t.csv").write_bytes("id,title\n1,a\n".encode("utf-16-be"))
    with pytest.raises(
        UserError, match=r"looks like UTF-16 without a byte-order mark; set preprocess\.encoding=utf-16-be"
    ):
        read(tmp_path / "t.csv")


def test_a_wrong_encoding_of_the_settings_is_named(read, tmp_path: Path):
    (tmp_path / "t.csv").write_bytes("id,title\n1,caf\u00e9 \n".encode("latin-1"))
    with pytest.raises(
        UserError, match=r"t\.csv: cannot be read as gbk .*; set preprocess\.encoding to its true encoding"
    ):
        read(tmp_path / "t.csv", encoding="gbk")


@pytest.mark.parametrize("name", ["nonsense", "base64", ""])
def test_an_encoding_that_there_is_not(name: str):
    with pytest.raises(UserError, match=f"encoding: there is no text encoding {name!r}; known are"):
        check_encoding(name)
    check_encoding("latin-1")
