"""Items that come after training: their table becomes the texts that the language model reads."""

import logging
import tempfile
from collections import Counter
from collections.abc import Collection, Mapping
from pathlib import Path
from typing import Any

import narwhals as nw
import pyarrow as pa

from longtail.components.preprocess.catalogue import REWRITES, all_alike, item_text
from longtail.components.preprocess.column_sql import LIST
from longtail.components.preprocess.layouts import check_mapping, check_settings, open_table
from longtail.components.preprocess.settings import PreprocessSettings
from longtail.components.preprocess.texts import rewritten
from longtail.contracts.columns import Columns
from longtail.contracts.errors import UserError
from longtail.tables.engine import ROW
from longtail.tables.engines import open_engine

log = logging.getLogger(__name__)
SHOWN = 3  # rows named in a message


def read_new_items(uri: str, settings: PreprocessSettings, known: Collection[str] = ()) -> pa.Table:
    """``item_id, title, attributes, text`` of every row, in the order of the rows; text is made as preprocess makes it.

    known: ids whose rows are passed over.

    Raises:
        UserError: naming the rows (from 0) that have no id, no text, or the id of another row.
    """
    check_settings(settings)
    with (
        tempfile.TemporaryDirectory(prefix="longtail-items-") as scratch,
        open_engine(settings.engine, settings.memory_limit_gb, settings.spark_remote, Path(scratch)) as engine,
    ):
        reading = open_table(engine, uri, "items", settings)
        check_mapping({"items": reading}, settings)
        numbers = sorted({*reading.numbers, *all_alike(engine, reading)[0]})
        unused = sorted({*reading.maybe, *reading.unused} - set(numbers))
        faults = [] if reading.scan.faults is None else engine.collect(reading.scan.faults).to_pylist()
        columns = {name: sql for name, sql in reading.columns.items() if name != Columns.IMAGE}
        frame = rewritten(engine, engine.keep(reading.scan.select(columns, rows=True)), REWRITES)
        table = engine.collect(
            frame.select(
                ROW,
                Columns.ITEM,
                Columns.TITLE,
                nw.col(Columns.ATTRIBUTES).str.split(LIST),
                item_text().alias(Columns.TEXT),
            )
        ).sort_by([(ROW, "ascending"), (Columns.ITEM, "ascending")])
    for fault in faults[:1]:
        raise UserError(f"{uri}: row {fault['row']} [{fault['content']}] has the {fault['reason']}; mend the row")
    if not table.num_rows:
        raise UserError(f"{uri}: has no rows; give a table with the new items")
    table = table.filter(pa.array([item not in known for item in table[Columns.ITEM].to_pylist()], pa.bool_()))
    rows = table.to_pylist()
    _refuse(uri, [row for row in rows if row[Columns.ITEM] is None], "has no item_id; give every item one")
    _refuse(uri, _repeated(rows), "occurs more than once; give one row for each item")
    without = [row for row in rows if not row[Columns.TEXT]]
    _refuse(uri, without, "has no title, attributes or description, so nothing is known of it; leave it out")
    pictures = [Columns.IMAGE] if Columns.IMAGE in reading.columns else []
    for names, why in (
        (numbers, "a new item gets the catalogue's mean for numbers"),
        (pictures, "a new item is known by its text, as those without a picture are"),
        (unused, "nothing reads them"),
    ):
        if names:
            log.warning("%s: columns %s are ignored: %s", uri, ", ".join(names), why)
    return table.drop_columns([ROW])


def _repeated(rows: list[dict[str, Any]]) -> list[dict[str, Any]]:
    counts = Counter(row[Columns.ITEM] for row in rows)
    return [row for row in rows if counts[row[Columns.ITEM]] > 1]


def _refuse(uri: str, rows: list[dict[str, Any]], what: str) -> None:
    if rows:
        more = f" (and {len(rows) - SHOWN} more)" if len(rows) > SHOWN else ""
        raise UserError(f"{uri}: {', '.join(map(_place, rows[:SHOWN]))}{more} {what}")


def _place(row: Mapping[str, Any]) -> str:
    """Spark numbers no rows."""
    return "row" + ("" if row[ROW] is None else f" {row[ROW]}") + f" [item_id={row[Columns.ITEM]}]"
