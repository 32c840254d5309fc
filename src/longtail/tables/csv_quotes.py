"""What a quote means in a CSV file: RFC 4180's, Spark's backslashes, or nothing."""

import csv
import logging
import sys
from typing import Any

import numpy as np

from longtail.contracts.errors import UserError
from longtail.tables.text_streams import open_bytes, open_text

log = logging.getLogger(__name__)

RFC_4180: dict[str, Any] = {"doublequote": True}
BACKSLASH: dict[str, Any] = {"doublequote": True, "escapechar": "\\"}  # as Spark and MySQL write
FOR_ARROW: dict[str, dict[str, Any]] = {
    "rfc": {"quote_char": '"', "double_quote": True},
    "backslash": {"quote_char": '"', "double_quote": True, "escape_char": "\\"},
    "none": {"quote_char": False},
}
QUOTE, NEWLINE, RETURN = 34, 10, 13


def quoting(file: str, encoding: str, delimiter: str, wanted: bool | None) -> dict[str, Any]:
    """pyarrow's options for the quotes of one file.

    ``wanted``: whether quotes enclose fields; None: they do where they are balanced, and a tab-separated file whose quotes
    are not has none. A reader that is lenient here lets one stray quote swallow the rows up to the next.

    Raises:
        UserError: naming the line where quotes are not balanced.
    """
    if wanted is False:
        return FOR_ARROW["none"]
    if encoding.startswith("utf-8") and _all_on_one_line(file, delimiter):
        return FOR_ARROW["rfc"]
    tabs = delimiter == "\t" and wanted is None
    line = _first_fault(file, encoding, delimiter, RFC_4180, tabs)
    if line is None:
        return FOR_ARROW["rfc"]
    if _first_fault(file, encoding, delimiter, BACKSLASH, tabs) is None:
        log.info("%s: quotes within fields are escaped with a backslash", file)
        return FOR_ARROW["backslash"]
    if tabs:
        log.info("%s: line %d has a quote that encloses no field; quotes are read as plain characters", file, line)
        return FOR_ARROW["none"]
    raise UserError(
        f"{file}: the quotes of the row that begins at line {line} are not balanced: a field that begins with a quote ends "
        "with one, and a quote within it is doubled; mend the row, or, where quotes enclose nothing in this file, set "
        "preprocess.quotes=false"
    )


def _all_on_one_line(file: str, delimiter: str) -> bool:
    """Whether every quote opens or closes a whole field, or is doubled, within its line. Fast, and right for most files."""
    left = b""
    with open_bytes(file) as stream:
        while chunk := stream.read(16 << 20):
            whole, newline, left = (left + chunk).rpartition(b"\n")
            if not _balanced(b"\n" + whole + newline, ord(delimiter)):
                return False
    return _balanced(b"\n" + left + b"\n", ord(delimiter))


def _balanced(lines: bytes, delimiter: int) -> bool:
    signs = np.frombuffer(lines, np.uint8)
    quotes = np.flatnonzero(signs == QUOTE)
    if len(quotes) == 0:
        return True
    if len(quotes) % 2:
        return False
    before, after = signs[quotes[::2] - 1], signs[quotes[1::2] + 1]
    breaks = np.flatnonzero(signs == NEWLINE)
    return bool(
        np.isin(before, (delimiter, NEWLINE, QUOTE)).all()
        and np.isin(after, (delimiter, NEWLINE, RETURN, QUOTE)).all()
        and not (np.searchsorted(quotes, breaks) % 2).any()
    )


def _first_fault(file: str, encoding: str, delimiter: str, dialect: dict[str, Any], tabs: bool) -> int | None:
    """Line at which the first row begins that does not follow the dialect; None where all do.

    tabs: a tab within a field of several lines is a fault, too: a stray quote has swallowed lines.
    """
    csv.field_size_limit(sys.maxsize)
    begin = 1
    with open_text(file, encoding, newline="") as stream:
        rows = csv.reader(stream, delimiter=delimiter, strict=True, **dialect)
        try:
            for row in rows:
                if tabs and rows.line_num > begin and any("\n" in field and "\t" in field for field in row):
                    return begin
                begin = rows.line_num + 1
        except csv.Error:
            return begin
    return None
