"""The users table: attributes as ``name=value`` strings; a value that is missing is one, too: ``name=``."""

import logging
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import Any

import narwhals as nw

from longtail.components.preprocess.catalogue import all_alike
from longtail.components.preprocess.column_sql import LIST
from longtail.components.preprocess.layouts import Reading
from longtail.components.preprocess.texts import filled_items, list_items, rewritten
from longtail.contracts.attributes import OTHER
from longtail.contracts.columns import Columns
from longtail.tables.engine import Engine, Frame

logger = logging.getLogger(__name__)

MOST_VALUES = 200  # of a text attribute; the most frequent ones are taken, the rest is OTHER
FEWEST_USERS = 10  # of such a value; an attribute without one is an id or an address, not a trait
MOST_NUMBERS = 20  # a number with more distinct values becomes one of five bands
BANDS = (0.2, 0.4, 0.6, 0.8)


@dataclass(frozen=True)
class Profiles:
    """rows: kept frame ``user_id, attributes`` (joined by ``LIST``); missing: ``name=`` of every attribute that some listed user
    lacks; left_out: attributes that are not used -> their distinct values."""

    rows: Frame
    missing: list[str]
    left_out: dict[str, int]


def read_users(engine: Engine, reading: Reading) -> Profiles:
    numbers, written = all_alike(engine, reading)
    numeric, lists = [*reading.numbers, *numbers], [*reading.lists, *written]
    text = [name for name in reading.maybe if name not in (*numbers, *written)]
    table = _table(engine, reading, numeric, written)
    distinct = _distinct(engine, table, [*numeric, *text])
    strings = {name: _number(engine, table, name, distinct[name]) for name in numeric if distinct[name]}
    strings |= {name: _list(name) for name in lists}
    left_out = dict.fromkeys(reading.unused, 0)
    for name in text:
        taken = None if distinct[name] <= MOST_VALUES else _most_frequent(engine, table, name)
        if taken == []:
            left_out[name] = distinct[name]
        else:
            strings[name] = _text(name, taken)
    _warn(reading, left_out)
    names = sorted(strings)
    if not names:
        return Profiles(table.select(Columns.USER, attributes=nw.lit(None, dtype=nw.String())), [], left_out)
    labelled = table.select(Columns.USER, *[strings[name].alias(f"attribute {name}") for name in names])
    missing = _missing(engine, labelled, names)
    columns = [nw.col(f"attribute {name}") for name in names]
    filled = [column.fill_null(f"{name}=") if name in missing else column for name, column in zip(names, columns)]
    present = nw.concat_str(*filled, separator=LIST, ignore_nulls=True)
    rows = labelled.select(Columns.USER, nw.when(present != "").then(present).alias(Columns.ATTRIBUTES))
    return Profiles(engine.keep(rows), [f"{name}=" for name in missing], left_out)


def as_said(engine: Engine, reading: Reading) -> Frame:
    """Kept frame ``user_id, attributes`` (joined by ``LIST``, null where there is none) with values as clients of a server give them:
    numbers as they are, every value of a text. Which bands and values a bundle knows, its recommender finds."""
    numbers, written = all_alike(engine, reading)
    table = _table(engine, reading, [*reading.numbers, *numbers], written)
    texts = [name for name in reading.maybe if name not in (*numbers, *written)]
    said = {name: _text(name, None) for name in texts}
    said |= {name: _list(name) for name in (*reading.lists, *written)}
    said |= {
        name: nw.concat_str(nw.lit(f"{name}="), nw.col(name).cast(nw.String())) for name in (*reading.numbers, *numbers)
    }
    if not said:
        return engine.keep(table.select(Columns.USER, attributes=nw.lit(None, dtype=nw.String())))
    labelled = table.select(Columns.USER, *[said[name].alias(f"attribute {name}") for name in sorted(said)])
    columns = [nw.col(f"attribute {name}") for name in sorted(said)]
    joined = nw.concat_str(*columns, separator=LIST, ignore_nulls=True)
    return engine.keep(labelled.select(Columns.USER, nw.when(joined != "").then(joined).alias(Columns.ATTRIBUTES)))


def bands(edges: Sequence[float], lowest: float, highest: float, whole: bool) -> list[tuple[float, str]]:
    """Upper bound (inclusive) and name of each band between the edges, which are actual values."""
    uppers = sorted({edge for edge in edges if lowest <= edge < highest})
    names, low = [], lowest
    for upper in [*uppers, highest]:
        names.append((upper, f"{_shown(low)}-{_shown(upper)}" if low != upper else _shown(low)))
        low = upper + 1 if whole else upper
    assert all(one[0] < other[0] for one, other in pairwise(names))
    return names


