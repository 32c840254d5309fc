"""Times: what a column holds becomes microseconds since 1970 (UTC), and times that look wrong are said.

Microseconds, since that is the finest unit both engines have and 64 bits hold it for 290,000 years; nanoseconds are rounded.
"""

from collections.abc import Collection, Mapping
from datetime import UTC, datetime, timedelta
from typing import Any

import narwhals as nw

from longtail.contracts.columns import Columns
from longtail.tables.kinds import Kind

SECOND = 1_000_000
DAY = 86_400 * SECOND
COARSE = 100_000 * SECOND  # all times are multiples of it only where digits were lost
YEAR_1990 = 631_152_000 * SECOND
ISO = (  # both engines' own parsers take more than this, each something else (Spark: "yesterday")
    "^[0-9]{4}-[0-9]{2}-[0-9]{2}([T ]([01][0-9]|2[0-3]):[0-9]{2}(:[0-9]{2}([.][0-9]+)?)?"
    "( ?UTC|Z|[+-][0-9]{2}(:?[0-9]{2})?)?)?$"
)


def microseconds(column: str, kind: Kind) -> str:
    """SQL text for whole microseconds since 1970; null where there is no time.

    A number's size tells its unit, row by row: below 1e11 seconds (until the year 5138), below 1e14 milliseconds (from
    1973), below 1e17 microseconds, then nanoseconds. Text is a number, or a date or time of ISO 8601, UTC without a zone.
    """
    if kind == "time":
        return f"unix_micros(try_cast({column} as timestamp))"
    # try_cast: DuckDB takes a NaN to lie where the file's statistics, which leave NaN out, say that all numbers do
    whole = kind == "whole"  # whole numbers stay so: faster, and exact
    number = f"try_cast({column} as {'bigint' if whole else 'double'})"
    cases = []
    for factor, limit in ((SECOND, 10**11), (1000, 10**14), (1, 10**17)):
        scaled = f"{number} * {factor}" if whole else f"try_cast(floor({number} * {factor} + 0.5) as bigint)"
        cases.append(f"when {number} between -{limit} and {limit} then {scaled}")
    cases.append(f"when abs({number} / 1e3) < 9e15 then try_cast(floor({number} / 1e3 + 0.5) as bigint)")
    if kind != "text":
        return f"case {' '.join(cases)} end"
    date = f"nullif(regexp_extract(trim({column}), '{ISO}', 0), '')"
    return f"case {' '.join(cases)} when {number} is null then unix_micros(try_to_timestamp({date})) end"


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
