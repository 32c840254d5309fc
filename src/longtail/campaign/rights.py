"""Who may be contacted by what: consent, do-not-contact, contact caps; and when: quiet hours."""

from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from zoneinfo import ZoneInfo, available_timezones

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from longtail.contracts.columns import DAY
from longtail.contracts.errors import UserError

STOPPED = "on the do-not-contact list"
CAPPED = "contacted often enough lately"
NO_CONSENT = "no consent to any channel of an offer"


def who_may(
    users: pd.Index,
    channels: Sequence[str],
    consent: pd.DataFrame,
    stopped: Sequence[str],
    often: NDArray[np.bool_],
) -> tuple[NDArray[np.bool_], NDArray[np.object_]]:
    """Which offer each user may get [users, offers], and why a user may get none [users], empty where one may.

    channels: of each offer; consent: user_id, channel; who is not there did not consent. often: see ``contacted_often``.
    """
    allowed = np.zeros((len(users), len(channels)), dtype=bool)
    for place, channel in enumerate(channels):
        allowed[:, place] = users.isin(consent.loc[consent["channel"] == channel, "user_id"])
    stop = np.asarray(users.isin(pd.Index(stopped, dtype=object)))
    why = np.full(len(users), "", dtype=object)
    why[~allowed.any(axis=1)] = NO_CONSENT
    why[often] = CAPPED
    why[stop] = STOPPED
    allowed[often | stop] = False
    return allowed, why


def contacted_often(users: pd.Index, contacts: pd.DataFrame, at: int, most: int, days: float) -> NDArray[np.bool_]:
    """Who had ``most`` contacts or more in the ``days`` before ``at`` (microseconds), so that another is too many. ``[users]``

    contacts: user_id, time. Contacts that are planned for later than ``at`` count, too.
    """
    recent = contacts.loc[contacts["time"] > at - round(days * DAY), "user_id"].value_counts()
    return np.asarray(recent.reindex(users, fill_value=0).to_numpy() >= most)


def send_times(at: int, zones: pd.Series, quiet: tuple[int, int], shop: str) -> NDArray[np.int64]:
    """When each user is sent the message: ``at``, or when the quiet hours end in which that falls. ``[users]``, microseconds

    zones: time zone of each user, missing: the shop's. quiet: start and end, minutes of the day on the user's clock; over midnight
    where the start is later.

    Raises:
        UserError: a name that is no time zone.
    """
    names = zones.fillna(shop).replace("", shop)
    moments = {name: _first_after_quiet(at, str(name), quiet) for name in names.unique()}
    return names.map(moments).to_numpy(np.int64)


def _first_after_quiet(at: int, zone: str, quiet: tuple[int, int]) -> int:
    if zone not in available_timezones():
        raise UserError(f"users: {zone!r} is no time zone; give one as Europe/Berlin, or leave it empty for the shop's")
    here = (datetime(1970, 1, 1, tzinfo=UTC) + timedelta(microseconds=at)).astimezone(ZoneInfo(zone))
    start, end = quiet
    minute = here.hour * 60 + here.minute
    inside = start <= minute < end if start <= end else (minute >= start or minute < end)
    if not inside:
        return at
    morning = here.replace(hour=end // 60, minute=end % 60, second=0, microsecond=0)
    if start > end and minute >= start:
        morning += timedelta(days=1)  # of the clock on the wall, over a change to or from summer time, too
    return round(morning.astimezone(UTC).timestamp()) * 1_000_000
