"""Who runs the table expressions. Both engines read, keep and write natively; everything between is Narwhals.

``Scan`` selects with SQL text that means the same in DuckDB and Spark (casts of what a file holds); the engines differ in
nothing else that a stage could see.
"""

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Literal, Protocol

import narwhals as nw
import pyarrow as pa

from longtail.contracts.errors import UserError
from longtail.system.machine import available_cores
from longtail.tables.sources import Source

Frame = nw.LazyFrame[Any]
Kind = Literal["text", "whole", "number", "time", "list", "other"]
ROW = "row"  # number of the row within its table, from 0, where the engine knows it


class Scan(Protocol):
    """A table as its files hold it."""

    source: Source
    kinds: dict[str, Kind]  # column -> what it holds

    def select(self, columns: Mapping[str, str], rows: bool = False) -> Frame:
        """New columns from SQL text; ``rows`` adds ``row``, null on Spark, which does not number rows."""


class Engine(Protocol):
    def quote(self, name: str) -> str:
        """A column's name as SQL text."""

    def scan(self, source: Source, optional: Sequence[str] = ()) -> Scan:
        """Open files; ``optional`` names JSON keys that may occur though the first lines do not have them."""

    def keep(self, frame: Frame) -> Frame:
        """Compute the frame once and hold it (spilling to disk) for the expressions that follow."""

    def collect(self, frame: Frame) -> pa.Table:
        """A small result."""

    def pack(self, frame: Frame, columns: Sequence[str], name: str) -> Frame:
        """Add ``name``, a list of the given float32 columns, in their place."""

    def percentiles(self, frame: Frame, column: str, shares: Sequence[float]) -> list[float]:
        """Smallest values at or below which the given shares of the non-null values lie."""

    def write(self, frame: Frame, path: Path, order_by: Sequence[str]) -> None:
        """One sorted Parquet file."""

    def close(self) -> None: ...


@contextmanager
def open_engine(
    name: Literal["duckdb", "spark"], memory_limit_gb: float, spark_remote: str | None, folder: Path
) -> Iterator[Engine]:
    """The engine, with ``folder`` for what it spills and fetches.

    Raises:
        UserError: where Spark cannot be started, with the remedy.
    """
    engine: Engine
    if name == "duckdb":
        from longtail.tables.duckdb_engine import DuckDbEngine

        engine = DuckDbEngine(memory_limit_gb, available_cores(), folder)
    else:
        try:
            from longtail.tables.spark_engine import SparkEngine
        except ImportError as error:
            raise UserError(
                f"engine: spark needs pyspark ({error}); pip install 'longtail[spark]', or take engine: duckdb"
            ) from None
        engine = SparkEngine(memory_limit_gb, available_cores(), spark_remote, folder)
    try:
        yield engine
    finally:
        engine.close()
