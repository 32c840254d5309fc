"""Rows that are no rows of the table: their numbers and texts, written aside as they come."""

from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq

SCHEMA = pa.schema([("row", pa.int64()), ("reason", pa.string()), ("content", pa.string())])
SHOWN = 500  # characters
AT_ONCE = 10_000


class FaultyRows:
    """Writes ``row, reason, content`` to a Parquet file, which is there only if ``count`` is not 0."""

    def __init__(self, path: Path, reason: str) -> None:
        self.path, self.reason, self.count = path, reason, 0
        self._rows: list[tuple[int, str, str]] = []
        self._writer: pq.ParquetWriter | None = None

    def add(self, row: int, text: str) -> None:
        self.count += 1
        self._rows.append((row, self.reason, text[:SHOWN]))
        if len(self._rows) >= AT_ONCE:
            self._write()

    def close(self) -> None:
        if self._rows:
            self._write()
        if self._writer:
            self._writer.close()

    def _write(self) -> None:
        if self._writer is None:
            self._writer = pq.ParquetWriter(self.path, SCHEMA)
        columns = [pa.array(column, field.type) for column, field in zip(zip(*self._rows), SCHEMA)]
        self._writer.write_table(pa.table(columns, schema=SCHEMA))
        self._rows.clear()
