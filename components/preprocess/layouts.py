"""Layouts of input files: which of a file's columns, as SQL text, is which column of ours.

Text leaves here as null or non-empty; lists leave as one text joined by ``LIST``, which both engines can split again.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Literal

from longtail.components.preprocess.settings import PreprocessSettings
from longtail.components.preprocess.times import microseconds
from longtail.contracts.columns import Columns
from longtail.contracts.errors import UserError
from longtail.tables.engine import Engine, Kind, Scan
from longtail.tables.sources import Source, find

Table = Literal["interactions", "items", "users"]
RATING = "rating"  # the event whose weight is its value
LIST = "\x1f"  # the ASCII unit separator, written chr(31) in SQL

OURS: dict[Table, tuple[str, ...]] = {
    "interactions": (Columns.USER, Columns.ITEM, Columns.TIMESTAMP, Columns.EVENT, Columns.VALUE),
    "items": (Columns.ITEM, Columns.TITLE, Columns.DESCRIPTION, Columns.ATTRIBUTES, Columns.IMAGE),
    "users": (Columns.USER,),
}
PRESETS: dict[str, dict[str, str]] = {
    "longtail": {},
    "movielens": {"user_id": "userId", "item_id": "movieId", "value": "rating", "attributes": "genres"},
    "amazon-2023": {"item_id": "parent_asin", "value": "rating"},
}
# fmt: off
GENRES = (
    "unknown", "Action", "Adventure", "Animation", "Children's", "Comedy", "Crime", "Documentary", "Drama", "Fantasy",
    "Film-Noir", "Horror", "Musical", "Mystery", "Romance", "Sci-Fi", "Thriller", "War", "Western",
)
# fmt: on
# MovieLens-100k's files have no header line
HEADERS = {
    "u.data": ("userId", "movieId", "rating", "timestamp"),
    "u.item": ("movieId", "title", "release_date", "video_release_date", "url", *GENRES),
    "u.user": ("userId", "age", "gender", "occupation", "zip_code"),
}


@dataclass(frozen=True)
class Reading:
    """A table's columns as SQL text.

    ``numbers`` are columns that hold numbers; ``maybe`` columns of text that may all be numbers, which only reading tells;
    ``given`` is what the file holds in the place of some of ``columns``, for messages.
    """

    scan: Scan
    columns: dict[str, str]
    numbers: dict[str, str] = field(default_factory=dict)
    maybe: dict[str, str] = field(default_factory=dict)
    lists: dict[str, str] = field(default_factory=dict)
    unused: tuple[str, ...] = ()
    given: dict[str, str] = field(default_factory=dict)


def open_table(engine: Engine, uri: str, table: Table, settings: PreprocessSettings) -> Reading:
    """Find the table's files and the columns in them.

    Raises:
        UserError: naming file and column where one is missing or of a type that cannot be used.
    """
    columns = PRESETS[settings.format] | settings.columns
    source = find(uri)
    if settings.format == "movielens":
        source = _with_header(source)
    scan = engine.scan(source, [columns.get(name, name) for name in OURS[table] if name not in _required(table)])
    names = {name: column for name in OURS[table] if (column := _column(scan, name, table, settings)) is not None}
    sql = _Sql(engine, scan)
    if table == "interactions":
        given = {Columns.TIMESTAMP: engine.quote(names[Columns.TIMESTAMP])}
        return Reading(scan, _interactions(sql, names), given=given)
    if table == "items":
        return _items(sql, names, settings)
    return _users(sql, names)


def check_settings(settings: PreprocessSettings) -> None:
    known = sorted({name for names in OURS.values() for name in names})
    for name in settings.columns:
        if name not in known:
            raise UserError(f"columns.{name}: is none of our columns; they are {', '.join(known)}")
    if RATING in settings.event_weights:
        raise UserError(
            f"event_weights.{RATING}: a rating's weight is its value, scaled by rating_scale; take {RATING} out of the list"
        )


def check_mapping(readings: Mapping[Table, Reading], settings: PreprocessSettings) -> None:
    """Every mapped column must be in one of the tables that may have it: a mapping that does nothing is a mistake."""
    for name, column in settings.columns.items():
        scans = [reading.scan for table, reading in readings.items() if name in OURS[table]]
        if scans and not any(column in scan.kinds for scan in scans):
            found = "; ".join(f"{scan.source.uri} has {', '.join(scan.kinds)}" for scan in scans)
            raise UserError(f"columns.{name}: there is no column {column!r} ({found}); name one of these")


class _Sql:
    """SQL text for one scan's columns, by what the column holds."""

    def __init__(self, engine: Engine, scan: Scan) -> None:
        self._quote = engine.quote
        self.scan = scan

    def text(self, column: str) -> str:
        if self.scan.kinds[column] == "list":
            return f"nullif(trim(array_join({self._quote(column)}, ' ')), '')"
        return f"nullif(trim(cast({self._scalar(column)} as string)), '')"

    def id(self, column: str) -> str:
        return f"nullif(cast({self._scalar(column)} as string), '')"

    def number(self, column: str) -> str:
        return f"try_cast({self._scalar(column)} as double)"

    def time(self, column: str) -> str:
        typed = self.scan.source.format == "parquet"  # what other files hold is text, whatever its first rows look like
        return microseconds(self._scalar(column), self.scan.kinds[column] if typed else "text")

    def rating(self, column: str) -> str:
        """The number; NaN where there is something that is no number, null where there is nothing."""
        number, text = self.number(column), self.text(column)
        if self.scan.kinds[column] != "text":
            return number
        return f"coalesce({number}, case when {text} is not null then cast('NaN' as double) end)"

    def joined(self, column: str) -> str:
        """A list as one text; plain text is a list whose items are parted by ``|``."""
        if self.scan.kinds[column] == "list":
            return f"nullif(array_join({self._quote(column)}, chr(31)), '')"
        return f"replace({self.text(column)}, '|', chr(31))"

    def _scalar(self, column: str) -> str:
        kind: Kind = self.scan.kinds[column]
        if kind in ("list", "other"):
            raise UserError(
                f"{self.scan.source.uri}: column {column!r} holds lists or records; one text or number a row is needed"
            )
        return self._quote(column)


