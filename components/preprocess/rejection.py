"""Rows that cannot be used: counted, held against the limit, and written with reason and content."""

import logging
from collections.abc import Callable
from pathlib import Path

import narwhals as nw
import pyarrow as pa
import pyarrow.parquet as pq

from longtail.components.preprocess.column_sql import LIST
from longtail.components.preprocess.events import CHOSEN, REASON
from longtail.components.preprocess.layouts import Reading
from longtail.components.preprocess.settings import PreprocessSettings, Table
from longtail.contracts.columns import Columns
from longtail.contracts.errors import UserError
from longtail.tables.csv_files import WRONG_LENGTH
from longtail.tables.engine import ROW, Engine, Frame
from longtail.tables.json_lines import NOT_AN_OBJECT

logger = logging.getLogger(__name__)

NULL_ID = "null id"
UNKNOWN_ITEM = "unknown item"
REMEDIES = {  # for the most frequent reason
    "bad timestamp": "give times as seconds since 1970, or as text, 2020-09-13T12:26:40+00:00",
    "future timestamp": "give times as seconds since 1970, or raise latest_timestamp",
    NULL_ID: "give every row its ids (null, NaN and blank are none), or map the right columns with the setting columns",
    "unknown event": "name your events in events",
    UNKNOWN_ITEM: "give the items table a row for every item, with the id that the interactions have",
    WRONG_LENGTH: "quote fields that hold the delimiter or a line break",
    NOT_AN_OBJECT: "give one JSON object a line",
}
SCHEMA = pa.schema([("table", pa.string()), (ROW, pa.int64()), (REASON, pa.string()), ("content", pa.string())])


