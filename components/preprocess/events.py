"""Interactions -> events: checked, merged, placed in each user's history, split."""

from collections.abc import Sequence

import narwhals as nw

from longtail.components.preprocess.column_sql import LIST
from longtail.components.preprocess.layouts import RATING
from longtail.components.preprocess.settings import PreprocessSettings
from longtail.components.preprocess.ties import TIE, order_of_tie
from longtail.contracts.columns import Columns
from longtail.contracts.prepared import Split
from longtail.tables.engine import Frame

REASON = "reason"
GIVEN = "given_split"  # int64, with split: given; null where it is none of these
SPLITS = {
    Split.TRAIN: ("train", "training"),
    Split.VALIDATION: ("validation", "valid", "val", "dev"),
    Split.TEST: ("test", "testing"),
}
DISLIKED = "rating below min_rating"
UNKNOWN_SPLIT = "split is not train, validation or test"
CHOSEN = (DISLIKED,)  # left out by the user's choice: no fault of the rows


def check(raw: Frame, item_codes: Frame, settings: PreprocessSettings, latest: int) -> Frame:
    """Add ``item_code``, ``given_split`` and ``reason`` (null: the row can be used).

    raw: user_id, item_id, timestamp, event, value, split, context; item_codes: item_id, item_code. latest: microseconds.
    """
    known = sorted({*settings.events, RATING})
    reasons = [
        (nw.col(Columns.USER).is_null() | nw.col(Columns.ITEM).is_null(), "null id"),
        (nw.col(Columns.TIMESTAMP).is_null(), "bad timestamp"),
        (nw.col(Columns.TIMESTAMP) < 0, "negative timestamp"),
        (nw.col(Columns.TIMESTAMP) > latest, "future timestamp"),
        (~nw.col(Columns.VALUE).is_null() & ~nw.col(Columns.VALUE).is_finite(), "value is not a number"),
        (~nw.col(Columns.EVENT).is_null() & ~nw.col(Columns.EVENT).is_in(known), "unknown event"),
        ((nw.col(Columns.EVENT) == RATING) & nw.col(Columns.VALUE).is_null(), "rating without a value"),
        (nw.col(Columns.ITEM_CODE).is_null(), "unknown item"),
    ]
    if settings.split == "given":
        reasons.insert(-1, (_given_split().is_null(), UNKNOWN_SPLIT))
    if settings.min_rating is not None:
        reasons.append((_is_rating() & (nw.col(Columns.VALUE) < settings.min_rating), DISLIKED))
    reason: nw.Expr = nw.lit(None, dtype=nw.String())
    for condition, name in reversed(reasons):
        reason = nw.when(condition).then(nw.lit(name)).otherwise(reason)
    added = {GIVEN: _given_split(), REASON: reason}
    return raw.join(item_codes, on=Columns.ITEM, how="left").with_columns(**added)


def _given_split() -> nw.Expr:
    name = nw.col(Columns.SPLIT).str.to_lowercase()
    found: nw.Expr = nw.lit(None, dtype=nw.Int64())
    for split, names in SPLITS.items():
        found = nw.when(name.is_in(list(names))).then(nw.lit(int(split))).otherwise(found)
    return found


def _is_rating() -> nw.Expr:
    """A value without an event is a rating; a value beside another event (a quantity, a price) is not read."""
    return (nw.col(Columns.EVENT) == RATING) | (nw.col(Columns.EVENT).is_null() & ~nw.col(Columns.VALUE).is_null())


def code(checked: Frame, user_codes: Frame, settings: PreprocessSettings) -> Frame:
    """Integers in the place of ids, and ``tie``: everything after this is joined, grouped and sorted by them."""
    joined = checked.join(user_codes, on=Columns.USER, how="left")
    return joined.select(
        Columns.USER_CODE,
        Columns.ITEM_CODE,
        Columns.TIMESTAMP,
        order_of_tie(settings),
        Columns.CONTEXT,
        GIVEN,
        REASON,
    )