def _interactions(sql: _Sql, names: Mapping[str, str]) -> dict[str, str]:
    event, value = names.get(Columns.EVENT), names.get(Columns.VALUE)
    return {
        Columns.USER: sql.id(names[Columns.USER]),
        Columns.ITEM: sql.id(names[Columns.ITEM]),
        Columns.TIMESTAMP: sql.time(names[Columns.TIMESTAMP]),
        Columns.EVENT: sql.text(event) if event else "cast(null as string)",
        Columns.VALUE: sql.rating(value) if value else "cast(null as double)",
    }


def _items(sql: _Sql, names: Mapping[str, str], settings: PreprocessSettings) -> Reading:
    text = {name: sql.text(names[name]) for name in (Columns.TITLE, Columns.DESCRIPTION) if name in names}
    null = "cast(null as string)"
    columns = {
        Columns.ITEM: sql.id(names[Columns.ITEM]),
        Columns.TITLE: text.get(Columns.TITLE, null),
        Columns.ATTRIBUTES: sql.joined(names[Columns.ATTRIBUTES]) if Columns.ATTRIBUTES in names else null,
        Columns.DESCRIPTION: text.get(Columns.DESCRIPTION, null),
    }
    kinds = sql.scan.kinds
    if settings.format == "movielens":
        return _movielens_items(sql, columns)
    if settings.format == "amazon-2023":
        parts = [sql.joined(name) for name in ("store", "categories") if name in kinds]
        columns[Columns.ATTRIBUTES] = f"nullif(concat_ws(chr(31), {', '.join(parts)}), '')" if parts else null
        parts = [sql.text(name) for name in ("features", "description") if name in kinds]
        columns[Columns.DESCRIPTION] = f"nullif(concat_ws(' ', {', '.join(parts)}), '')" if parts else null
        return Reading(sql.scan, columns, {"price": sql.number("price")} if "price" in kinds else {})
    rest = [name for name in kinds if name not in names.values()]
    return Reading(
        sql.scan,
        columns,
        numbers={name: sql.number(name) for name in rest if kinds[name] in ("whole", "number")},
        maybe={name: sql.text(name) for name in rest if kinds[name] == "text"},
        unused=tuple(name for name in rest if kinds[name] in ("time", "list", "other")),
    )


def _movielens_items(sql: _Sql, columns: dict[str, str]) -> Reading:
    title = columns[Columns.TITLE]
    if GENRES[1] in sql.scan.kinds:
        flags = ", ".join(f"case when {sql.text(name)} = '1' then {_literal(name)} end" for name in GENRES[1:])
        columns[Columns.ATTRIBUTES] = f"nullif(concat_ws(chr(31), {flags}), '')"
    else:
        columns[Columns.ATTRIBUTES] = f"nullif({columns[Columns.ATTRIBUTES]}, '(no genres listed)')"
    year = f"try_cast(nullif(regexp_extract({title}, '[(]([0-9]{{4}})[)] *$', 1), '') as double)"
    return Reading(sql.scan, columns, {"release_year": year})


def _users(sql: _Sql, names: Mapping[str, str]) -> Reading:
    kinds = sql.scan.kinds
    rest = [name for name in kinds if name not in names.values()]
    return Reading(
        sql.scan,
        {Columns.USER: sql.id(names[Columns.USER])},
        numbers={name: sql.number(name) for name in rest if kinds[name] in ("whole", "number")},
        maybe={name: sql.text(name) for name in rest if kinds[name] in ("text", "time")},
        lists={name: sql.joined(name) for name in rest if kinds[name] == "list"},
        unused=tuple(name for name in rest if kinds[name] == "other"),
    )


def _required(table: Table) -> tuple[str, ...]:
    return OURS[table][:3] if table == "interactions" else OURS[table][:1]


def _column(scan: Scan, name: str, table: Table, settings: PreprocessSettings) -> str | None:
    """The file's name of our column, or None where an optional one is not there."""
    mapped = settings.columns.get(name) or PRESETS[settings.format].get(name, name)
    for candidate in (mapped, name):
        if candidate in scan.kinds:
            return candidate
    if name in _required(table):
        raise UserError(
            f"{scan.source.uri}: has no column {mapped!r} (found: {', '.join(scan.kinds)}); {table} need {name}: rename "
            f"yours, or map it in the settings with columns: {{{name}: YOUR_COLUMN}}"
        )
    return None


def _with_header(source: Source) -> Source:
    header = HEADERS.get(Path(source.files[0]).name.removesuffix(".gz"))
    if header is None:
        return source
    delimiter = "\t" if header is HEADERS["u.data"] else "|"
    return replace(source, header=header, delimiter=delimiter, encoding="latin-1")


def _literal(text: str) -> str:
    return "'" + text.replace("'", "''") + "'"
