"""The benchmark of large catalogues, on one of 2,000 items."""

import sys
from pathlib import Path

import pytest

from longtail.scoring import bundle_writing, item_index
from longtail.scoring.asked import Asked
from longtail.scoring.bundle import load_bundle
from longtail.scoring.int8 import Int8Rows

sys.path.insert(0, str(Path(__file__).parents[2] / "benchmarks"))

import catalogue


@pytest.mark.parametrize("floats", [False, True])
def test_made_up_bundles_are_asked_with_and_without_their_index(tmp_path, monkeypatch, floats):
    monkeypatch.setattr(bundle_writing, "INDEXED_FROM", 2000)
    bundle = load_bundle(catalogue.made_up(tmp_path, 2000, spread=False, floats=floats))
    assert (bundle.path / item_index.INDEX).is_file()
    assert isinstance(bundle.tensors.item_matrix, Int8Rows) is not floats
    row = catalogue.in_one_process(bundle, questions=10)
    for kind in ("plain", "filtered"):
        assert row[kind]["recall"] >= 0.98
        assert row[kind]["index_ms"] > 0 and row[kind]["all_ms"] > 0


def test_recall_is_the_share_of_the_exact_items(tmp_path):
    bundle = load_bundle(catalogue.made_up(tmp_path, 200, spread=True, floats=True))
    exact = catalogue.without_index(bundle)
    one, other = exact.answers([Asked(["item-1"], k=4), Asked(["item-1"], k=2)])
    assert catalogue.recall([other], [one]) == 0.5
    assert catalogue.recall([one], [one]) == 1.0
