"""DuckDB, embedded: a connection of its own with a memory limit, spilling to disk."""

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import duckdb
import narwhals as nw
import pyarrow as pa

from longtail.contracts.errors import UserError
from longtail.tables.engine import ROW, Frame, Kind
from longtail.tables.sources import Source, csv_columns, fetch

SAMPLE_LINES = 100_000  # lines of a JSON Lines file that are read to learn its keys


class DuckDbScan:
    def __init__(self, con: duckdb.DuckDBPyConnection, source: Source, sql: str, kinds: dict[str, Kind]) -> None:
        self._con, self._sql = con, sql
        self.source, self.kinds = source, kinds

    def select(self, columns: Mapping[str, str], rows: bool = False) -> Frame:
        chosen = ", ".join(f"{sql} as {quote(name)}" for name, sql in columns.items())
        number = f"row_number() over () - 1 as {ROW}, " if rows else ""
        return _frame(self._con.sql(f"select {number}{chosen} from {self._sql}"))


class DuckDbEngine:
    def __init__(self, memory_limit_gb: float, threads: int, folder: Path) -> None:
        self._folder = folder
        self._kept = 0
        self._origins: dict[str, str] = {}  # file that is read -> file that the user named
        self._con = duckdb.connect(
            config={
                "memory_limit": f"{memory_limit_gb}GB",
                "threads": threads,
                "temp_directory": str(folder / "spill"),
                "autoinstall_known_extensions": False,  # never a network call
            }
        )
        # names that Spark has, so that one SQL text serves both engines
        self._con.execute("create macro array_join(list, separator) as array_to_string(list, separator)")
        self._con.execute("create macro unix_micros(time) as epoch_us(time)")
        self._con.execute("create macro try_to_timestamp(text) as try_cast(text as timestamptz)")
        self._con.execute("set TimeZone = 'UTC'")  # of times without a zone

    def close(self) -> None:
        self._con.close()

    def quote(self, name: str) -> str:
        return quote(name)

    def scan(self, source: Source, optional: Sequence[str] = ()) -> DuckDbScan:
        local = fetch(source, self._folder)
        self._origins |= dict(zip(local.files, source.files))
        with self._explained():
            sql, kinds = getattr(self, f"_{source.format}")(local, optional)
        return DuckDbScan(self._con, source, sql, kinds)

    def _parquet(self, source: Source, optional: Sequence[str]) -> tuple[str, dict[str, Kind]]:
        sql = f"read_parquet({names(source.files)}, union_by_name=true)"
        return sql, {name: _kind(type_) for name, type_ in self._describe(sql)}

    def _csv(self, source: Source, optional: Sequence[str]) -> tuple[str, dict[str, Kind]]:
        columns = csv_columns(source)
        types = "{" + ", ".join(f"{literal(name)}: 'VARCHAR'" for name in columns) + "}"
        sql = (
            f"read_csv({names(source.files)}, header={source.header is None}, delim={literal(source.delimiter)}, "
            f"quote='\"', escape='\"', columns={types}, encoding={literal(source.encoding)}, null_padding=true, "
            "auto_detect=false)"
        )
        return sql, {name: "text" for name in columns}

    def _jsonl(self, source: Source, optional: Sequence[str]) -> tuple[str, dict[str, Kind]]:
        common = f"{names(source.files)}, format='newline_delimited', ignore_errors=true"
        described = self._describe(f"read_json({common}, maximum_depth=2, sample_size={SAMPLE_LINES})")
        kinds: dict[str, Kind] = {name: _kind(type_) for name, type_ in described}
        kinds |= {name: "text" for name in optional if name not in kinds}
        types = ", ".join(
            f"{literal(name)}: '{'VARCHAR[]' if kind == 'list' else 'VARCHAR'}'" for name, kind in kinds.items()
        )
        return f"read_json({common}, columns={{{types}}})", kinds

    @contextmanager
    def _explained(self) -> Iterator[None]:
        """What DuckDB cannot read is the user's to mend: its message, cut to file, line and fault."""
        try:
            yield
        except (duckdb.IOException, duckdb.InvalidInputException, duckdb.ConversionException) as error:
            text = " ".join(str(error).split())
            read = next((origin for file, origin in self._origins.items() if file in text), None)
            if read is None:
                raise
            for file, origin in self._origins.items():
                text = text.replace(file, origin)
            raise UserError(f"{read}: cannot be read: {text.split(' Possible ')[0][:400]}; mend the file") from None
        except duckdb.OutOfMemoryException as error:
            raise UserError(
                f"preprocess: DuckDB ran out of memory or disk ({' '.join(str(error).split())[:300]}); raise "
                "memory_limit_gb, free disk, or take engine: spark"
            ) from None

    def _describe(self, sql: str) -> list[tuple[str, str]]:
        return [(row[0], row[1]) for row in self._con.sql(f"describe select * from {sql}").fetchall()]

    def keep(self, frame: Frame) -> Frame:
        self._kept += 1
        name = f"kept_{self._kept}"
        native: Any = frame.to_native()
        with self._explained():
            native.create(name)
        return _frame(self._con.table(name))

    def collect(self, frame: Frame) -> pa.Table:
        native: Any = frame.to_native()
        with self._explained():
            return native.to_arrow_table()

    def pack(self, frame: Frame, columns: Sequence[str], name: str) -> Frame:
        native: Any = frame.to_native()
        packed = f"cast([{', '.join(map(quote, columns))}] as float[]) as {quote(name)}"
        dropped = f"* exclude ({', '.join(map(quote, columns))})" if columns else "*"
        return _frame(native.project(f"{dropped}, {packed}"))

    def hashed(self, frame: Frame, column: str, seed: int, name: str) -> Frame:
        native: Any = frame.to_native()
        digits = f"substr(md5('{seed}:' || {quote(column)}), 1, 7)"
        return _frame(native.project(f"*, cast('0x' || {digits} as bigint) as {quote(name)}"))

    def percentiles(self, frame: Frame, column: str, shares: Sequence[float]) -> list[float]:
        native: Any = frame.to_native()
        chosen = ", ".join(f"percentile_disc({share}) within group (order by {quote(column)})" for share in shares)
        return [float(value) for value in native.aggregate(chosen).fetchall()[0]]

    def write(self, frame: Frame, path: Path, order_by: Sequence[str]) -> None:
        native: Any = frame.to_native()
        with self._explained():
            native.order(", ".join(map(quote, order_by))).write_parquet(str(path), compression="zstd")


def _frame(native: Any) -> Frame:
    frame: Frame = nw.from_native(native)
    return frame


def quote(name: str) -> str:
    return '"' + name.replace('"', '""') + '"'


def literal(text: str) -> str:
    return "'" + text.replace("'", "''") + "'"


def names(files: Sequence[str]) -> str:
    """File names as an SQL list; a name that holds a glob's signs still means itself."""
    escaped = ["".join(f"[{sign}]" if sign in "*?[" else sign for sign in file) for file in files]
    return "[" + ", ".join(map(literal, escaped)) + "]"


def _kind(type_: str) -> Kind:
    if type_.endswith("[]"):
        return "list" if type_ in ("VARCHAR[]", "JSON[]", '"NULL"[]') else "other"
    if type_.startswith(("TIMESTAMP", "DATE")):
        return "time"
    if type_.startswith(("DECIMAL", "FLOAT", "DOUBLE")):
        return "number"
    if type_.lstrip("U") in ("BIGINT", "INTEGER", "SMALLINT", "TINYINT", "HUGEINT"):
        return "whole"
    return "text" if type_.startswith(("VARCHAR", "ENUM", "BOOLEAN", "JSON", "UUID", '"NULL"')) else "other"
