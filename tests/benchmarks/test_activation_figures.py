"""The command of activation's figures finds its parts, and Hillstrom's published effects are reproduced."""

import importlib
import json
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from longtail.contracts.errors import UserError
from longtail.metrics.uplift import Trial

BENCHMARKS = Path(__file__).parents[2] / "benchmarks"
DATASETS = Path(__file__).parents[3] / "shared" / "datasets"


@pytest.fixture
def activation(monkeypatch):
    monkeypatch.syspath_prepend(str(BENCHMARKS))
    return importlib.import_module("activation")


def test_parts_are_the_files_beside_it(activation):
    assert {"hillstrom", "states"} <= activation.PARTS.keys()
    assert all((BENCHMARKS / f"{module}.py").exists() for module in activation.PARTS.values())


def test_a_missing_data_set_is_named(activation, tmp_path):
    with pytest.raises(UserError, match=r"experiment.parquet: no such file; give the folder .*--datasets"):
        activation.main(["--only", "hillstrom", "--datasets", str(tmp_path)])


@pytest.mark.slow
def test_hillstrom_on_customers_like_his(activation, tmp_path):
    """A small table with his columns: half of the women's mailing's readers visit 30 points more often."""
    rng = np.random.default_rng(0)
    customers = pd.DataFrame(
        {name: rng.choice(["x", "y"], 3000) for name in ("history_segment", "zip_code", "channel")}
    )
    customers = customers.assign(
        **{name: rng.integers(2, size=3000) for name in ("recency", "history", "mens", "womens", "newbie")}
    )
    customers["segment"] = rng.choice(["No E-Mail", "Mens E-Mail", "Womens E-Mail"], 3000)
    gain = 0.3 * ((customers.segment == "Womens E-Mail") & (customers.womens == 1))
    customers["visit"] = (rng.random(3000) < 0.2 + gain).astype(int)
    (tmp_path / "hillstrom-email").mkdir()
    customers.to_parquet(tmp_path / "hillstrom-email" / "experiment.parquet")
    output = tmp_path / "found.json"
    assert activation.main(["--only", "hillstrom", "--datasets", str(tmp_path), "--output", str(output)]) == 0
    found = {row["treatment"]: row for row in json.loads(output.read_text())["hillstrom"]["auto"]["treatments"]}
    assert found["womens"]["better_than_random"] and not found["mens"]["better_than_random"]
    assert found["womens"]["average_effect"]["low"] < 0.15 < found["womens"]["average_effect"]["high"]


def test_hillstroms_own_effects():
    file = DATASETS / "hillstrom-email" / "experiment.parquet"
    if not file.exists():
        pytest.skip("the data set hillstrom-email is not here (looked in ../shared/datasets beside the checkout)")
    customers = pd.read_parquet(file)
    for name, points in (("Mens E-Mail", 7.66), ("Womens E-Mail", 4.52)):
        pair = customers.segment.isin([name, "No E-Mail"])
        trial = Trial.of(customers.visit[pair].to_numpy(), (customers.segment[pair] == name).to_numpy())
        mean, error = trial.average()
        assert 100 * mean == pytest.approx(points, abs=0.005)
        assert 100 * error == pytest.approx(0.33, abs=0.02)
