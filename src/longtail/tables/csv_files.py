"""CSV and TSV files: their columns, and their rows as text; rows of another length are set apart.

Why not the engines' own readers: DuckDB pads short rows into new items or fails on a newline in quotes, Spark pads them too,
and both let a stray quote swallow the rows that follow.
"""

import csv
from collections.abc import Generator, Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.csv as pa_csv

from longtail.contracts.errors import UserError
from longtail.tables.csv_quotes import quoting
from longtail.tables.faulty_rows import FaultyRows
from longtail.tables.kinds import ROW_COLUMN
from longtail.tables.sources import Source
from longtail.tables.text_streams import decoding, encoding_of, first_lines, open_bytes, undecodable

DELIMITERS = ",;\t|"
BLOCK = 16 << 20  # bytes that are parsed at a time; a row must fit
INDEX = "Unnamed: 0"  # pandas' name for a column without one: the row numbers it writes
WRONG_LENGTH = "wrong number of columns"


@dataclass(frozen=True)
class CsvLayout:
    """What the first lines tell."""

    delimiter: str
    names: tuple[str, ...]
    encodings: tuple[str, ...]  # one a file
    first_row: tuple[str, ...]  # of data


def csv_layout(source: Source) -> CsvLayout:
    """Delimiter, column names and encodings.

    Raises:
        UserError: header lines differ, a name is empty or occurs twice, or the given names do not fit.
    """
    encodings = tuple(encoding_of(file, source.encoding) for file in source.files)
    heads = [first_lines(file, encoding, 2) for file, encoding in zip(source.files, encodings)]
    first, file = _line(heads[0], 0), source.files[0]
    if source.header is not None:
        return _headerless(source, first, encodings)
    for other, lines in zip(source.files, heads):
        if _line(lines, 0) != first:
            raise UserError(f"{other}: has another header line than {file}; give files with the same columns")
    delimiter = source.delimiter or max(DELIMITERS, key=first.count)
    names = tuple(name.strip() for name in _cells(file, first, delimiter))
    if len(names) > 1 and names[0] == "":
        names = (INDEX, *names[1:])
    if not names or "" in names or len(set(names)) != len(names):
        raise UserError(f"{file}: its header line {names} has an empty or repeated name; name every column")
    second = next((lines[1] for lines in heads if len(lines) > 1), "")
    return CsvLayout(delimiter, names, encodings, tuple(second.split(delimiter)))


def _headerless(source: Source, first: str, encodings: tuple[str, ...]) -> CsvLayout:
    file, names = source.files[0], source.header or ()
    fitting = [sign for sign in DELIMITERS if len(_cells(file, first, sign)) == len(names)]
    delimiter = source.delimiter or max(fitting or DELIMITERS, key=first.count)
    cells = tuple(cell.strip() for cell in _cells(file, first, delimiter))
    if cells == names:
        raise UserError(f"{file}: has a header line, so its columns need no names: take header out of the settings")
    if len(cells) != len(names):
        raise UserError(
            f"{file}: header names {len(names)} columns ({', '.join(names)}), but the first line has {len(cells)}: "
            f"{first[:100]}"
        )
    return CsvLayout(delimiter, names, encodings, cells)


def read_csv(source: Source, layout: CsvLayout, columns: Sequence[str], faults: FaultyRows) -> Iterator[pa.RecordBatch]:
    """The rows of all files: ``ROW_COLUMN``, from 0 over all of them, and the columns as text."""
    begin, skip = 0, int(source.header is None)
    for file, encoding in zip(source.files, layout.encodings):
        if len(first_lines(file, encoding, 2)) > skip:
            quotes = quoting(file, encoding, layout.delimiter, source.quotes)
            options = pa_csv.ParseOptions(delimiter=layout.delimiter, newlines_in_values=True, **quotes)
            reading = pa_csv.ReadOptions(column_names=layout.names, skip_rows=skip, encoding=encoding)
            begin = yield from read_rows(file, begin, reading, options, columns, faults)


def read_rows(
    file: str,
    begin: int,
    reading: pa_csv.ReadOptions,
    parsing: pa_csv.ParseOptions,
    columns: Sequence[str],
    faults: FaultyRows | None,
) -> Generator[pa.RecordBatch, None, int]:
    """One file's rows, numbered from ``begin``; returns the number of the row after its last.

    Raises:
        UserError: naming the file, and the line that is in another encoding.
    """
    ahead: list[int] = []  # numbers of rows set apart that may lie before rows still to come
    first = 1 + reading.skip_rows  # pyarrow's number of the first row

    def set_apart(row: Any) -> str:
        ahead.append(begin + row.number - first)
        if faults is not None:
            faults.add(ahead[-1], row.text)
        return "skip"

    reading.use_threads, reading.block_size = False, BLOCK  # threads do not number rows
    encoding = reading.encoding
    reading.encoding = (
        "utf-8" if encoding == "utf-8-sig" else encoding
    )  # pyarrow passes over the mark, without decoding
    parsing.invalid_row_handler = set_apart
    types = {name: pa.string() for name in columns}
    converting = pa_csv.ConvertOptions(column_types=types, include_columns=columns, strings_can_be_null=False)
    row = begin
    with open_bytes(file) as stream, decoding(file, encoding):
        try:
            for batch in pa_csv.open_csv(stream, reading, parsing, converting):
                numbers = np.setdiff1d(np.arange(row, row + batch.num_rows + len(ahead)), ahead)[: batch.num_rows]
                row = int(numbers[-1]) + 1 if len(numbers) else row
                ahead[:] = [number for number in ahead if number >= row]
                arrays = [pa.array(numbers, pa.int64()), *batch.columns]
                yield pa.RecordBatch.from_arrays(arrays, [ROW_COLUMN, *columns])
        except pa.ArrowInvalid as error:
            if "invalid UTF8" in str(error):
                raise undecodable(file, encoding, error) from None
            remedy = (
                "; a row longer than 16 MB is probably a quote that is not closed" if "straddling" in str(error) else ""
            )
            raise UserError(f"{file}: cannot be read ({error}){remedy}; mend the file") from None
    return max([row, *(number + 1 for number in ahead)])


def _line(lines: Sequence[str], place: int) -> str:
    return lines[place].lstrip("\ufeff") if len(lines) > place else ""


def _cells(file: str, line: str, delimiter: str) -> list[str]:
    try:
        return next(csv.reader([line], delimiter=delimiter), [])
    except csv.Error as error:
        raise UserError(f"{file}: its first line cannot be read ({error}): {line[:100]!r}; mend the file") from None
