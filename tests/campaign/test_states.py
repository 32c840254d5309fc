import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st

from longtail.campaign.states import StateSettings, user_states
from longtail.contracts.campaign import STATES
from longtail.contracts.columns import DAY
from longtail.contracts.errors import UserError
from longtail.contracts.segments import SegmentRule
from longtail.contracts.settings_base import parse

AT = 1000 * DAY


def events(of):
    """``{user: [days before the moment]}`` as a table; the value of an event is its day."""
    rows = [(user, AT - round(day * DAY), float(day)) for user, days in of.items() for day in days]
    return pd.DataFrame(rows, columns=["user_id", "timestamp", "value"]).astype({"timestamp": np.int64})


def states(of, users=None, **settings):
    return user_states(events(of), users or sorted(of), AT, StateSettings(**settings)).set_index("user_id")


SHOP = {
    "weekly": [66, 59, 52, 45],  # away 45 days, usually 7
    "yearly": [765, 400, 40],  # away 40 days, usually 365 and 360
    "often": [37, 30, 23, 9],
    "once": [300],
    "fresh": [3, 2],
}


def test_numbers_by_hand():
    found = states(SHOP, [*SHOP, "nobody"])
    weekly = found.loc["weekly"]
    assert (weekly.events, weekly.days_since_first, weekly.days_since_last) == (4, 66, 45)
    assert (weekly.usual_gap_days, weekly.usual_value) == (7, (66 + 59 + 52 + 45) / 4)
    assert found.usual_gap_days["yearly"] == (365 + 360) / 2
    assert found.usual_gap_days["often"] == 7  # of 7, 7, 14
    assert np.isnan(found.usual_gap_days["once"])
    assert found.usual_gap_days["fresh"] == 1
    # the shop's: median of 7, 362.5, 7, 1
    assert found.expected_gap_days.to_dict() == {
        "weekly": 7, "yearly": 362.5, "often": 7, "once": 7, "fresh": 7, "nobody": 7,
    }  # fmt: skip
    nobody = found.loc["nobody"]
    assert (nobody.events, nobody.state) == (0, "never")
    assert nobody[["days_since_first", "days_since_last", "usual_gap_days", "trend", "usual_value"]].isna().all()
    assert found.segment.to_dict() == {
        "weekly": "tail", "yearly": "tail", "often": "tail", "once": "tail", "fresh": "tail", "nobody": "cold",
    }  # fmt: skip


def test_states_are_multiples_of_the_usual_gap():
    found = states(SHOP, [*SHOP, "nobody"]).state
    assert found.to_dict() == {
        "weekly": "dormant",  # 45 > 4 x 7
        "yearly": "active",  # 40 < 2 x 362.5
        "often": "active",  # 9 < 2 x 7
        "once": "dormant",  # 300 > 4 x the shop's 7
        "fresh": "new",
        "nobody": "never",
    }
    assert states(SHOP, dormant_after=8).state["weekly"] == "at_risk"
    assert states(SHOP, at_risk_after=1).state["often"] == "at_risk"
    assert states(SHOP, shop_gap_days=200).state["once"] == "active"
    assert states(SHOP, new_within_days=0).state["fresh"] == "active"


def test_limits_belong_to_the_state_behind_them():
    found = states({"a": [42, 28, 14], "b": [84, 70, 56], "c": [51, 44, 37, 14]}, shop_gap_days=7, new_within_days=0)
    assert found.state.to_dict() == {"a": "active", "b": "dormant", "c": "at_risk"}  # 1, 4 and 2 gaps away


def test_quantiles_rank_the_days_since_the_last_event():
    of = {f"u{day:02d}": [day] for day in range(1, 11)}
    found = states(of, rule="quantiles", new_within_days=0).state.tolist()
    assert found == ["active"] * 5 + ["at_risk"] * 3 + ["dormant"] * 2  # limits 5.5 and 8.2 days
    assert states(of, rule="quantiles", at_risk_after=0.1, dormant_after=0.2, new_within_days=0).state.tolist() == [
        "active",
        "at_risk",
        *["dormant"] * 8,
    ]


def test_trend_compares_halves():
    found = states(
        {"up": [80, 20, 10, 5], "down": [99, 60, 51, 10], "outside": [150], "even": [60, 40]}, trend_days=100
    )
    assert found.trend.drop("outside").to_dict() == {"up": 0.5, "down": -0.5, "even": 0}
    assert np.isnan(found.trend["outside"])


def test_gaps_are_between_days_not_events():
    moment = AT - 20 * DAY
    table = pd.DataFrame({"user_id": "a", "timestamp": [moment, moment + 5, moment + 10, moment + 7 * DAY]})
    assert user_states(table, ["a"], AT, StateSettings()).usual_gap_days.tolist() == [7]


@given(st.lists(st.tuples(st.sampled_from("abcd"), st.integers(-50, 200)), max_size=40), st.randoms())
def test_nothing_at_or_after_the_moment_is_read(rows, random):
    """Events at and after the moment, and the order of the rows, change nothing."""
    settings = StateSettings(shop_gap_days=10)
    table = pd.DataFrame(rows, columns=["user_id", "day"])
    table["timestamp"] = (AT - table.day.astype(np.int64) * DAY).astype(np.int64)
    table["value"] = table.day.astype(float)
    shuffled = table.sample(frac=1, random_state=random.randrange(1000))
    past = table[table.timestamp < AT]
    expected = user_states(past, list("abcd"), AT, settings)
    pd.testing.assert_frame_equal(user_states(shuffled, list("dcba"), AT, settings), expected)
    assert set(expected.state) <= set(STATES)
    assert expected.events.sum() == len(past)
    assert (expected.days_since_last.dropna() > 0).all()


def test_events_of_others_and_missing_values():
    table = events({"a": [10, 4], "b": [20, 10]})
    table.loc[0, "value"] = np.nan
    found = user_states(table, ["a"], AT, StateSettings(), SegmentRule(tail_max=1, torso_max=2)).iloc[0]
    assert (found.user_id, found.events, found.usual_value, found.segment) == ("a", 2, 4, "torso")
    assert user_states(table.drop(columns="value"), ["a"], AT, StateSettings()).usual_value.isna().all()


def test_without_any_event_everybody_is_never():
    assert states({"a": []}, ["a", "b"]).state.tolist() == ["never", "never"]


def test_a_gap_that_nobody_has_is_an_error_with_its_remedy():
    with pytest.raises(UserError, match=r"no usual gap is known; give states.shop_gap_days"):
        states({"a": [100], "b": [200]})
    assert states({"a": [100], "b": [200]}, shop_gap_days=80).state.tolist() == ["active", "at_risk"]


def test_a_user_asked_for_twice():
    with pytest.raises(UserError, match="user 'a' is asked for twice"):
        states({"a": [1]}, ["a", "a"])


@pytest.mark.parametrize(
    ("settings", "fault"),
    [
        ({"at_risk_after": 5}, "must be below dormant_after"),
        ({"rule": "quantiles", "dormant_after": 3}, "is a share of users"),
        ({"rule": "quantiles", "shop_gap_days": 3}, "no effect with rule: quantiles"),
        ({"dormant": 3}, "there is no setting 'dormant'"),
    ],
)
def test_settings_that_contradict(settings, fault):
    with pytest.raises(UserError, match=fault):
        parse(StateSettings, settings, "states")
