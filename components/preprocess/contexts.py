"""Context columns of the interactions: what is known of the moment before the choice, ``name=value`` each.

What is known only after the choice (a rating, the size that was sent back), or belongs to the item (its brand), tells the target:
every figure would be too good, and a request could never give it. Such columns are refused unless ``trusted_context`` names them.
"""

import re
from collections.abc import Mapping

import narwhals as nw

from longtail.components.preprocess.column_sql import LIST, ColumnSql
from longtail.components.preprocess.settings import PreprocessSettings
from longtail.contracts.columns import Columns
from longtail.contracts.errors import UserError
from longtail.contracts.prepared import Split
from longtail.tables.engine import Engine, Frame, Scan
from longtail.tables.id_sql import id_sql
from longtail.tables.kinds import literal

MOST_VALUES = 200  # of a column
ALIKE = 0.95  # share of events with their item's most frequent value, from where the item determines the column
DOMINATING = 0.8  # share of one value, from where items agree because nearly all events do
FEWEST_EVENTS = 20  # of items with two events or more; fewer agree by chance
# fmt: off
AFTER_THE_CHOICE = frozenset((
    "fit", "fits", "fitted", "size", "sizes", "rating", "ratings", "rated", "value", "values", "score", "scores", "review",
    "reviews", "reviewed", "star", "stars", "return", "returns", "returned", "refund", "refunds", "refunded", "quantity",
    "quantities", "qty", "price", "prices", "revenue", "amount", "cost", "profit", "paid", "feedback", "comment", "comments",
    "satisfaction", "liked", "helpful", "dwell", "duration", "watched", "completed", "outcome",
))
# fmt: on


def context_sql(sql: ColumnSql, names: Mapping[str, str], settings: PreprocessSettings) -> str:
    """SQL text for all context of a row, joined by ``LIST``; null where there is none.

    names: our column -> its name in the file.

    Raises:
        UserError: a column is not there, or is one of ours.
    """
    parts = []
    for column in sorted(settings.context):
        uri = sql.scan.source.uri
        if column not in sql.scan.kinds:
            raise UserError(
                f"{uri}: has no column {column!r} of context (found: {', '.join(sql.scan.found)}); name one of these"
            )
        ours = next((name for name, theirs in names.items() if theirs == column), None)
        if ours is not None:
            raise UserError(f"context: {column!r} is the {ours} of {uri}; take it out")
        value = id_sql(sql.scalar(column), sql.scan.kinds[column])
        parts.append(f"{literal(f'{column}=')} || {value}")
    return f"nullif(concat_ws(chr(31), {', '.join(parts)}), '')" if parts else "cast(null as string)"


def refuse_later_names(settings: PreprocessSettings) -> None:
    """Refuse columns whose name says that they are known only after the choice.

    Raises:
        UserError: naming the column and the word.
    """
    for column in settings.context:
        word = next((word for word in _words(column) if word in AFTER_THE_CHOICE), None)
        if word is not None and column not in settings.trusted_context:
            raise UserError(
                f"context: {column!r} sounds like what is known only after the choice ({word!r}), so it would tell what was "
                f"chosen; take it out, or add it to trusted_context if it is known when a recommendation is asked for"
            )


def refuse_shared_names(context: tuple[str, ...], users: Scan) -> None:
    """Refuse columns that the users table has too: context and users' attributes share one vocabulary of ``name=value``.

    Raises:
        UserError: naming the column.
    """
    for column in context:
        if column in users.found:
            raise UserError(
                f"context: {users.source.uri} has a column {column!r} too, and both would be {column}=…; rename one of them"
            )


def refuse_values(engine: Engine, placed: Frame, uri: str, settings: PreprocessSettings) -> None:
    """Refuse columns without a value, with too many values, and those that the item determines.

    placed: events with split and context.

    Raises:
        UserError: naming file, column and remedy.
    """
    if not settings.context:
        return
    listed = placed.filter(~nw.col(Columns.CONTEXT).is_null()).select(
        Columns.ITEM_CODE, Columns.SPLIT, nw.col(Columns.CONTEXT).str.split(LIST)
    )
    entries = listed.explode(Columns.CONTEXT)  # one row for each name=value of an event
    for column in settings.context:
        events = entries.filter(nw.col(Columns.CONTEXT).str.starts_with(f"{column}="))
        values = _counts(engine, events)["values"]
        if not values:
            raise UserError(f"{uri}: column {column!r} of context is empty; take it out")
        if values > MOST_VALUES:
            raise UserError(
                f"{uri}: column {column!r} of context has {values:,} distinct values, and at most {MOST_VALUES} can be learnt; "
                "put them into bands or groups (hour of the day instead of the time)"
            )
        if column not in settings.trusted_context:
            _refuse_property_of_item(engine, events, f"{uri}: column {column!r} of context")


def _refuse_property_of_item(engine: Engine, events: Frame, where: str) -> None:
    train = events.filter(nw.col(Columns.SPLIT) == int(Split.TRAIN))
    overall = _counts(engine, train)
    of_items = train.group_by(Columns.ITEM_CODE, Columns.CONTEXT).agg(n=nw.len()).group_by(Columns.ITEM_CODE)
    items = of_items.agg(events=nw.col("n").sum(), most=nw.col("n").max()).filter(nw.col("events") >= 2)
    found = engine.collect(items.select(nw.col("events").sum(), nw.col("most").sum())).to_pylist()[0]
    count, alike = int(found["events"] or 0), int(found["most"] or 0)
    if count < FEWEST_EVENTS or alike < ALIKE * count or overall["most"] >= DOMINATING * overall["events"]:
        return
    raise UserError(
        f"{where} is a property of the item: {alike / count:.0%} of {count} training events have the most frequent value of "
        "their item, so it would tell what was chosen; put it into the items table, or add it to trusted_context if it is "
        "known when a recommendation is asked for"
    )


def _counts(engine: Engine, entries: Frame) -> dict[str, int]:
    """How many ``values`` there are, how many ``events``, and how many have the ``most`` frequent value."""
    groups = entries.group_by(Columns.CONTEXT).agg(n=nw.len())
    counts = groups.select(values=nw.len(), events=nw.col("n").sum(), most=nw.col("n").max())
    return {name: int(count or 0) for name, count in engine.collect(counts).to_pylist()[0].items()}


def _words(name: str) -> list[str]:
    """The words of a column's name in small letters.

    >>> _words("reviewStars_5 (EUR)"), _words("sizeable"), _words("fit2")
    (['review', 'stars', '5', 'eur', ''], ['sizeable'], ['fit'])
    """
    parts = re.split(r"[\W_]+|(?<=[a-z0-9])(?=[A-Z])", name)
    return [part.lower().rstrip("0123456789") or part for part in parts]
