"""Layouts of input files: which of a file's columns, as SQL text, is which column of ours."""

import logging
import re
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path

from longtail.components.preprocess.column_sql import ColumnSql
from longtail.components.preprocess.contexts import context_sql, refuse_later_names, refuse_shared_names
from longtail.components.preprocess.header_lines import refuse_data
from longtail.components.preprocess.presets import GENRES, HEADERS, PRESETS
from longtail.components.preprocess.settings import PreprocessSettings, Table
from longtail.contracts.columns import Columns
from longtail.contracts.errors import UserError
from longtail.tables.engine import Engine, Scan
from longtail.tables.kinds import literal
from longtail.tables.sources import Source, find
from longtail.tables.text_streams import check_encoding

logger = logging.getLogger(__name__)

ROW_NUMBERS = re.compile(r"__index_level_[0-9]+__|Unnamed: [0-9]+")
RATING = "rating"  # the event whose weight is its value

OURS: dict[Table, tuple[str, ...]] = {
    "interactions": (Columns.USER, Columns.ITEM, Columns.TIMESTAMP, Columns.EVENT, Columns.VALUE, Columns.SPLIT),
    "items": (Columns.ITEM, Columns.TITLE, Columns.DESCRIPTION, Columns.ATTRIBUTES, Columns.IMAGE),
    "users": (Columns.USER,),
}


@dataclass(frozen=True)
class Reading:
    """A table's columns as SQL text.

    ``numbers`` are columns that hold numbers; ``maybe`` columns of text that may all be numbers, or all lists, which only
    reading tells; ``given`` is what the file holds in the place of some of ``columns``, for messages.
    """

    scan: Scan
    columns: dict[str, str]
    numbers: dict[str, str] = field(default_factory=dict)
    maybe: dict[str, str] = field(default_factory=dict)
    lists: dict[str, str] = field(default_factory=dict)
    unused: tuple[str, ...] = ()
    given: dict[str, str] = field(default_factory=dict)
    float_ids: dict[str, str] = field(default_factory=dict)  # the file's name of an id stored as float -> SQL


def open_table(engine: Engine, uri: str, table: Table, settings: PreprocessSettings) -> Reading:
    """Find the table's files and the columns in them.

    Raises:
        UserError: naming file and column where one is missing or of a type that cannot be used.
    """
    columns = PRESETS[settings.format] | settings.columns
    source = _source(uri, table, settings)
    only = None
    if table == "interactions":
        only = [name for ours in OURS[table] for name in (columns.get(ours, ours), ours)] + list(settings.context)
    scan = engine.scan(source, only, [columns.get(name, name) for name in OURS[table] if name not in _required(table)])
    names = {name: column for name in OURS[table] if (column := _column(scan, name, table, settings)) is not None}
    if settings.split != "given":
        names.pop(Columns.SPLIT, None)
    refuse_data(scan, [column for name, column in names.items() if column != name], table, _required(table))
    ids = [names[name] for name in (Columns.USER, Columns.ITEM) if name in names]
    sql = ColumnSql(engine, scan, ids)
    floats = {column: engine.quote(column) for column in ids if scan.kinds[column] == "number"}
    return replace(_reading(sql, names, table, settings), float_ids=floats)


def _reading(sql: ColumnSql, names: Mapping[str, str], table: Table, settings: PreprocessSettings) -> Reading:
    if table == "interactions":
        shown = [name for name in (Columns.TIMESTAMP, Columns.VALUE) if name in names]
        given = {name: f"cast({sql.scalar(names[name])} as string)" for name in shown}
        return Reading(sql.scan, _interactions(sql, names, context_sql(sql, names, settings)), given=given)
    if table == "items":
        return _items(sql, names, settings)
    return _users(sql, names)


