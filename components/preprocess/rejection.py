"""Rows that cannot be used: counted, held against the limit, and written with reason and content."""

from collections.abc import Callable
from pathlib import Path

import narwhals as nw
import pyarrow as pa
import pyarrow.parquet as pq

from longtail.components.preprocess.events import CHOSEN, REASON
from longtail.components.preprocess.layouts import Reading, Table
from longtail.components.preprocess.settings import PreprocessSettings
from longtail.contracts.columns import Columns
from longtail.contracts.errors import UserError
from longtail.tables.engine import ROW, Engine, Frame

NULL_ID = "null id"
REMEDIES = {  # for the most frequent reason
    "bad timestamp": "give times as seconds since 1970, or as text, 2020-09-13T12:26:40+00:00",
    "future timestamp": "give times as seconds since 1970, or raise latest_timestamp",
    "unknown event": "name your events and their weights in event_weights",
    "unknown item": "give the items table a row for every item",
}
SCHEMA = pa.schema([("table", pa.string()), (ROW, pa.int64()), (REASON, pa.string()), ("content", pa.string())])


class Rejection:
    """Collects what the three tables lost. ``counts``: reason -> rows (of items and users: ``table: reason``)."""

    def __init__(self, engine: Engine, settings: PreprocessSettings) -> None:
        self._engine = engine
        self._settings = settings
        self._frames: list[Frame] = []
        self.counts: dict[str, int] = {}
        self.of_interactions: dict[str, int] = {}

    def of_ids(self, reading: Reading, table: Frame, name: Table, key: str) -> Frame:
        """The table's rows with an id.

        Raises:
            UserError: where an id occurs twice, naming it, or too many rows have none, or there is no row.
        """
        uri = reading.scan.source.uri
        twice = table.filter(~nw.col(key).is_null()).group_by(key).agg(n=nw.len()).filter(nw.col("n") > 1)
        found = self._engine.collect(twice.sort(key).head(3)).to_pylist()
        if found:
            ids = ", ".join(f"{row[key]!r} ({row['n']} times)" for row in found)
            raise UserError(f"{uri}: {key} occurs more than once: {ids}; give one row for each {key}")
        with_id = self._engine.collect(table.select(n=nw.len(), ids=nw.col(key).count())).to_pylist()[0]
        rows, missing = int(with_id["n"]), int(with_id["n"] - with_id["ids"])
        if missing:
            self.counts[f"{name}: {NULL_ID}"] = missing
            numbered = reading.scan.select(reading.columns, rows=True).filter(nw.col(key).is_null())
            self._add(name, numbered.with_columns(**{REASON: nw.lit(NULL_ID)}), list(reading.columns))
        self._within_limit(uri, rows, {NULL_ID: missing} if missing else {})
        return table.filter(~nw.col(key).is_null())

    def of_events(self, reading: Reading, coded: Frame, check: Callable[[Frame], Frame]) -> int:
        """Count reasons over the coded rows; their content is read again only where there are some. Returns all rows."""
        groups = self._engine.collect(coded.group_by(REASON).agg(n=nw.len())).to_pylist()
        found = {row[REASON]: int(row["n"]) for row in groups}
        rows = sum(found.values())
        reasons = {reason: found[reason] for reason in sorted(found, key=str) if reason is not None}
        if reasons:
            given = {f"given {name}": sql for name, sql in reading.given.items()}
            lost = check(reading.scan.select(reading.columns | given, rows=True)).filter(~nw.col(REASON).is_null())
            as_given = {name: nw.col(f"given {name}") for name in reading.given}
            self._add("interactions", lost.with_columns(**as_given), list(reading.columns))
        self._within_limit(reading.scan.source.uri, rows, reasons)
        self.of_interactions = reasons
        self.counts |= reasons
        return rows

    def write(self, path: Path) -> None:
        if not self._frames:
            pq.write_table(SCHEMA.empty_table(), path)
            return
        self._engine.write(nw.concat(self._frames), path, ["table", ROW, "content"])

    def _add(self, table: Table, rows: Frame, columns: list[str]) -> None:
        shown = [
            nw.concat_str(nw.lit(f"{name}="), nw.col(name).cast(nw.String()))
            for name in columns
            if name != Columns.DESCRIPTION
        ]
        self._frames.append(
            rows.select(
                nw.lit(table).alias("table"),
                nw.col(ROW).cast(nw.Int64()),
                nw.col(REASON),
                nw.concat_str(*shown, separator=", ", ignore_nulls=True).alias("content"),
            )
        )

    def _within_limit(self, uri: str, rows: int, reasons: dict[str, int]) -> None:
        if rows == 0:
            raise UserError(f"{uri}: has no rows; give a file with rows")
        faults = {reason: count for reason, count in reasons.items() if reason not in CHOSEN}
        share, limit = sum(faults.values()) / rows, self._settings.max_rejected_share
        if share <= limit:
            return
        listed = ", ".join(f"{reason}: {count}" for reason, count in faults.items())
        remedy = REMEDIES.get(
            max(faults, key=lambda reason: faults[reason]), "map the right columns with the setting columns"
        )
        raise UserError(
            f"{uri}: {sum(faults.values())} of {rows} rows cannot be used ({listed}){self._example()}; that is above "
            f"max_rejected_share {limit:g}: {remedy}, mend the rows, or raise the limit"
        )

    def _example(self) -> str:
        if not self._frames:
            return ""
        faults = self._frames[-1].filter(~nw.col(REASON).is_in(list(CHOSEN)))
        first = faults.sort(ROW, "content", nulls_last=True).head(1)
        row = self._engine.collect(first).to_pylist()[0]
        place = "" if row[ROW] is None else f" row {row[ROW]}"
        return f", for example{place} [{row['content']}]"
