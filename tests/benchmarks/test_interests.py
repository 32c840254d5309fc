"""The benchmark of stated interests, on the bundle of four items whose relevance is computed by hand."""

import sys
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from helpers_hand_bundle import A, B, C, D, write_hand_bundle

sys.path.insert(0, str(Path(__file__).parents[2] / "benchmarks"))

import interests

GRADES = {A: 3, B: 1, C: 2}


@pytest.fixture
def catalogue(tmp_path):
    return interests.Catalogue(write_hand_bundle(tmp_path / "bundle"))


def test_ndcg_has_exponential_gains_and_the_ideal_order_of_all_that_is_judged():
    ideal = 7 + 3 / np.log2(3) + 1 / 2
    assert interests.ndcg([A, C, B], GRADES) == pytest.approx(1)
    assert interests.ndcg([D, C, B], GRADES) == pytest.approx((3 / np.log2(3) + 1 / 2) / ideal)
    assert interests.ndcg([], GRADES) == 0


def test_a_slip_changes_one_long_word(catalogue):
    slips = {catalogue._slip("a red lampshade 100000") for _ in range(200)}
    assert all(slip.split()[:2] == ["a", "red"] and slip.split()[3] == "100000" for slip in slips)
    words = {slip.split()[2] for slip in slips}
    assert {"lmpshade", "llampshade", "almpshade"} <= words and "lampshade" not in words
    assert catalogue._slip("red lamp") is None


def test_judged_queries_are_scored_and_reasons_checked(catalogue, tmp_path):
    queries = {"query_id": ["q1", "q2"], "query": ["red", "table"], "kind": ["word", "none"]}
    pq.write_table(pa.table(queries), tmp_path / "queries.parquet")
    judgements = {"query_id": ["q1"] * 3 + ["q2"], "item_id": ["c", "a", "gone", "a"], "grade": [3, 2, 3, 0]}
    pq.write_table(pa.table(judgements), tmp_path / "qrels.parquet")
    found = interests.judged(catalogue, tmp_path)
    # relevance to "red" is 2.7, -1.4, 4.2 and -1.4: c, a, and two that nobody judged
    assert found["queries"] == 1
    assert found["ndcg@10 by kind"] == {"word": [1, 1.0]}
    alone = found["systems"]["relevance alone"]
    assert [alone[name][0] for name in ("ndcg@10", "precision@10", "useless", "unjudged")] == [1.0, 0.5, 0.5, 0.5]
    assert found["reasons"]["nothing fits"] == [("table", "none")]
    assert found["reasons"]["said"]["near"] == {"answers": 2, "right": 1.0, "right of judged": 1.0}
    assert found["reasons"]["said"]["comes"]["answers"] == 4
    assert "| relevance alone | 1.000" in interests.markdown(
        {"made": {"grid": {"1 0": {"titles": 0.5}}}, "judged": found}
    )