def check_settings(settings: PreprocessSettings) -> None:
    known = sorted({name for names in OURS.values() for name in names})
    for name in settings.columns:
        if name not in known:
            raise UserError(f"columns.{name}: is none of our columns; they are {', '.join(known)}")
    if Columns.SPLIT in settings.columns and settings.split != "given":
        raise UserError(
            f"columns.{Columns.SPLIT}: is read only with split: given, and split is {settings.split}; take it out"
        )
    for table, header in settings.header.items():
        if "" in header or len(set(header)) != len(header):
            raise UserError(f"header.{table}: {list(header)} has an empty or repeated name; name every column")
    refuse_later_names(settings)
    if settings.encoding is not None:
        check_encoding(settings.encoding)
    if RATING in settings.events:
        raise UserError(f"events: ratings are taken always; take {RATING} out of the list")


def check_mapping(readings: Mapping[Table, Reading], settings: PreprocessSettings) -> None:
    """Every mapped column must be in one of the tables that may have it: a mapping that does nothing is a mistake."""
    for name, column in settings.columns.items():
        scans = [reading.scan for table, reading in readings.items() if name in OURS[table]]
        if scans and not any(column in scan.kinds for scan in scans):
            found = "; ".join(f"{scan.source.uri} has {', '.join(scan.found)}" for scan in scans)
            raise UserError(f"columns.{name}: there is no column {column!r} ({found}); name one of these")


def check_effects(readings: Mapping[Table, Reading], settings: PreprocessSettings) -> None:
    """A setting that cannot act on these tables is a mistake, too.

    Raises:
        UserError: naming the setting.
    """
    formats = {reading.scan.source.format for reading in readings.values()}
    if settings.encoding is not None and formats == {"parquet"}:
        raise UserError(f"encoding is {settings.encoding}, but no table is a text file; take it out")
    if settings.quotes is not None and "csv" not in formats:
        raise UserError(f"quotes is {settings.quotes}, but no table is a CSV file; take it out")
    for table in settings.header:
        if table not in readings:
            raise UserError(f"header.{table}: there is no {table} table; take it out")
    if "users" in readings:
        refuse_shared_names(settings.context, readings["users"].scan)
    interactions = readings["interactions"]
    if settings.min_rating is not None and Columns.VALUE not in interactions.given:
        raise UserError(
            f"min_rating is {settings.min_rating:g}, but {interactions.scan.source.uri} has no column 'value' (found: "
            f"{', '.join(interactions.scan.found)}): map it with columns: {{value: YOUR_COLUMN}}, or take min_rating out"
        )


def _interactions(sql: ColumnSql, names: Mapping[str, str], context: str) -> dict[str, str]:
    event, value = names.get(Columns.EVENT), names.get(Columns.VALUE)
    return {
        Columns.USER: sql.id(names[Columns.USER]),
        Columns.ITEM: sql.id(names[Columns.ITEM]),
        Columns.TIMESTAMP: sql.time(names[Columns.TIMESTAMP]),
        Columns.EVENT: sql.text(event) if event else "cast(null as string)",
        Columns.VALUE: sql.rating(value) if value else "cast(null as double)",
        Columns.SPLIT: sql.text(names[Columns.SPLIT]) if Columns.SPLIT in names else "cast(null as string)",
        Columns.CONTEXT: context,
    }


def _items(sql: ColumnSql, names: Mapping[str, str], settings: PreprocessSettings) -> Reading:
    text = {name: sql.text(names[name]) for name in (Columns.TITLE, Columns.DESCRIPTION) if name in names}
    null = "cast(null as string)"
    columns = {
        Columns.ITEM: sql.id(names[Columns.ITEM]),
        Columns.TITLE: text.get(Columns.TITLE, null),
        Columns.ATTRIBUTES: sql.joined(names[Columns.ATTRIBUTES]) if Columns.ATTRIBUTES in names else null,
        Columns.DESCRIPTION: text.get(Columns.DESCRIPTION, null),
    }
    if Columns.IMAGE in names:
        columns[Columns.IMAGE] = sql.written(names[Columns.IMAGE])
    kinds = sql.scan.kinds
    if settings.format == "movielens":
        return _movielens_items(sql, columns)
    if settings.format == "amazon-2023":
        parts = [sql.joined(name) for name in ("store", "categories") if name in kinds]
        columns[Columns.ATTRIBUTES] = f"nullif(concat_ws(chr(31), {', '.join(parts)}), '')" if parts else null
        parts = [sql.text(name) for name in ("features", "description") if name in kinds]
        columns[Columns.DESCRIPTION] = f"nullif(concat_ws(' ', {', '.join(parts)}), '')" if parts else null
        return Reading(sql.scan, columns, {"price": sql.number("price")} if "price" in kinds else {})
    rest = _rest(sql.scan, names)
    return Reading(
        sql.scan,
        columns,
        numbers={name: sql.number(name) for name in rest if kinds[name] in ("whole", "number")},
        maybe={name: sql.text(name) for name in rest if kinds[name] == "text"},
        unused=tuple(name for name in rest if kinds[name] in ("time", "list", "other")),
    )


