"""`longtail campaign simulate`: prints every way of choosing with intervals, writes its rows, and says what it cannot do."""

from pathlib import Path

import pandas as pd
import pytest
from helpers_command import command, is_one_message, refused

from longtail.components.campaign import simulate as simulation
from longtail.components.campaign.targeting import TARGETINGS


@pytest.fixture
def quick(monkeypatch: pytest.MonkeyPatch) -> None:
    """Rounds that take no time: each message brings a tenth of a user, by uplift two tenths."""

    def brought(_: object, world: "simulation._World", targeting: str) -> dict[str, float]:
        each = 0.2 if targeting == "uplift" else 0.1 + 0.001 * world.seed
        found = {"activated": each, "activated_drawn": each, "value": 40 * each, "value_drawn": 40 * each}
        return {"messages": 100.0} | {name: 100 * gain for name, gain in found.items()}

    monkeypatch.setattr(simulation, "_campaigns", brought)


def test_the_table_and_the_rows_are_of_all_ways(quick: None, tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    words = [
        "campaign",
        "simulate",
        "--shops",
        "3",
        "--users",
        "1200",
        "--rounds",
        "2",
        "--output",
        str(tmp_path / "r.csv"),
    ]
    shown = command(capfd, *words)
    assert "2 campaigns in a row in 3 generated shops of 1,200 users, 20% of them contacted in each" in shown
    assert [line.split()[0] for line in shown.splitlines()[-5:]] == list(TARGETINGS)
    assert "200.0 (200.0 to 200.0)" in shown.splitlines()[-1]
    rows = pd.read_csv(tmp_path / "r.csv")
    assert list(zip(rows.seed, rows.targeting)) == [(seed, name) for seed in range(3) for name in TARGETINGS]


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (("--users", "900", "--messages", "0.1"), "simulate more users"),
        (("--output", "no/such/folder.csv"), "--output"),
    ],
)
def test_what_cannot_be_simulated_is_one_message(
    words: tuple[str, ...], message: str, capfd: pytest.CaptureFixture[str]
) -> None:
    code, error = refused(capfd, "campaign", "simulate", *words)
    assert code == 2
    assert is_one_message(error, message)
