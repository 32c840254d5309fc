"""Consent, do-not-contact, caps and quiet hours, by hand."""

from datetime import UTC, datetime

import numpy as np
import pandas as pd
import pytest

from longtail.campaign.messages import Item, check_template, filled
from longtail.campaign.rights import CAPPED, NO_CONSENT, STOPPED, contacted_often, send_times, who_may
from longtail.contracts.errors import UserError

DAY = 86_400_000_000


def test_consent_is_by_channel_and_lists_of_refusals_stand_above_it():
    users = pd.Index(["a", "b", "c", "d", "e"])
    consent = pd.DataFrame({"user_id": ["a", "a", "b", "c", "d"], "channel": ["mail", "app", "app", "mail", "mail"]})
    often = np.array([False, False, False, True, False])
    allowed, why = who_may(users, ["mail", "app", "mail"], consent, ["c", "nobody"], often)
    assert allowed.tolist() == [[True, True, True], [False, True, False], [False] * 3, [False] * 3, [False] * 3]
    assert why.tolist() == ["", "", STOPPED, CAPPED, NO_CONSENT]


def test_contacts_of_the_last_days_count():
    users = pd.Index(["a", "b", "c"])
    contacts = pd.DataFrame(
        {"user_id": ["a", "a", "b", "b", "x"], "time": [10 * DAY, 8 * DAY, 10 * DAY, 3 * DAY, 10 * DAY]}
    )
    assert contacted_often(users, contacts, 10 * DAY, 2, 7.0).tolist() == [True, False, False]
    assert contacted_often(users, contacts, 10 * DAY, 1, 7.0).tolist() == [True, True, False]
    assert contacted_often(users, contacts, 17 * DAY, 1, 7.0).tolist() == [
        False,
        False,
        False,
    ]  # seven days ago is past


def moment(*parts):
    return round(datetime(*parts, tzinfo=UTC).timestamp()) * 1_000_000


@pytest.mark.parametrize(
    ("at", "zone", "expected"),
    [
        ((2026, 11, 28, 12, 0), "UTC", (2026, 11, 28, 12, 0)),
        ((2026, 11, 28, 21, 0), "UTC", (2026, 11, 29, 8, 0)),
        ((2026, 11, 28, 7, 59), "UTC", (2026, 11, 28, 8, 0)),
        ((2026, 11, 28, 8, 0), "UTC", (2026, 11, 28, 8, 0)),
        ((2026, 11, 28, 20, 30), "Europe/Berlin", (2026, 11, 29, 7, 0)),  # 21:30 there
        ((2026, 11, 28, 12, 0), "America/New_York", (2026, 11, 28, 13, 0)),  # 7:00 there
        ((2026, 3, 28, 22, 0), "Europe/Berlin", (2026, 3, 29, 6, 0)),  # summer time begins in that night
    ],
)
def test_what_falls_into_quiet_hours_is_sent_when_they_end(at, zone, expected):
    found = send_times(moment(*at), pd.Series([zone, None]), (21 * 60, 8 * 60), zone)
    assert found.tolist() == [moment(*expected)] * 2


def test_quiet_hours_within_a_day_and_none_at_all():
    assert send_times(moment(2026, 1, 1, 13), pd.Series([None]), (12 * 60, 14 * 60), "UTC").tolist() == [
        moment(2026, 1, 1, 14)
    ]
    assert send_times(moment(2026, 1, 1, 13), pd.Series([None]), (480, 480), "UTC").tolist() == [moment(2026, 1, 1, 13)]
    with pytest.raises(UserError, match="'Mars' is no time zone"):
        send_times(0, pd.Series(["Mars"]), (0, 1), "UTC")


def test_messages_are_one_line_a_title_and_escaped_in_mail_alone():
    items = [Item("i1", "Tea\n & <b>pot</b>", "because", 3.5), Item("i2", "Cup", "")]
    assert filled("Hi $user: $titles, $price $$", "u", "o", "app", items) == "Hi u: Tea & <b>pot</b>, Cup, 3.50 $"
    assert filled("<p>$title</p>", "u", "o", "mail", items) == "<p>Tea &amp; &lt;b&gt;pot&lt;/b&gt;</p>"
    assert filled("$title|$price", "u", "o", "app", []) == "|"


@pytest.mark.parametrize("template", ["$name", "${user.id}", "costs 5$", "$"])
def test_a_template_that_cannot_be_filled_is_refused(template):
    with pytest.raises(UserError, match="template of 'o'"):
        check_template(template, "o")
