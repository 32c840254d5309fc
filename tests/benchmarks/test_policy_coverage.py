"""The benchmark of intervals, on one kind of log."""

import json
import sys
from pathlib import Path

import numpy as np
import pytest

sys.path.insert(0, str(Path(__file__).parents[2] / "benchmarks"))

import policy_coverage


def test_terms_average_to_the_truth():
    found, truth = policy_coverage.runs_of(policy_coverage.LAWS[3], 2000, 300, 0)
    for name, runs in found.items():
        means = runs.terms.mean(axis=0)
        assert abs(means.mean() - truth) < 4 * means.std() / np.sqrt(300), name
        assert (runs.terms <= runs.most + 1e-9).all() or name == "snips"


def test_rows_of_every_way(monkeypatch, tmp_path, capsys):
    monkeypatch.setattr(policy_coverage, "LAWS", policy_coverage.LAWS[:1])
    monkeypatch.setattr(policy_coverage, "ROUNDS", (300,))
    monkeypatch.setattr(sys, "argv", ["policy_coverage.py", "--repetitions", "40", "--json", str(tmp_path / "f.json")])
    assert policy_coverage.main() == 0
    rows = json.loads((tmp_path / "f.json").read_text())
    assert [row["estimator"] for row in rows] == ["ips", "snips", "dr"]
    assert all(set(row["misses"]) == set(policy_coverage.WAYS) for row in rows)
    assert (
        sum(rows[0]["misses"]["percentile"]) > 0.1 > sum(rows[0]["misses"]["used"])
    )  # .5 % of 300 rounds are rewarded
    assert sum(rows[0]["misses"]["used"]) == pytest.approx(sum(rows[0]["misses"]["poisson"]))
    assert "ips" in capsys.readouterr().out
