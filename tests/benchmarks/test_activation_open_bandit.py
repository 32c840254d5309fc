import sys
from pathlib import Path

import pandas as pd
import pytest

ROOT = Path(__file__).parents[2]
DATASETS = ROOT.parent / "shared" / "datasets"
sys.path.insert(0, str(ROOT / "benchmarks"))
import activation_open_bandit  # noqa: E402

pytestmark = pytest.mark.skipif(
    not (DATASETS / "open-bandit-men").is_dir(), reason="needs ../shared/datasets/open-bandit-men"
)


@pytest.fixture(scope="module")
def found():
    return activation_open_bandit.run(DATASETS)


def test_the_truth_is_inside_every_interval_both_ways(found):
    text, document = found
    assert len(document) == 3 and "  no  " not in text
    for direction in document.values():
        assert len(direction["estimates"]) == 6
        for estimate in direction["estimates"]:
            assert estimate["low"] <= direction["truth"]["value"] <= estimate["high"]
        assert direction["warnings"] == ()


def test_ips_both_ways_by_sums_in_pandas(found):
    random, thompson = (pd.read_parquet(DATASETS / "open-bandit-men" / f"{name}.parquet") for name in ("random", "bts"))
    backward = (thompson["click"] / 34 / thompson["propensity_score"]).mean()
    shares = thompson.groupby("position")["item_id"].value_counts(normalize=True).rename("share").reset_index()
    joined = random.merge(shares, on=["position", "item_id"], how="left")
    forward = (joined["click"] * joined["share"].fillna(0) / joined["propensity_score"]).mean()
    document = found[1]
    values = {name: direction["estimates"][0]["value"] for name, direction in document.items()}
    assert values["Thompson sampling, by the random log"] == pytest.approx(forward, rel=1e-9)
    assert values["random choice, by Thompson sampling's log"] == pytest.approx(backward, rel=1e-9)
    truths = [direction["truth"]["value"] for direction in document.values()]
    assert truths == pytest.approx([thompson["click"].mean(), thompson["click"].mean(), random["click"].mean()])