def merge(coded: Frame, settings: PreprocessSettings) -> Frame:
    """One row an event: of a user and an item (``merge``), or of a user, an item and a time (``keep``)."""
    pair = [Columns.USER_CODE, Columns.ITEM_CODE]
    time = nw.col(Columns.TIMESTAMP)
    usable = coded.filter(nw.col(REASON).is_null())
    aggregates = [nw.col(name).min() for name in (TIE, Columns.CONTEXT, GIVEN)]
    if settings.repeats == "keep":
        return usable.group_by([*pair, Columns.TIMESTAMP]).agg(*aggregates)
    of_first = [TIE] if settings.ties == "file" else []  # not of a later repeat further up in the file
    of_first += [Columns.CONTEXT] if settings.context else []  # what was known when it was chosen first
    if of_first:
        is_first = time == time.min().over(*pair)
        usable = usable.with_columns(**{name: nw.when(is_first).then(nw.col(name)) for name in of_first})
    return usable.group_by(pair).agg(*aggregates, time.min())


def drop_rare(merged: Frame, min_item_count: int) -> Frame:
    """Without the events of items that have fewer than ``min_item_count``."""
    counts = merged.group_by(Columns.ITEM_CODE).agg(n=nw.len())
    kept = counts.filter(nw.col("n") >= min_item_count).select(Columns.ITEM_CODE)
    return merged.join(kept, on=Columns.ITEM_CODE, how="semi")


def split(merged: Frame, settings: PreprocessSettings, cuts: Sequence[float] | None) -> Frame:
    """Add ``position``, ``tied`` and ``split``. ``cuts``: first times of validation and test, with global_time."""
    order = [Columns.TIMESTAMP, TIE] if settings.split != "given" else [GIVEN, Columns.TIMESTAMP, TIE]
    time = nw.col(Columns.TIMESTAMP)
    before, after, after_next = (time.shift(n).over(Columns.USER_CODE, order_by=order) for n in (1, -1, -2))
    counted = merged.with_columns(one=nw.lit(1, dtype=nw.Int64())).with_columns(
        **{
            Columns.POSITION: nw.col("one").cum_sum().over(Columns.USER_CODE, order_by=order) - 1,
            Columns.TIED: (before == time).fill_null(False) | (after == time).fill_null(False),
            "is_last": after.is_null(),
            "is_last_but_one": after_next.is_null(),
        },
    )
    if cuts is not None:
        is_test, is_validation = time >= int(cuts[1]), time >= int(cuts[0])
    elif settings.split == "given":
        is_test, is_validation = (nw.col(GIVEN) == int(part) for part in (Split.TEST, Split.VALIDATION))
    else:
        is_test, is_validation = nw.col("is_last"), nw.col("is_last_but_one")
    part = (
        nw.when(is_test)
        .then(nw.lit(int(Split.TEST)))
        .otherwise(nw.when(is_validation).then(nw.lit(int(Split.VALIDATION))).otherwise(nw.lit(int(Split.TRAIN))))
    )
    return counted.with_columns(
        **{Columns.SPLIT: part.cast(nw.Int8()), Columns.POSITION: nw.col(Columns.POSITION).cast(nw.Int32())}
    ).select(
        Columns.USER_CODE,
        Columns.POSITION,
        Columns.ITEM_CODE,
        Columns.TIMESTAMP,
        Columns.SPLIT,
        Columns.TIED,
        Columns.CONTEXT,
    )


def earlier_than_higher(placed: Frame) -> Frame:
    """Events of a lower split that come later than one of a higher split of their user: they would tell of it."""
    earliest = {
        f"from {int(split)}": nw.when(nw.col(Columns.SPLIT) >= int(split))
        .then(nw.col(Columns.TIMESTAMP))
        .min()
        .over(Columns.USER_CODE)
        for split in (Split.VALIDATION, Split.TEST)
    }
    time, part = nw.col(Columns.TIMESTAMP), nw.col(Columns.SPLIT)
    late = [(part < int(split)) & (time > nw.col(f"from {int(split)}")) for split in (Split.VALIDATION, Split.TEST)]
    return placed.with_columns(**earliest).filter(late[0] | late[1])


def table(placed: Frame) -> Frame:
    """The columns of events.parquet."""
    return placed.with_columns(nw.col(Columns.CONTEXT).str.split(LIST))
