"""The state of every user at a decision moment, from the events before it alone.

A state compares how long a user has been away with how often that user comes: after 40 days, who came weekly is at risk and who came
yearly is not. Who came too rarely to have a usual gap is compared with the shop's.
"""

from collections.abc import Sequence

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from longtail.campaign.how import StateSettings
from longtail.contracts.campaign import STATES, StateColumns
from longtail.contracts.columns import DAY, Columns
from longtail.contracts.errors import UserError
from longtail.contracts.segments import SegmentRule

OWN_GAPS = 2  # gaps between days with events from which on the user's own usual gap is taken, not the shop's
Numbers = NDArray[np.float64]


def user_states(
    events: pd.DataFrame,
    users: Sequence[str] | NDArray[np.object_],
    at: int,
    settings: StateSettings,
    segments: SegmentRule | None = None,
) -> pd.DataFrame:
    """One row a user, sorted by user_id: the columns of ``StateColumns`` but ``RETURNS``.

    Args:
        events: user_id, timestamp (int64 microseconds), and value where there are any. What is at or after ``at`` is not read, nor are
            events of others than ``users``.
        users: ids of all users to describe, each once; those without events are ``never``.
        at: the decision moment, microseconds.
        segments: by the number of events before the moment; the project's usual rule where left out.

    Raises:
        UserError: a user is asked for twice, or the rule needs the shop's usual gap and nobody came on two days.
    """
    index = pd.Index(np.asarray(users, dtype=object)).sort_values()
    if index.has_duplicates:
        raise UserError(f"user {index[index.duplicated()][0]!r} is asked for twice; give every user once")
    codes, times, values = _before(events, index, at)
    n = len(index)
    count = np.bincount(codes, minlength=n)
    since_last, since_first = (np.full(n, np.nan) for _ in range(2))
    known = count > 0
    ends = np.cumsum(count)
    since_last[known] = (at - times[ends[known] - 1]) / DAY
    since_first[known] = (at - times[(ends - count)[known]]) / DAY
    gaps, n_gaps = _usual_gaps(codes, times, n)
    expected = _expected_gaps(gaps, n_gaps, settings.shop_gap_days)
    return pd.DataFrame(
        {
            StateColumns.USER: index.to_numpy(dtype=object),
            StateColumns.SEGMENT: (segments or SegmentRule()).assign(count).astype(object),
            StateColumns.EVENTS: count.astype(np.int64),
            StateColumns.DAYS_SINCE_FIRST: since_first,
            StateColumns.DAYS_SINCE_LAST: since_last,
            StateColumns.USUAL_GAP_DAYS: gaps,
            StateColumns.EXPECTED_GAP_DAYS: expected,
            StateColumns.TREND: _trend(codes, times, at, settings.trend_days, n),
            StateColumns.STATE: _states(since_first, since_last, expected, settings),
            StateColumns.USUAL_VALUE: _mean(codes, values, n),
        }
    )


def _before(events: pd.DataFrame, index: pd.Index, at: int) -> tuple[NDArray[np.int64], NDArray[np.int64], Numbers]:
    """Row of the user, time and value (nan where none) of the events before ``at``, sorted by user and time."""
    events = events.loc[(events[Columns.TIMESTAMP] < at).to_numpy()]
    codes = index.get_indexer(pd.Index(events[Columns.USER]))
    times = events[Columns.TIMESTAMP].to_numpy(np.int64)
    has_values = Columns.VALUE in events
    values = events[Columns.VALUE].to_numpy(np.float64) if has_values else np.full(len(codes), np.nan)
    order = np.lexsort((times, codes))
    order = order[np.count_nonzero(codes < 0) :]
    return codes[order].astype(np.int64), times[order], values[order]


def _usual_gaps(codes: NDArray[np.int64], times: NDArray[np.int64], n: int) -> tuple[Numbers, NDArray[np.int64]]:
    """Median days between days (UTC) that had events, and how many such gaps there are. Each ``[users]``."""
    days = times // DAY
    first = np.ones(len(codes), dtype=bool)
    first[1:] = (codes[1:] != codes[:-1]) | (days[1:] != days[:-1])
    codes, days = codes[first], days[first]
    same = codes[1:] == codes[:-1]
    gaps, owner = np.diff(days)[same], codes[1:][same]
    gaps = gaps[np.lexsort((gaps, owner))]
    count = np.bincount(owner, minlength=n)
    start, some = np.cumsum(count) - count, count > 0
    low, high = (start + (count - 1) // 2)[some], (start + count // 2)[some]
    median = np.full(n, np.nan)
    median[some] = (gaps[low] + gaps[high]) / 2
    return median, count


def _trend(codes: NDArray[np.int64], times: NDArray[np.int64], at: int, days: float, n: int) -> Numbers:
    """(events of the later half - of the earlier half) / events of the last ``days``; missing without any. ``[users]``"""
    inside = times >= at - days * DAY
    later = times >= at - days * DAY / 2
    total = np.bincount(codes[inside], minlength=n)
    half = np.bincount(codes[later], minlength=n)
    return np.where(total > 0, (2 * half - total) / np.maximum(total, 1), np.nan)


def _mean(codes: NDArray[np.int64], values: Numbers, n: int) -> Numbers:
    given = ~np.isnan(values)
    count = np.bincount(codes[given], minlength=n)
    total = np.bincount(codes[given], weights=values[given], minlength=n)
    return np.where(count > 0, total / np.maximum(count, 1), np.nan)


def _expected_gaps(gaps: Numbers, n_gaps: NDArray[np.integer], shop_gap_days: float | None) -> Numbers:
    """Days after which each user is expected again: the own usual gap from ``OWN_GAPS`` gaps on, else the shop's. ``[users]``"""
    shop = shop_gap_days
    if shop is None:
        shop = float("nan") if np.isnan(gaps).all() else float(np.nanmedian(gaps))
    return np.where(n_gaps >= OWN_GAPS, gaps, shop)


def _states(
    since_first: Numbers, since_last: Numbers, expected: Numbers, settings: StateSettings
) -> NDArray[np.object_]:
    known = ~np.isnan(since_last)
    at_risk, dormant = settings.limits
    away = since_last
    if known.any() and settings.rule == "gaps":
        if np.isnan(expected[known]).any():
            raise UserError(
                "no user has events on two days before the moment, so no usual gap is known; give states.shop_gap_days, take "
                "states.rule: quantiles, or a later moment"
            )
        away = since_last / expected
    elif known.any():
        at_risk, dormant = np.quantile(since_last[known], [at_risk, dormant])
    never, new, active, risk, sleeps = STATES
    chosen = np.select(
        [~known, since_first <= settings.new_within_days, away < at_risk, away < dormant],
        [never, new, active, risk],
        sleeps,
    )
    return chosen.astype(object)
