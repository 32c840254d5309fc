"""The users table: attributes as ``name=value`` strings."""

import logging
from collections.abc import Sequence
from itertools import pairwise
from typing import Any

import narwhals as nw

from longtail.components.preprocess.catalogue import all_alike
from longtail.components.preprocess.column_sql import LIST
from longtail.components.preprocess.layouts import Reading
from longtail.components.preprocess.texts import list_items, rewritten
from longtail.contracts.columns import Columns
from longtail.tables.engine import Engine, Frame

logger = logging.getLogger(__name__)

MOST_VALUES = 200  # a text attribute with more is an id or an address, not a trait
MOST_NUMBERS = 20  # a number with more distinct values becomes one of five bands
BANDS = (0.2, 0.4, 0.6, 0.8)


def read_users(engine: Engine, reading: Reading) -> tuple[Frame, dict[str, int]]:
    """Kept frame ``user_id, attributes`` (joined by ``LIST``), and attributes left out -> their distinct values."""
    numbers, lists = all_alike(engine, reading)
    numeric = [*reading.numbers, *numbers]
    text = [name for name in reading.maybe if name not in (*numbers, *lists)]
    sql = {name: reading.numbers.get(name) or f"try_cast({reading.maybe[name]} as double)" for name in numeric}
    sql |= reading.lists | {name: reading.maybe[name] for name in (*text, *lists)}
    table = engine.keep(reading.scan.select(reading.columns | sql))
    table = rewritten(engine, table, dict.fromkeys(lists, list_items)) if lists else table
    if numeric:
        finite = {name: nw.when(nw.col(name).is_finite()).then(nw.col(name)) for name in numeric}
        table = table.with_columns(**finite)
    distinct = _distinct(engine, table, [*numeric, *text])
    left_out = {name: distinct[name] for name in text if distinct[name] > MOST_VALUES} | dict.fromkeys(
        reading.unused, 0
    )
    for name, count in left_out.items():
        logger.warning(
            "%s: attribute %s is left out (%s)",
            reading.scan.source.uri,
            name,
            f"{count} distinct values, at most {MOST_VALUES} are used" if count else "neither text, number nor list",
        )
    strings = {name: _text(name, nw.col(name)) for name in text if name not in left_out}
    strings |= {name: _number(engine, table, name, distinct[name]) for name in numeric}
    strings |= {
        name: _text(name, nw.col(name).str.replace_all(LIST, f"{LIST}{name}=", literal=True))
        for name in (*reading.lists, *lists)
    }
    if not strings:
        return table.select(Columns.USER, attributes=nw.lit(None, dtype=nw.String())), left_out
    names = sorted(strings)
    coded = table.select(Columns.USER, *[strings[name].alias(f"attribute {name}") for name in names])
    present = nw.concat_str(*[nw.col(f"attribute {name}") for name in names], separator=LIST, ignore_nulls=True)
    return engine.keep(
        coded.select(Columns.USER, nw.when(present != "").then(present).alias(Columns.ATTRIBUTES))
    ), left_out


def bands(edges: Sequence[float], lowest: float, highest: float, whole: bool) -> list[tuple[float, str]]:
    """Upper bound (inclusive) and name of each band between the edges, which are actual values."""
    uppers = sorted({edge for edge in edges if lowest <= edge < highest})
    names, low = [], lowest
    for upper in [*uppers, highest]:
        names.append((upper, f"{low:g}-{upper:g}" if low != upper else f"{low:g}"))
        low = upper + 1 if whole else upper
    assert all(one[0] < other[0] for one, other in pairwise(names))
    return names


def _distinct(engine: Engine, table: Frame, names: Sequence[str]) -> dict[str, int]:
    values = {name: table.select(name).filter(~nw.col(name).is_null()).unique() for name in names}
    return {name: int(engine.collect(rows.select(n=nw.len())).to_pylist()[0]["n"]) for name, rows in values.items()}


def _text(name: str, value: nw.Expr) -> nw.Expr:
    return nw.concat_str(nw.lit(f"{name}="), value)


def _number(engine: Engine, table: Frame, name: str, distinct: int) -> nw.Expr:
    """A number as it is written, or the band that it falls into."""
    column = nw.col(name)
    facts: dict[str, Any] = engine.collect(
        table.select(low=column.min(), high=column.max(), broken=(column != column.floor()).cast(nw.Int64()).sum())
    ).to_pylist()[0]
    whole = not facts["broken"]
    if distinct <= MOST_NUMBERS:
        return _text(name, (column.cast(nw.Int64()) if whole else column).cast(nw.String()))
    label: nw.Expr = nw.lit(None, dtype=nw.String())
    edges = engine.percentiles(table, name, BANDS)
    for upper, band in reversed(bands(edges, facts["low"], facts["high"], whole)):
        label = nw.when(column <= upper).then(nw.lit(f"{name}={band}")).otherwise(label)
    return label


def user_table(codes: Frame, users: Frame | None) -> Frame:
    """The table as contracts/prepared.py documents it. codes: user_code, user_id; users: user_id, attributes."""
    if users is None:
        joined = codes.with_columns(attributes=nw.lit(None, dtype=nw.String()))
    else:
        joined = codes.join(users, on=Columns.USER, how="left")
    return joined.select(Columns.USER_CODE, Columns.USER, nw.col(Columns.ATTRIBUTES).str.split(LIST))
