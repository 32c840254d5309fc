"""The benchmark of transfer: who makes a shop's events, and what its figures are of."""

import importlib
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from helpers_hand_bundle import write_hand_bundle

from longtail.metrics.ranking import ndcg, rank_targets
from longtail.scoring.bundle import load_bundle
from longtail.scoring.query import Query
from longtail.scoring.scorer import Scorer

BENCHMARKS = Path(__file__).parents[2] / "benchmarks"


@pytest.fixture
def transfer(monkeypatch):
    monkeypatch.syspath_prepend(str(BENCHMARKS))
    return importlib.import_module("transfer")


def test_whole_histories_make_the_events(transfer):
    histories = [["a", "b"], ["a", "b", "c"], ["d", "e"]]
    assert transfer.first_events(histories, 0) == []
    assert transfer.first_events(histories, 1) == histories[:1]
    assert transfer.first_events(histories, 2) == histories[:1]
    assert transfer.first_events(histories, 3) == histories[:2]
    assert transfer.first_events(histories, 100) == histories


def test_held_out_users_and_makers_are_different_people_of_one_shop(transfer, tmp_path, monkeypatch):
    monkeypatch.setattr(transfer, "HELD_OUT", 5)
    users = [(f"u{user}", f"i{user}{place}", place) for user in range(12) for place in range(4)]
    table = dict(zip(("user_id", "item_id", "timestamp"), map(list, zip(*users))))
    pq.write_table(pa.table(table), tmp_path / "interactions.parquet")
    pq.write_table(
        pa.table({"item_id": [item for _, item, _ in users], "title": ["t"] * len(users)}), tmp_path / "items.parquet"
    )
    (tmp_path / "work").mkdir()
    held, makers = transfer.draw_shop(tmp_path, 8, [], tmp_path / "work", seed=0)
    assert [len(held), len(makers)] == [5, 2]
    known = {item for history in (*held, *makers) for item in history}
    assert len(known) == 7 * 4  # nobody's items are another's
    assert pq.read_table(tmp_path / "work" / "items.parquet").column("item_id").to_pylist() == sorted(known)
    assert all(history == sorted(history) for history in held)


def test_the_figure_is_the_mean_over_what_is_shown(transfer, tmp_path):
    bundle = write_hand_bundle(tmp_path / "bundle")
    held = [["a", "b", "c"], ["d", "a", "b"]]
    scorer, codes = Scorer(load_bundle(bundle)), {"a": 0, "b": 1, "c": 2, "d": 3}
    expected = []
    for history in held:
        whole = np.array([codes[item] for item in history], np.int32)
        gains = []
        for k in (1, 2, 3, 4):
            shown = whole[:-1][-k:]
            gains.append(ndcg(rank_targets(scorer.score([Query(shown)]), [whole[-1:]], [shown]))[0])
        expected.append(np.mean(gains))
    assert transfer.found_by(bundle, held) == pytest.approx(expected)
    assert min(expected) > 0


def test_a_clear_gain_pays_and_a_clear_loss_harms(transfer):
    rng = np.random.default_rng(0)
    alone = rng.uniform(0, 0.5, 500)
    row = transfer.row_of(7, alone, alone + 0.1, [1.0, 2.0])
    assert row["gain"]["mean"] == pytest.approx(0.1) and transfer.shown_row(row).endswith("| pays |")
    assert transfer.shown_row(transfer.row_of(7, alone, alone - 0.1 * rng.uniform(0, 1, 500), [1.0, 2.0])).endswith(
        "| harms |"
    )
    assert transfer.shown_row(transfer.row_of(7, alone, rng.permutation(alone), [1.0, 2.0])).endswith("| unclear |")
