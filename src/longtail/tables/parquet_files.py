"""A table as Parquet files: what it is made of, whatever it was given as."""

import tempfile
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field, replace
from itertools import groupby
from operator import itemgetter
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq

from longtail.contracts.errors import UserError
from longtail.tables.csv_files import WRONG_LENGTH, csv_layout, read_csv
from longtail.tables.faulty_rows import FaultyRows
from longtail.tables.id_sql import id_sql
from longtail.tables.json_lines import NOT_AN_OBJECT, json_kinds, read_json_lines
from longtail.tables.kinds import ROW_COLUMN, Kind, is_bytes, kind_of
from longtail.tables.sources import Source, open_file, reaching

READERS = 16  # footers read at once
MAGIC = b"PAR1"


@dataclass(frozen=True)
class Part:
    """Files, in order, whose columns have the same types."""

    files: tuple[str, ...]
    types: dict[str, pa.DataType]


@dataclass(frozen=True)
class ParquetTable:
    """What an engine opens. ``kinds``: what a column holds in all parts; text where parts differ."""

    parts: tuple[Part, ...]
    kinds: dict[str, Kind]
    has_rows: bool = False  # whether ROW_COLUMN numbers the rows
    faults: Path | None = None  # rows that are none of the table

    def at(self, places: Mapping[str, str]) -> "ParquetTable":
        """The same table, its files where an engine reads them."""
        parts = (Part(tuple(places[file] for file in part.files), part.types) for part in self.parts)
        return replace(self, parts=tuple(parts))

    def columns_of(self, part: Part, quote: Callable[[str], str], decoded: str, listed: str) -> dict[str, str]:
        """SQL text for every column of a part, as the kind that it has in all parts.

        decoded, listed: how the engine makes text of bytes, and a list of texts of a list.
        """
        columns = {ROW_COLUMN: quote(ROW_COLUMN)} if self.has_rows else {}
        for name, kind in self.kinds.items():
            type_ = part.types.get(name)
            own, column = None if type_ is None else kind_of(type_), quote(name)
            if type_ is None or own is None:
                column = "null"
            elif is_bytes(type_):
                column = decoded.format(column)
            elif own == "list":
                column = listed.format(column)
            if own == "list" and kind == "text":
                column = f"array_join({column}, chr(31))"
            elif own not in (None, "text") and kind == "text":
                column = id_sql(column, own)  # so that 12.0 of one part is 12 of the next
            columns[name] = column
        return columns


@dataclass(frozen=True)
class Opened:
    """What the heads of the files tell; ``load`` reads them.

    ``found``: every column of the files; ``kinds``: of those that can be asked for; ``first_row``: of a CSV file's data.
    """

    found: tuple[str, ...]
    kinds: dict[str, Kind]
    load: Callable[[], ParquetTable]
    first_row: dict[str, str] = field(default_factory=dict)


def open_files(source: Source, folder: Path, only: Sequence[str] | None = None, optional: Sequence[str] = ()) -> Opened:
    """The table's columns. Text files are read into Parquet files below ``folder`` when they are loaded.

    Args:
        source: local files, or a bucket's (whose Parquet files stay there).
        folder: where the copy of text files goes.
        only: the columns that will be asked for; None takes all.
        optional: of JSON Lines with ``only``: keys that may occur, though the first lines do not have them.

    Raises:
        UserError: naming the file that cannot be read, and why.
    """
    opened = {"parquet": _open_parquet, "csv": _open_csv, "jsonl": _open_json}[source.format](
        source, folder, only, optional
    )
    for one, other in zip(named := sorted(opened.found, key=str.lower), named[1:]):
        if one.lower() == other.lower():
            raise UserError(f"{source.uri}: columns {one!r} and {other!r} differ in case alone; rename one of them")
    return opened


def _open_parquet(source: Source, folder: Path, only: Sequence[str] | None, optional: Sequence[str]) -> Opened:
    with ThreadPoolExecutor(READERS) as pool:
        schemas = list(pool.map(_schema, source.files))
    files = [(file, {field.name: field.type for field in schema}) for file, schema in zip(source.files, schemas)]
    parts = tuple(Part(tuple(file for file, _ in group), types) for types, group in groupby(files, key=itemgetter(1)))
    found = tuple(dict.fromkeys(name for part in parts for name in part.types))
    kinds = {name: _common(part.types.get(name) for part in parts) for name in found}
    return Opened(found, kinds, lambda: ParquetTable(parts, kinds))


def _open_csv(source: Source, folder: Path, only: Sequence[str] | None, optional: Sequence[str]) -> Opened:
    layout = csv_layout(source)
    kinds: dict[str, Kind] = {name: "text" for name in layout.names if only is None or name in only}
    first_row = dict(zip(layout.names, layout.first_row)) if len(layout.first_row) == len(layout.names) else {}

    def load() -> ParquetTable:
        return _written(folder, kinds, WRONG_LENGTH, lambda faults: read_csv(source, layout, list(kinds), faults))

    return Opened(layout.names, kinds, load, first_row)


def _open_json(source: Source, folder: Path, only: Sequence[str] | None, optional: Sequence[str]) -> Opened:
    found = json_kinds(source, only is not None)
    kinds = found
    if only is not None:
        kinds = {name: found.get(name, "text") for name in only if name in found or name in optional}

    def load() -> ParquetTable:
        read: dict[str, Kind] = {name: kind for name, kind in kinds.items() if kind != "other"}
        return _written(folder, read, NOT_AN_OBJECT, lambda faults: read_json_lines(source, read, faults))

    return Opened(tuple(found), kinds, load)


def _schema(file: str) -> pa.Schema:
    with reaching(file), open_file(file) as stream:
        try:
            return pq.read_schema(stream)
        except (pa.ArrowException, OSError) as error:
            stream.seek(0)
            head = stream.read(len(MAGIC))
            why = (
                " ".join(str(error).split())[:200]
                if head == MAGIC
                else f"it is no Parquet file, but begins with {head!r}"
            )
            raise UserError(f"{file}: cannot be read: {why}; mend or replace the file") from None


def _common(types: Iterable[pa.DataType | None]) -> Kind:
    kinds = {kind_of(type_) for type_ in types if type_ is not None} - {None}
    if len(kinds) == 1:
        return kinds.pop() or "text"
    return "other" if "other" in kinds else "text"


def _written(
    folder: Path, kinds: dict[str, Kind], reason: str, read: Callable[[FaultyRows], Iterator[pa.RecordBatch]]
) -> ParquetTable:
    place = Path(tempfile.mkdtemp(prefix="table-", dir=folder))
    types = {name: pa.list_(pa.string()) if kind == "list" else pa.string() for name, kind in kinds.items()}
    schema = pa.schema({ROW_COLUMN: pa.int64()} | types)
    faults = FaultyRows(place / "faults.parquet", reason)
    try:
        with pq.ParquetWriter(place / "table.parquet", schema) as writer:
            for batch in read(faults):
                columns = [column.cast(field.type) for column, field in zip(batch.columns, schema)]
                writer.write_table(pa.table(columns, schema=schema))
        faults.close()
    except OSError as error:  # those of reading are messages already
        raise UserError(f"{folder}: cannot be written ({error}); free disk, or write the output elsewhere") from None
    part = Part((str(place / "table.parquet"),), {field.name: field.type for field in schema})
    return ParquetTable((part,), kinds, True, faults.path if faults.count else None)