def _movielens_items(sql: ColumnSql, columns: dict[str, str]) -> Reading:
    title = columns[Columns.TITLE]
    if GENRES[1] in sql.scan.kinds:
        flags = ", ".join(f"case when {sql.text(name)} = '1' then {literal(name)} end" for name in GENRES[1:])
        columns[Columns.ATTRIBUTES] = f"nullif(concat_ws(chr(31), {flags}), '')"
    else:
        columns[Columns.ATTRIBUTES] = f"nullif({columns[Columns.ATTRIBUTES]}, '(no genres listed)')"
    year = f"try_cast(nullif(regexp_extract({title}, '[(]([0-9]{{4}})[)] *$', 1), '') as double)"
    return Reading(sql.scan, columns, {"release_year": year})


def _users(sql: ColumnSql, names: Mapping[str, str]) -> Reading:
    kinds = sql.scan.kinds
    rest = _rest(sql.scan, names)
    return Reading(
        sql.scan,
        {Columns.USER: sql.id(names[Columns.USER])},
        numbers={name: sql.number(name) for name in rest if kinds[name] in ("whole", "number")},
        maybe={name: sql.text(name) for name in rest if kinds[name] in ("text", "time")},
        lists={name: sql.joined(name) for name in rest if kinds[name] == "list"},
        unused=tuple(name for name in rest if kinds[name] == "other"),
    )


def _rest(scan: Scan, names: Mapping[str, str]) -> list[str]:
    """The columns that are not ours, without the row numbers that pandas writes beside them."""
    rest = [name for name in scan.kinds if name not in names.values()]
    index = [name for name in rest if ROW_NUMBERS.fullmatch(name)]
    if index:
        logger.warning("%s: column %s is left out: pandas numbers rows so", scan.source.uri, ", ".join(index))
    return [name for name in rest if name not in index]


def _required(table: Table) -> tuple[str, ...]:
    return OURS[table][:3] if table == "interactions" else OURS[table][:1]


def _column(scan: Scan, name: str, table: Table, settings: PreprocessSettings) -> str | None:
    """The file's name of our column, or None where an optional one is not there."""
    mapped = settings.columns.get(name) or PRESETS[settings.format].get(name, name)
    for candidate in (mapped, name):
        if candidate in scan.kinds:
            return candidate
    if name in _required(table) or (name == Columns.SPLIT and settings.split == "given"):
        refuse_data(scan, scan.found, table, _required(table))
        raise UserError(
            f"{scan.source.uri}: has no column {mapped!r} (found: {', '.join(scan.found)}); {table} need {name}: rename "
            f"yours, or map it in the settings with columns: {{{name}: YOUR_COLUMN}}"
            + (
                f"; if the first line is data, name the columns with header: {{{table}: [...]}}"
                if scan.first_row
                else ""
            )
        )
    return None


def _source(uri: str, table: Table, settings: PreprocessSettings) -> Source:
    source = replace(find(uri), header=settings.header.get(table), encoding=settings.encoding, quotes=settings.quotes)
    if source.header is not None and source.format != "csv":
        raise UserError(f"header.{table}: names the columns of CSV files, but {uri} is {source.format}; take it out")
    name = Path(source.files[0]).name.removesuffix(".gz")
    if settings.format == "movielens" and source.header is None and name in HEADERS:
        delimiter = "\t" if name == "u.data" else "|"
        return replace(source, header=HEADERS[name], delimiter=delimiter, encoding="latin-1", quotes=False)
    return source
