"""The items table: text, attributes and standardised numbers of every item."""

import logging
from collections.abc import Sequence

import narwhals as nw

from longtail.components.preprocess.column_sql import LIST
from longtail.components.preprocess.layouts import Reading
from longtail.components.preprocess.texts import WRITTEN_LIST, attribute_texts, plain_text, rewritten
from longtail.contracts.columns import Columns
from longtail.tables.engine import Engine, Frame

logger = logging.getLogger(__name__)


REWRITES = {
    Columns.TITLE: plain_text,
    Columns.DESCRIPTION: plain_text,
    Columns.ATTRIBUTES: attribute_texts,
}


def read_items(engine: Engine, reading: Reading) -> tuple[Frame, list[str]]:
    """Kept frame ``item_id, title, attributes, description, <numbers>`` and the names of the numbers."""
    numeric = sorted({*reading.numbers, *all_alike(engine, reading)[0]})
    sql = {name: _number(reading, name) for name in numeric}
    left_out = sorted({*reading.maybe, *reading.unused} - set(numeric))
    if left_out:
        logger.warning(
            "%s: columns %s are not used; put what describes an item into title, attributes or description",
            reading.scan.source.uri,
            ", ".join(left_out),
        )
    return rewritten(engine, engine.keep(reading.scan.select(reading.columns | sql)), REWRITES), numeric


def all_alike(engine: Engine, reading: Reading) -> tuple[list[str], list[str]]:
    """Columns of text whose every value is a number (and none a code like 007), and those whose every value is a list."""
    if not reading.maybe:
        return [], []
    frame = reading.scan.select(
        {f"t{i}": sql for i, sql in enumerate(reading.maybe.values())}
        | {f"n{i}": f"try_cast({sql} as double)" for i, sql in enumerate(reading.maybe.values())}
    )
    places = range(len(reading.maybe))
    counts = engine.collect(
        frame.select(
            *[nw.col(f"t{i}").count().alias(f"t{i}") for i in places],
            *[nw.col(f"n{i}").count().alias(f"n{i}") for i in places],
            *[nw.col(f"t{i}").str.contains("^0[0-9]").cast(nw.Int64()).sum().alias(f"z{i}") for i in places],
            *[
                nw.col(f"t{i}").str.contains(f"(?s){WRITTEN_LIST}").cast(nw.Int64()).sum().alias(f"l{i}")
                for i in places
            ],
        )
    ).to_pylist()[0]
    filled = [(name, i) for i, name in enumerate(reading.maybe) if counts[f"t{i}"]]
    numbers = [name for name, i in filled if counts[f"t{i}"] == counts[f"n{i}"] and not counts[f"z{i}"]]
    return numbers, [name for name, i in filled if counts[f"t{i}"] == counts[f"l{i}"]]


def item_table(engine: Engine, codes: Frame, items: Frame, train_counts: Frame, numeric: Sequence[str]) -> Frame:
    """The table as contracts/prepared.py documents it.

    codes: item_code, item_id; train_counts: item_code, train_count.
    """
    joined = codes.join(items, on=Columns.ITEM, how="left").join(train_counts, on=Columns.ITEM_CODE, how="left")
    moments = _moments(engine, items, numeric)
    table = joined.select(
        Columns.ITEM_CODE,
        Columns.ITEM,
        Columns.TITLE,
        item_text().alias(Columns.TEXT),
        nw.col(Columns.ATTRIBUTES).str.split(LIST),
        nw.col("train_count").fill_null(0).cast(nw.Int64()).alias(Columns.TRAIN_COUNT),
        *[_standardised(name, *moments[name]).alias(f"number {name}") for name in numeric],
        *[nw.when(nw.col(name).is_finite()).then(nw.col(name)).alias(f"given {name}") for name in numeric],
    )
    packed = engine.pack(table, [f"number {name}" for name in numeric], Columns.NUMERIC)
    packed = engine.pack(packed, [f"given {name}" for name in numeric], Columns.NUMBERS, "double")
    return packed.select(
        Columns.ITEM_CODE,
        Columns.ITEM,
        Columns.TITLE,
        Columns.TEXT,
        Columns.ATTRIBUTES,
        Columns.NUMERIC,
        Columns.NUMBERS,
        Columns.TRAIN_COUNT,
    )


def item_text() -> nw.Expr:
    """Title, attributes and description as the one text that the language model reads; empty where there is none."""
    readable = nw.col(Columns.ATTRIBUTES).str.replace_all(LIST, ", ", literal=True)
    return nw.concat_str(
        nw.col(Columns.TITLE), readable, nw.col(Columns.DESCRIPTION), separator=" | ", ignore_nulls=True
    )


def count_without_text(engine: Engine, items: Frame) -> int:
    columns = (Columns.TITLE, Columns.ATTRIBUTES, Columns.DESCRIPTION)
    empty = items.filter(nw.all_horizontal(*[nw.col(name).is_null() for name in columns], ignore_nulls=False))
    return int(engine.collect(empty.select(n=nw.len())).to_pylist()[0]["n"])


def _number(reading: Reading, name: str) -> str:
    return reading.numbers.get(name) or f"try_cast({reading.maybe[name]} as double)"


def _moments(engine: Engine, items: Frame, numeric: Sequence[str]) -> dict[str, tuple[float, float]]:
    """Mean and standard deviation of the finite values; rounded, as engines add in orders of their own."""
    if not numeric:
        return {}
    finite = items.select(*[nw.when(nw.col(name).is_finite()).then(nw.col(name)).alias(name) for name in numeric])
    row = engine.collect(
        finite.select(
            *[nw.col(name).mean().alias(f"mean {name}") for name in numeric],
            *[nw.col(name).std(ddof=0).alias(f"sd {name}") for name in numeric],
        )
    ).to_pylist()[0]
    return {name: (_rounded(row[f"mean {name}"]), _rounded(row[f"sd {name}"])) for name in numeric}


def _rounded(value: float | None) -> float:
    return float(f"{value or 0.0:.9g}")


def _standardised(name: str, mean: float, sd: float) -> nw.Expr:
    """``(x - mean) / sd`` as float32; 0, the mean, where x is missing or does not vary."""
    if sd == 0:
        return nw.lit(0.0).cast(nw.Float32())
    value = (nw.col(name) - mean) / sd
    return nw.when(nw.col(name).is_finite()).then(value).otherwise(nw.lit(0.0)).cast(nw.Float32())
