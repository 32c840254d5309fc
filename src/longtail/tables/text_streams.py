"""Text files as streams: unpacked and decoded by what they are, not by what they are called."""

import codecs
import gzip
import io
import re
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from functools import partial
from typing import IO, Any

from longtail.contracts.errors import UserError
from longtail.tables.sources import open_file, reaching

GZIP = b"\x1f\x8b"
NOT_TEXT = {  # first bytes -> what it is, and the remedy
    b"PAR1": "a Parquet file: name it .parquet",
    b"PK\x03\x04": "a zip archive or an Excel workbook: unpack it, or save the sheet as CSV",
    b"\xd0\xcf\x11\xe0": "an old Excel workbook: save the sheet as CSV",
    b"BZh": "compressed with bzip2: unpack it, or compress it with gzip",
    b"\xfd7zXZ": "compressed with xz: unpack it, or compress it with gzip",
    b"\x28\xb5\x2f\xfd": "compressed with zstd: unpack it, or compress it with gzip",
    b"Obj\x01": "an Avro file: convert it to Parquet",
    b"SQLite format 3": "an SQLite data base: export the table as CSV",
    b"version https://git-lfs": "a pointer of Git LFS and not the file itself: fetch it with git lfs pull",
}
MARKS = {  # byte-order marks -> encoding; the longer first
    codecs.BOM_UTF8: "utf-8-sig",
    codecs.BOM_UTF32_LE: "utf-32",
    codecs.BOM_UTF32_BE: "utf-32",
    codecs.BOM_UTF16_LE: "utf-16",
    codecs.BOM_UTF16_BE: "utf-16",
}
EAST = ("gbk", "cp1251", "shift_jis", "euc_kr")  # tried where bytes above 127 come in runs
WEST = ("latin-1", "cp1252")
HEAD = 4096  # bytes


@contextmanager
def open_bytes(file: str) -> Iterator[IO[bytes]]:
    """The unpacked bytes.

    Raises:
        UserError: the file cannot be read, or is no text; it says what it is.
    """
    with reaching(file), open_file(file) as raw:
        stream: Any = io.BufferedReader(raw, 1 << 20)
        if stream.peek(2)[:2] == GZIP:
            stream = io.BufferedReader(gzip.GzipFile(fileobj=stream), 1 << 20)
        try:
            head = stream.peek(64)
            what = next((what for magic, what in NOT_TEXT.items() if head.startswith(magic)), None)
            if head.lstrip().lower().startswith((b"<!doctype html", b"<html")):
                what = "a web page: download the file itself"
            if what:
                raise UserError(f"{file}: is {what}")
            yield stream
        except (EOFError, zlib.error, gzip.BadGzipFile) as error:
            raise UserError(f"{file}: is no complete gzip file ({error}); copy it again") from None


def encoding_of(file: str, declared: str | None) -> str:
    """A file's encoding: UTF-8, what its byte-order mark says, or, where it is neither, the declared one.

    Raises:
        UserError: it looks like UTF-16 without a byte-order mark and nothing is declared.
    """
    with open_bytes(file) as stream:
        head = stream.read(HEAD)
        marked = next((name for mark, name in MARKS.items() if head.startswith(mark)), None)
        if marked:
            return marked
        if declared is None:
            if head.count(b"\0") > len(head) / 4:
                order = "le" if head[1::2].count(0) > head[::2].count(0) else "be"
                raise UserError(
                    f"{file}: looks like UTF-16 without a byte-order mark; set preprocess.encoding=utf-16-{order}, or save "
                    "it as UTF-8"
                )
            return "utf-8"
        decoder = codecs.getincrementaldecoder("utf-8")()
        chunk = head
        try:
            while chunk:
                decoder.decode(chunk)
                chunk = stream.read(1 << 20)
            decoder.decode(b"", final=True)
        except UnicodeDecodeError:
            return declared
    return "utf-8" if b"\0" not in head else declared


@contextmanager
def open_text(file: str, encoding: str, newline: str | None = None) -> Iterator[IO[str]]:
    """The text in the encoding, with any of the three line ends (kept as they are where ``newline`` is "").

    Raises:
        UserError: naming the line that is not in that encoding, and encodings that would read it.
    """
    with open_bytes(file) as stream, decoding(file, encoding):
        yield io.TextIOWrapper(stream, encoding=encoding, newline=newline)


@contextmanager
def decoding(file: str, encoding: str) -> Iterator[None]:
    try:
        yield
    except UnicodeError as error:
        raise undecodable(file, encoding, error) from None


def first_lines(file: str, encoding: str, count: int) -> list[str]:
    """The first lines, without line ends; at most a million characters of each."""
    with open_text(file, encoding) as stream:
        lines = [stream.readline(1_000_000) for _ in range(count)]
    return [line.rstrip("\n") for line in lines if line]


def check_encoding(name: str) -> None:
    """Raises: UserError where Python knows no text encoding of that name."""
    try:
        "a".encode(name)
    except (LookupError, UnicodeError):
        raise UserError(
            f"encoding: there is no text encoding {name!r}; known are, for example, {', '.join(WEST + EAST)}, utf-16"
        ) from None


def undecodable(file: str, encoding: str, error: Exception) -> UserError:
    """The message on a file that is not in the encoding: the line, and how other encodings would read it."""
    if encoding not in ("utf-8", "utf-8-sig"):
        return UserError(
            f"{file}: cannot be read as {encoding} ({error}); set preprocess.encoding to its true encoding"
        )
    with open_bytes(file) as stream:
        bad = [(number, line, place) for number, line in enumerate(stream, 1) if (place := _fault(line)) is not None][
            :100
        ]
    if not bad:
        return UserError(f"{file}: cannot be read as {encoding} ({error}); save it as UTF-8")
    lines = [line for _, line, _ in bad]
    in_runs = sum(len(run) for line in lines for run in re.findall(rb"[\x80-\xff]{2,}", line))
    high = sum(len(run) for line in lines for run in re.findall(rb"[\x80-\xff]", line))
    windows = any(re.search(rb"[\x80-\x9f]", line) for line in lines)
    guesses = [name for name in (EAST if in_runs > high / 2 else ()) if all(map(partial(_reads, encoding=name), lines))]
    guesses.append("cp1252" if windows and all(map(partial(_reads, encoding="cp1252"), lines)) else "latin-1")
    number, line, place = bad[0]
    shown = ", ".join(f"as {name} it reads {_around(line, place, name)!r}" for name in guesses)
    return UserError(
        f"{file}: line {number} is not UTF-8; {shown}. Set preprocess.encoding={guesses[0]} (or what fits), or save the file "
        "as UTF-8"
    )


def _fault(line: bytes) -> int | None:
    """Place of the first byte that is not UTF-8."""
    try:
        line.decode("utf-8")
    except UnicodeDecodeError as error:
        return error.start
    return None


def _reads(line: bytes, encoding: str) -> bool:
    try:
        line.decode(encoding)
    except UnicodeDecodeError:
        return False
    return True


def _around(line: bytes, place: int, encoding: str) -> str:
    return line[:place].decode(encoding, "replace")[-15:] + line[place:].decode(encoding, "replace")[:15].rstrip()
