"""DuckDB, embedded: a connection of its own with a memory limit, spilling to disk."""

import logging
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from functools import cached_property
from pathlib import Path
from typing import Any, Literal

import duckdb
import narwhals as nw
import pyarrow as pa

from longtail.contracts.errors import UserError
from longtail.tables.engine import ROW, Frame
from longtail.tables.kinds import ROW_COLUMN, literal
from longtail.tables.parquet_files import Opened, ParquetTable, open_files
from longtail.tables.sources import Source, fetch

log = logging.getLogger(__name__)


class DuckDbScan:
    def __init__(self, engine: "DuckDbEngine", source: Source, opened: Opened) -> None:
        self._engine, self._opened = engine, opened
        self.source, self.kinds, self.found, self.first_row = source, opened.kinds, opened.found, opened.first_row

    @cached_property
    def _table(self) -> ParquetTable:
        return self._engine.loaded(self.source, self._opened)

    @property
    def faults(self) -> Frame | None:
        file = self._table.faults
        return None if file is None else self._engine.sql(f"select * from read_parquet({names([str(file)])})")

    def select(self, columns: Mapping[str, str], rows: bool = False) -> Frame:
        chosen = [f"{sql} as {quote(name)}" for name, sql in columns.items()]
        if rows:
            chosen.insert(0, f"{quote(ROW_COLUMN) if self._table.has_rows else 'row_number() over () - 1'} as {ROW}")
        return self._engine.sql(f"select {', '.join(chosen)} from ({self._parts()})")

    def _parts(self) -> str:
        selected = []
        for part in self._table.parts:
            columns = self._table.columns_of(part, quote, "try(decode({}))", "cast({} as varchar[])")
            chosen = ", ".join(f"{sql} as {quote(name)}" for name, sql in columns.items())
            selected.append(f"select {chosen} from read_parquet({names(part.files)}, union_by_name=true)")
        return " union all ".join(selected)


class DuckDbEngine:
    def __init__(self, memory_limit_gb: float, threads: int, folder: Path) -> None:
        self.folder = folder
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

    def scan(self, source: Source, only: Sequence[str] | None = None, optional: Sequence[str] = ()) -> DuckDbScan:
        return DuckDbScan(self, source, open_files(source, self.folder, only, optional))

    def loaded(self, source: Source, opened: Opened) -> ParquetTable:
        table = opened.load()
        if source.format != "parquet":
            return table
        local = fetch(source, self.folder).files
        self._origins |= dict(zip(local, source.files))
        return table.at(dict(zip(source.files, local)))

    def sql(self, query: str) -> Frame:
        return _frame(self._con.sql(query))

    @contextmanager
    def explained(self) -> Iterator[None]:
        """What DuckDB cannot read is the user's to mend: its message, cut to file, line and fault."""
        try:
            yield
        except duckdb.OutOfMemoryException as error:
            raise UserError(
                f"DuckDB ran out of memory or disk ({_cut(error)}); raise memory_limit_gb, free disk, or take engine: spark"
            ) from None
        except duckdb.Error as error:
            text = " ".join(str(error).split())
            read = next((origin for file, origin in self._origins.items() if file in text), None)
            for file, origin in self._origins.items():
                text = text.replace(file, origin)
            log.debug("DuckDB's error", exc_info=True)
            if read is not None:
                raise UserError(f"{read}: cannot be read: {text.split(' Possible ')[0][:400]}; mend the file") from None
            raise UserError(
                f"DuckDB cannot work on these tables ({type(error).__name__}: {text[:400]}); compare the columns and their "
                "types with those that the documentation names"
            ) from None

    def keep(self, frame: Frame) -> Frame:
        self._kept += 1
        name = f"kept_{self._kept}"
        native: Any = frame.to_native()
        native.create(name)
        return _frame(self._con.table(name))

    def collect(self, frame: Frame) -> pa.Table:
        native: Any = frame.to_native()
        table: pa.Table = native.to_arrow_table()
        return table

    def pack(
        self, frame: Frame, columns: Sequence[str], name: str, kind: Literal["float", "double"] = "float"
    ) -> Frame:
        native: Any = frame.to_native()
        packed = f"cast([{', '.join(map(quote, columns))}] as {kind}[]) as {quote(name)}"
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
        native.order(", ".join(map(quote, order_by))).write_parquet(str(path), compression="zstd")


def _frame(native: Any) -> Frame:
    frame: Frame = nw.from_native(native)
    return frame


def quote(name: str) -> str:
    return '"' + name.replace('"', '""') + '"'


def names(files: Sequence[str]) -> str:
    """File names as an SQL list; a name that holds a glob's signs still means itself."""
    escaped = ["".join(f"[{sign}]" if sign in "*?[" else sign for sign in file) for file in files]
    return "[" + ", ".join(map(literal, escaped)) + "]"


def _cut(error: Exception) -> str:
    return " ".join(str(error).split())[:300]