class Rejection:
    """Collects what the three tables lost. ``counts``: reason -> rows (of items and users: ``table: reason``)."""

    def __init__(self, engine: Engine, settings: PreprocessSettings) -> None:
        self._engine = engine
        self._settings = settings
        self._new: list[Frame] = []  # rows left out that are not held against the limit yet
        self._frames: list[Frame] = []
        self._ids: dict[Table, Frame] = {}
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
        reasons = self._of_faults(reading, name)
        rows, missing = int(with_id["n"]) + sum(reasons.values()), int(with_id["n"] - with_id["ids"])
        if missing:
            reasons[NULL_ID] = missing
            numbered = reading.scan.select(reading.columns, rows=True).filter(nw.col(key).is_null())
            self._add(name, numbered.with_columns(**{REASON: nw.lit(NULL_ID)}), list(reading.columns))
        self.counts |= {f"{name}: {reason}": count for reason, count in reasons.items()}
        if rows == 0:
            raise UserError(f"{uri}: has no rows; give a file with rows")
        self._within_limit(uri, rows, reasons)
        kept = table.filter(~nw.col(key).is_null())
        self._ids[name] = kept.select(key)
        return kept

    def of_events(self, reading: Reading, coded: Frame, check: Callable[[Frame], Frame]) -> int:
        """Count reasons over the coded rows; their content is read again only where there are some. Returns all rows.

        Raises:
            UserError: where too many rows cannot be used, or none is left, and what left them out.
        """
        groups = self._engine.collect(coded.group_by(REASON).agg(n=nw.len())).to_pylist()
        found = {row[REASON]: int(row["n"]) for row in groups}
        reasons = {reason: found[reason] for reason in sorted(found, key=str) if reason is not None}
        if reasons:
            given = {f"given {name}": sql for name, sql in reading.given.items()}
            lost = check(reading.scan.select(reading.columns | given, rows=True)).filter(~nw.col(REASON).is_null())
            as_given = {name: nw.col(f"given {name}") for name in reading.given}
            self._add("interactions", lost.with_columns(**as_given), list(reading.columns))
        reasons |= self._of_faults(reading, "interactions")
        rows = found.get(None, 0) + sum(reasons.values())
        uri = reading.scan.source.uri
        self._within_limit(uri, rows, reasons)
        if rows and not found.get(None):
            raise UserError(f"{uri}: none of {rows} rows is left ({_listed(reasons)}){self._of_choice()}")
        self.of_interactions = reasons
        self.counts |= reasons
        return rows

    def lost(self, rare: int) -> str:
        """What left events out, for a message; empty where nothing did. rare: events of items below min_item_count."""
        left_out = self.of_interactions | (
            {f"of items below min_item_count {self._settings.min_item_count}": rare} if rare else {}
        )
        return f" (left out before: {_listed(left_out)})" if left_out else ""

    def write(self, path: Path) -> None:
        if not self._frames:
            pq.write_table(SCHEMA.empty_table(), path)
            return
        self._engine.write(nw.concat(self._frames), path, ["table", ROW, "content"])

    def _add(self, table: Table, rows: Frame, columns: list[str]) -> None:
        shown = [
            nw.concat_str(nw.lit(f"{name}="), nw.col(name).cast(nw.String()).str.replace_all(LIST, "|", literal=True))
            for name in columns
            if name not in (Columns.DESCRIPTION, Columns.IMAGE)
        ]
        self._new.append(
            rows.select(
                nw.lit(table).alias("table"),
                nw.col(ROW).cast(nw.Int64()),
                nw.col(REASON),
                nw.concat_str(*shown, separator=", ", ignore_nulls=True).alias("content"),
            )
        )

    def _of_faults(self, reading: Reading, table: Table) -> dict[str, int]:
        """Rows that are none of the table, by reason."""
        faults = reading.scan.faults
        if faults is None:
            return {}
        self._new.append(faults.select(nw.lit(table).alias("table"), ROW, REASON, "content"))
        found = self._engine.collect(faults.group_by(REASON).agg(n=nw.len())).to_pylist()
        return {row[REASON]: int(row["n"]) for row in found}

    def _within_limit(self, uri: str, rows: int, reasons: dict[str, int]) -> None:
        """Tables of ids must have rows; interactions may be none yet."""
        faults = {reason: count for reason, count in reasons.items() if reason not in CHOSEN}
        if not faults:
            self._frames += self._new
            self._new.clear()
            return
        share, limit = sum(faults.values()) / rows, self._settings.max_rejected_share
        worst = max(faults, key=lambda reason: faults[reason])
        what = f"{sum(faults.values())} of {rows} rows"
        if share > limit:
            remedy = REMEDIES.get(worst, "map the right columns with the setting columns")
            raise UserError(
                f"{uri}: {what} cannot be used ({_listed(faults)}){self._example(self._new, worst)}; that is above "
                f"max_rejected_share {limit:g}: {remedy}, mend the rows, or raise the limit"
            )
        kept = [self._engine.keep(frame) for frame in self._new]
        self._frames += kept
        self._new.clear()
        logger.warning("%s: %s are left out (%s)%s", uri, what, _listed(faults), self._example(kept, worst))

    def _example(self, frames: list[Frame], reason: str) -> str:
        """The first row with that reason; beside an unknown item, ids that the items table has."""
        rows = [frame.filter(nw.col(REASON) == reason) for frame in frames]
        first = nw.concat(rows).sort(ROW, "content", nulls_last=True).head(1)
        row = self._engine.collect(first).to_pylist()[0]
        place = "" if row[ROW] is None else f" row {row[ROW]}"
        text = f", for example{place} [{row['content']}]"
        if reason == UNKNOWN_ITEM:
            known = self._engine.collect(self._ids["items"].sort(Columns.ITEM).head(3))[Columns.ITEM].to_pylist()
            text += f", while the items table has ids such as {', '.join(map(repr, known))}"
        return text

    def _of_choice(self) -> str:
        if self._settings.min_rating is None:
            return "; mend the rows"
        return f": min_rating {self._settings.min_rating:g} leaves ratings below it out; lower it, or take it out"


def _listed(reasons: dict[str, int]) -> str:
    return ", ".join(f"{reason}: {count}" for reason, count in reasons.items())
