"""Times that look wrong are said."""

from collections.abc import Collection, Mapping
from datetime import UTC, datetime, timedelta
from typing import Any

import narwhals as nw

from longtail.contracts.columns import Columns
from longtail.tables.time_sql import SECOND

DAY = 86_400 * SECOND
COARSE = 100_000 * SECOND  # all times are multiples of it only where digits were lost
YEAR_1990 = 631_152_000 * SECOND


def shown(time: int) -> str:
    """A time as text: ``2020-09-13 12:26:40``, with a fraction where it has one."""
    try:
        moment = datetime(1970, 1, 1, tzinfo=UTC) + timedelta(microseconds=time)
    except OverflowError:
        return f"{time} microseconds since 1970"
    return moment.replace(tzinfo=None).isoformat(" ")


def counts() -> dict[str, nw.Expr]:
    """Aggregates over events that :func:`facts` reads."""
    time = nw.col(Columns.TIMESTAMP)
    seconds = time // SECOND
    is_date = (
        (time % SECOND == 0)
        & (seconds >= 1970_01_01)
        & (seconds <= 2100_12_31)
        & (seconds // 100 % 100).is_between(1, 12)
        & (seconds % 100).is_between(1, 31)
    )
    conditions = {
        "whole_seconds": time % SECOND == 0,
        "whole_days": time % DAY == 0,
        "coarse": time % COARSE == 0,
        "before_1990": time < YEAR_1990,
        "like_dates": is_date,
    }
    return {"first": time.min(), "last": time.max()} | {
        name: condition.cast(nw.Int64()).sum() for name, condition in conditions.items()
    }


def facts(counted: Collection[Mapping[str, int]], where: str) -> dict[str, Any]:
    """``first``, ``last`` (microseconds; None without events), ``resolution`` and ``warnings`` (sentences).

    counted: of every part of the events that has any, its number ``n`` and :func:`counts`; where: file and column.
    """
    if not counted:
        return {"first": None, "last": None, "resolution": "microsecond", "warnings": []}
    found = {name: sum(part[name] for part in counted) for name in ("n", *counts())}
    found |= {"first": min(part["first"] for part in counted), "last": max(part["last"] for part in counted)}
    events = found["n"]
    days, seconds = found["whole_days"] == events, found["whole_seconds"] == events
    return {
        "first": found["first"],
        "last": found["last"],
        "resolution": "day" if days else "second" if seconds else "microsecond",
        "warnings": [f"{where} {text}" for text in _doubts(found)],
    }


def _doubts(found: Mapping[str, int]) -> list[str]:
    """What looks wrong; the first fault of a column explains the others."""
    events = found["n"]
    first, last = shown(found["first"]), shown(found["last"])
    if found["like_dates"] >= 0.99 * events:
        return [
            f"holds dates written as numbers, such as {found['last'] // SECOND}, which are read as seconds since 1970 "
            f"({last}); write them as text, 2020-09-13"
        ]
    if found["first"] == found["last"]:
        return [f"is the same time in every event ({last}), so no order is known; give the time of each event"]
    if found["coarse"] >= 0.99 * events:
        return [
            f"has lost digits: all times are multiples of 100,000 seconds, such as {found['last'] // SECOND} (a "
            "spreadsheet writes 1.60E+09); export the column again as whole numbers or as text, 2020-09-13T12:26:40"
        ]
    if found["before_1990"] == events:
        return [
            f"ends at {last}: these are not times in seconds since 1970; give those. If the numbers only count each "
            "user's events, their order is right, but the age of the data and split: global_time mean nothing"
        ]
    doubts = []
    if found["before_1990"]:
        doubts.append(
            f"has {found['before_1990']} events before 1990, such as {first}: a missing time written as 0 comes first in "
            "its user's history; leave it empty, and the row is rejected"
        )
    if found["whole_days"] == events:
        doubts.append(
            "holds days without a time of day, so the order within a day is not known; give the time of day if you have it"
        )
    return doubts
