"""The benchmark of time gaps finds what was put there: whoever comes back soon wants what follows, and later what is popular."""

import importlib
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from longtail.components.preprocess.prepare import prepare
from longtail.components.preprocess.settings import PreprocessSettings
from longtail.contracts.errors import UserError
from longtail.contracts.prepared import PreparedDataset

BENCHMARKS = Path(__file__).parents[2] / "benchmarks"
DAY = 86_400
PAIRS, POPULAR = 30, 3


@pytest.fixture
def time_gaps(monkeypatch):
    monkeypatch.syspath_prepend(str(BENCHMARKS))
    return importlib.import_module("time_gaps")


def prepared(folder: Path, split: str) -> PreparedDataset:
    """Soon after item first-N comes then-N; after an absence of months one of the popular ones."""
    rng, rows = np.random.default_rng(0), []
    for user in range(600):
        pair, is_soon, late = int(rng.integers(PAIRS)), user % 2 == 0, user % 3 == 0
        ask = (1000 if late else 500) * DAY + user
        next_item = f"then-{pair}" if is_soon else f"popular-{rng.integers(POPULAR)}"
        rows.append(
            (f"u{user}", f"first-{pair}", ask - int(rng.integers(1, 5) if is_soon else rng.integers(250, 350)) * DAY)
        )
        rows.append((f"u{user}", next_item, ask))
        if split == "leave_last_out":
            rows.append((f"u{user}", "before", DAY))
    # the latest events are a test window that nobody reads
    rows += [(f"t{user}", f"popular-{user % POPULAR}", 1100 * DAY + user) for user in range(150)]
    table = dict(zip(("user_id", "item_id", "timestamp"), map(list, zip(*rows))))
    pq.write_table(pa.table(table), folder / "events.parquet")
    items = sorted({item for _, item, _ in rows})
    pq.write_table(pa.table({"item_id": items, "title": items}), folder / "items.parquet")
    settings = PreprocessSettings(split=split, memory_limit_gb=0.5)
    prepare(str(folder / "events.parquet"), str(folder / "items.parquet"), None, folder / "prepared", settings)
    return PreparedDataset(folder / "prepared")


def test_days_are_those_between_the_event_and_the_moment_of_asking(time_gaps, tmp_path):
    asked = time_gaps.Asked.of(prepared(tmp_path, "global_time"))
    assert len(asked.first) > 50
    assert {int(days[0]) for days in asked.days} <= {1, 2, 3, 4, *range(250, 350)}
    shown = asked.shown(lambda days: days, 66)
    assert shown.sum() == pytest.approx(sum(days.sum() for days in asked.days))


def test_an_absence_that_matters_is_seen(time_gaps, tmp_path):
    found = time_gaps.rows_of(prepared(tmp_path, "global_time"))
    assert found["place and days before asking, 30"].mean() > found["by place"].mean() + 0.03
    assert found["by place, a weight for each third of absences"].mean() > found["by place"].mean() + 0.03
    assert found["days before the last event, 30"].mean() == pytest.approx(found["by place"].mean(), abs=1e-9)


def test_without_a_clock_there_are_no_gaps_to_measure(time_gaps, tmp_path):
    prepared(tmp_path, "leave_last_out")
    with pytest.raises(UserError, match="split by each user's own events"):
        time_gaps.main([str(tmp_path / "prepared")])
