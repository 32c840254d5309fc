"""What the benchmark of lists for everybody makes up and counts."""

import sys
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).parents[2] / "benchmarks"))
import everybody
from catalogue import made_up

from longtail.components.recommend.settings import RecommendSettings


def test_users_are_a_long_tails():
    users = everybody.made_up_users(20_000, [f"item-{code}" for code in range(1000)])
    lengths = [len(history) for history in users.table(slice(0, 20_000))["history"].to_pylist()]
    shares = {most: sum(length <= most for length in lengths) / 20_000 for most in (0, 5, 20)}
    assert shares == pytest.approx({0: 0.04, 5: 0.85, 20: 0.98}, abs=0.01)


@pytest.mark.slow
def test_a_small_shop_is_measured(tmp_path):
    bundle = made_up(tmp_path, 500, spread=False, floats=True)
    row = everybody.measured(bundle, tmp_path / "lists", 60, 20, RecommendSettings(processes=1))
    assert (row["users"], row["items"], row["rows"], row["recall"]) == (60, 500, 600, 1.0)
    assert row["core_ms_a_user"] > 0 and row["lists_unlike_one_by_one"] == 0
    with pytest.raises(KeyError):
        everybody.recall(bundle, tmp_path / "lists", everybody.made_up_users(61, [f"item-{n}" for n in range(500)]), 61)