def user_table(codes: Frame, profiles: Profiles | None) -> Frame:
    """The table as contracts/prepared.py documents it; who has no row lacks every attribute. codes: user_code, user_id."""
    if profiles is None:
        joined = codes.with_columns(attributes=nw.lit(None, dtype=nw.String()))
    else:
        joined = codes.join(profiles.rows, on=Columns.USER, how="left")
    attributes = nw.col(Columns.ATTRIBUTES)
    if profiles is not None and profiles.missing:
        attributes = attributes.fill_null(LIST.join(profiles.missing))
    return joined.select(Columns.USER_CODE, Columns.USER, attributes.str.split(LIST))


def _table(engine: Engine, reading: Reading, numeric: Sequence[str], written: Sequence[str]) -> Frame:
    """``user_id``, numbers (finite or null), texts, and lists joined by ``LIST``."""
    sql = {name: reading.numbers.get(name) or f"try_cast({reading.maybe[name]} as double)" for name in numeric}
    sql = reading.maybe | reading.lists | sql
    table = engine.keep(reading.scan.select(reading.columns | sql))
    functions = dict.fromkeys(written, list_items) | dict.fromkeys(reading.lists, filled_items)
    table = rewritten(engine, table, functions) if functions else table
    finite = {name: nw.when(nw.col(name).is_finite()).then(nw.col(name)) for name in numeric}
    return table.with_columns(**finite) if finite else table


def _warn(reading: Reading, left_out: Mapping[str, int]) -> None:
    for name, count in left_out.items():
        logger.warning(
            "%s: attribute %s is left out (%s)",
            reading.scan.source.uri,
            name,
            f"{count} distinct values, none of which {FEWEST_USERS} users have"
            if count
            else "neither text, number nor list",
        )


def _distinct(engine: Engine, table: Frame, names: Sequence[str]) -> dict[str, int]:
    values = {name: table.select(name).filter(~nw.col(name).is_null()).unique() for name in names}
    return {name: int(engine.collect(rows.select(n=nw.len())).to_pylist()[0]["n"]) for name, rows in values.items()}


def _most_frequent(engine: Engine, table: Frame, name: str) -> list[str]:
    """At most ``MOST_VALUES`` values of at least ``FEWEST_USERS`` users."""
    known = table.filter(~nw.col(Columns.USER).is_null() & ~nw.col(name).is_null())
    counts = known.group_by(name).agg(**{"number of users": nw.len()})
    frequent = counts.filter(nw.col("number of users") >= FEWEST_USERS)
    first = frequent.sort("number of users", name, descending=[True, False]).head(MOST_VALUES)
    return [str(value) for value in engine.collect(first.select(name))[name].to_pylist()]


def _missing(engine: Engine, labelled: Frame, names: Sequence[str]) -> list[str]:
    """Attributes that some users have and others lack."""
    rows = labelled.filter(~nw.col(Columns.USER).is_null())
    counts = [nw.col(f"attribute {name}").count().alias(f"attribute {name}") for name in names]
    found = engine.collect(rows.select(nw.len().alias("all"), *counts)).to_pylist()[0]
    return [name for name in names if 0 < found[f"attribute {name}"] < found["all"]]


def _text(name: str, taken: Sequence[str] | None) -> nw.Expr:
    """taken: values that are kept, the others becoming ``OTHER``; None keeps all."""
    value = nw.col(name)
    if taken is not None:
        kept = nw.when(value.is_in(taken)).then(value).otherwise(nw.lit(OTHER))
        value = nw.when(~value.is_null()).then(kept)
    return nw.concat_str(nw.lit(f"{name}="), value)


def _list(name: str) -> nw.Expr:
    return nw.concat_str(nw.lit(f"{name}="), nw.col(name).str.replace_all(LIST, f"{LIST}{name}=", literal=True))


def _number(engine: Engine, table: Frame, name: str, distinct: int) -> nw.Expr:
    """A number as it is written, or the band that it falls into."""
    column = nw.col(name)
    if distinct <= MOST_NUMBERS:
        values = engine.collect(table.select(name).filter(~column.is_null()).unique())[name].to_pylist()
        parts = [(value, _shown(value)) for value in sorted(values)]
    else:
        facts: dict[str, Any] = engine.collect(
            table.select(low=column.min(), high=column.max(), broken=(column != column.floor()).cast(nw.Int64()).sum())
        ).to_pylist()[0]
        parts = bands(engine.percentiles(table, name, BANDS), facts["low"], facts["high"], not facts["broken"])
    label: nw.Expr = nw.lit(None, dtype=nw.String())
    for upper, shown in reversed(parts):
        label = nw.when(column <= upper).then(nw.lit(f"{name}={shown}")).otherwise(label)
    return label


def _shown(number: float) -> str:
    """As a client writes it, and so that no two numbers look alike: 2, 0.5, 1234567."""
    if number == int(number) and abs(number) < 1e15:
        return str(int(number))
    return short if float(short := f"{number:g}") == number else repr(float(number))
