"""Who runs the table expressions. Both engines read, keep and write natively; everything between is Narwhals.

``Scan`` selects with SQL text that means the same in DuckDB and Spark (casts of what a file holds); the engines differ in
nothing else that a stage could see.
"""

from collections.abc import Mapping, Sequence
from contextlib import AbstractContextManager
from pathlib import Path
from typing import Any, Literal, Protocol

import narwhals as nw
import pyarrow as pa

from longtail.tables.kinds import Kind
from longtail.tables.sources import Source

Frame = nw.LazyFrame[Any]
ROW = "row"  # number of the row within its table, from 0, where the engine knows it


class Scan(Protocol):
    """A table as its files hold it. Lists are lists of texts here, bytes are text."""

    source: Source
    kinds: dict[str, Kind]  # column that can be selected -> what it holds
    found: tuple[str, ...]  # every column of the files
    first_row: dict[str, str]  # of data, of a CSV file

    @property
    def faults(self) -> Frame | None:
        """``row, reason, content`` of what is no row of the table."""

    def select(self, columns: Mapping[str, str], rows: bool = False) -> Frame:
        """New columns from SQL text; ``rows`` adds ``row``, null for Parquet on Spark, which does not number rows."""


class Engine(Protocol):
    folder: Path  # for what a stage sets aside while it runs

    def quote(self, name: str) -> str:
        """A column's name as SQL text."""

    def scan(self, source: Source, only: Sequence[str] | None = None, optional: Sequence[str] = ()) -> Scan:
        """Open files; ``only`` and ``optional`` as ``parquet_files.open_files`` takes them."""

    def keep(self, frame: Frame) -> Frame:
        """Compute the frame once and hold it (spilling to disk) for the expressions that follow."""

    def collect(self, frame: Frame) -> pa.Table:
        """A small result."""

    def pack(
        self, frame: Frame, columns: Sequence[str], name: str, kind: Literal["float", "double"] = "float"
    ) -> Frame:
        """Add ``name``, a list of the given columns as float32 or float64, in their place."""

    def hashed(self, frame: Frame, column: str, seed: int, name: str) -> Frame:
        """Add ``name``, an int64 below 2 ** 28 from seed and text: the first 7 digits of the MD5 of ``seed:text``."""

    def percentiles(self, frame: Frame, column: str, shares: Sequence[float]) -> list[float]:
        """Smallest values at or below which the given shares of the non-null values lie."""

    def write(self, frame: Frame, path: Path, order_by: Sequence[str]) -> None:
        """One sorted Parquet file."""

    def explained(self) -> AbstractContextManager[None]:
        """Within it every error of the engine becomes a ``UserError``, which names the file where one is at fault."""

    def close(self) -> None: ...
