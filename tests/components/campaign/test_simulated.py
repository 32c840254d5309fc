"""Figures of simulated campaigns by hand: per 1,000 messages, with Student's intervals over shops."""

import pandas as pd
import pytest
from scipy import stats

from longtail.components.campaign.simulated import figures, table
from longtail.components.campaign.targeting import TARGETINGS
from longtail.contracts.errors import UserError


def rows(activated: dict[str, list[float]]) -> pd.DataFrame:
    """200 messages a shop and targeting."""
    return pd.DataFrame(
        [
            {"seed": seed, "targeting": name, "messages": 200.0, "activated": found, "value": 10 * found}
            for name, each in activated.items()
            for seed, found in enumerate(each)
        ]
    )


@pytest.fixture
def simulated() -> pd.DataFrame:
    others = {name: [4.0, 6.0, 8.0] for name in TARGETINGS if name not in ("random", "uplift")}
    return rows({"random": [2.0, 4.0, 6.0], "uplift": [6.0, 9.0, 12.0]} | others)


def test_means_and_intervals_are_those_of_students_t(simulated: pd.DataFrame) -> None:
    found = figures(simulated, "activated")
    assert found["random"].brought.mean == pytest.approx(20.0)  # 4 of 200 messages
    error = 10.0 / 3**0.5  # the shops have 10, 20 and 30: a standard deviation of 10
    low, high = stats.t.interval(0.95, 2, 20.0, error)
    assert found["random"].brought[1:] == pytest.approx((low, high))
    paired = stats.ttest_rel([30.0, 45.0, 60.0], [10.0, 20.0, 30.0]).confidence_interval(0.95)
    assert found["uplift"].above_random.mean == pytest.approx(25.0)
    assert found["uplift"].above_random[1:] == pytest.approx((paired.low, paired.high))
    assert found["popularity"].above_random == pytest.approx((10.0, 10.0, 10.0))  # the same in every shop


def test_a_targeting_without_messages_brings_nothing(simulated: pd.DataFrame) -> None:
    simulated.loc[simulated.targeting == "uplift", ["messages", "activated"]] = 0.0
    assert figures(simulated, "activated")["uplift"].brought == (0.0, 0.0, 0.0)


def test_one_shop_shows_no_spread(simulated: pd.DataFrame) -> None:
    with pytest.raises(UserError, match=r"one shop shows no spread.*ask for two or more"):
        figures(simulated[simulated.seed == 0], "activated")


def test_the_table_has_a_line_for_each_targeting(simulated: pd.DataFrame) -> None:
    head, *lines = table(simulated).splitlines()
    assert head.split("  ")[0] == "targeting"
    assert [line.split()[0] for line in lines] == list(TARGETINGS)
    assert "20.0 (-4.8 to 44.8)" in lines[0]
    assert "+25.0 (+12.6 to +37.4)" in lines[-1]
