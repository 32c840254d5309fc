from pathlib import Path

import numpy as np
import pytest
from helpers_prepared import leave_last_out, write_tiny_prepared
from scipy import sparse

from longtail.baselines.classic import (
    MIXTURES,
    DenseProfile,
    ItemSimilarity,
    NaiveBayes,
    Popularity,
    SparseProfile,
    baselines,
    recency_matrix,
)
from longtail.contracts.prepared import PreparedDataset, Split
from longtail.neighbours.traits import TraitTerm, base_of, lifts
from longtail.neighbours.usual import FEWEST
from longtail.scoring.query import Query
from longtail.scoring.rows import standardised

A, B, C, D = range(4)
COLD = Query(np.zeros(0, np.int32))


def query(*items: int) -> Query:
    return Query(np.array(items, dtype=np.int32))


def test_the_last_item_counts_most_and_repeats_add_up():
    weights = recency_matrix([query(A, B, A), COLD, query(D)], 4).toarray()
    np.testing.assert_allclose(weights, [[0.49 + 1, 0.7, 0, 0], [0, 0, 0, 0], [0, 0, 0, 1]], rtol=1e-6)


def test_popularity_is_the_same_for_everyone():
    assert Popularity(np.array([5, 0, 2, 1])).score([query(A), COLD]).tolist() == [[5, 0, 2, 1]] * 2


def test_naive_bayes_by_hand():
    """Items were chosen 3, 1, 0 and 0 times; by those who are F 0 and 1 times."""
    counts = np.array([[3.0, 0, 0, 0], [0, 1, 0, 0]])
    matrix = lifts(sparse.csr_array(counts), 4)
    term = TraitTerm(["gender=M", "gender=F"], matrix, np.ones(2, np.float32), base_of(np.array([3, 1, 0, 0])))
    system = NaiveBayes(np.array([3.0, 1, 0, 0]), term)
    some = Query(np.zeros(0, np.int32), ["gender=F", "gender=X"]), Query(np.zeros(0, np.int32), context=["gender=F"])
    log_counts = np.log(np.array([3, 1, 0, 0]) + 1e-3)
    share = np.array([(0 + 30 / 4) / 33, (1 + 30 / 4) / 31, 1 / 4, 1 / 4]) * 4
    for row in system.score(some):
        assert row == pytest.approx(log_counts + np.log(share), abs=1e-5)
    assert system.score([COLD])[0] == pytest.approx(log_counts, abs=1e-5)


def test_item_similarity_by_hand():
    similarity = np.array([[0, 0.5, 0, 0.1], [0.5, 0, 0.2, 0], [0, 0.2, 0, 0], [0.1, 0, 0, 0]], dtype=np.float32)
    scores = ItemSimilarity(sparse.csr_array(similarity)).score([query(A, B)])
    np.testing.assert_allclose(scores, [[0.5, 0.7 * 0.5, 0.2, 0.7 * 0.1]], rtol=1e-6)


def test_sparse_and_dense_profiles_agree_by_hand():
    vectors = np.array([[1, 0], [0, 1], [0.6, 0.8], [0, 0]], dtype=np.float32)
    expected = [[0.7, 1, 0.7 * 0.6 + 0.8, 0]]
    np.testing.assert_allclose(DenseProfile(vectors).score([query(A, B)]), expected, rtol=1e-6)
    np.testing.assert_allclose(SparseProfile(sparse.csr_array(vectors)).score([query(A, B)]), expected, rtol=1e-6)


@pytest.fixture(scope="module")
def prepared(tmp_path_factory: pytest.TempPathFactory) -> PreparedDataset:
    # training events: u0 {0, 1}, u1 {0, 1, 2}, u2 {0}; the two last of each are held out
    users = [leave_last_out(items) for items in ([0, 1, 3, 4], [0, 1, 2, 5, 6], [0, 7, 8])]
    return PreparedDataset(write_tiny_prepared(tmp_path_factory.mktemp("data") / "prepared", users, n_items=9))


def test_item_cf_knows_training_events_alone(prepared):
    scores = baselines(prepared, np.zeros((9, 2), np.float32))["item_cf"].score([query(1)])[0]
    # users of item 0: three, of item 1: two, of item 2: one
    np.testing.assert_allclose(scores[:3], [2 / np.sqrt(6), 1, 1 / np.sqrt(2)], rtol=1e-6)
    assert not scores[3:].any()


def test_next_item_knows_what_came_after(prepared):
    system = baselines(prepared, np.zeros((9, 2), np.float32))["next_item"]
    after = np.array([0, 2 * 2**-0.25, 0.8 * 1**-0.25])  # after item 0: item 1 twice at once, item 2 once, a step later
    np.testing.assert_allclose(system.score([query(0)])[0][:3], after / np.linalg.norm(after), rtol=1e-6)
    np.testing.assert_allclose(system.score([query(1)])[0][:3], [0, 0, 1], rtol=1e-6)


def test_tfidf_finds_items_that_share_words(prepared):
    scores = baselines(prepared, np.zeros((9, 2), np.float32))["tfidf"].score([query(0)])[0]
    assert scores[0] == pytest.approx(1)
    related = {item for item in range(9) if item % 5 == 0 or item % 3 == 0}  # helpers_prepared: kind and colour
    assert {int(item) for item in np.flatnonzero(scores)} == related


def test_who_has_no_history_gets_zeros_from_all_but_popularity_and_naive_bayes(prepared):
    systems = baselines(prepared, np.eye(9, 3, dtype=np.float32))
    assert set(systems) == {"popularity", "naive_bayes", "item_cf", "next_item", "tfidf", "frozen_text"}
    for name, system in systems.items():
        assert system.score([COLD])[0].any() == (name in ("popularity", "naive_bayes")), name
        assert system.score([COLD, query(0)])[1].any(), name


def test_mixtures_combine_systems_that_there_are(prepared):
    assert {part for parts in MIXTURES.values() for part in parts} <= set(baselines(prepared, np.eye(9, 3)))


def test_standardised_rows():
    scores = np.array([[1, 2, 3, 6], [0, 0, 0, 0], [0.1, 0.1, 0.1, 0.1]], dtype=np.float32)
    before = scores.copy()
    expected = [(np.array([1, 2, 3, 6]) - 3) / np.sqrt(3.5), np.zeros(4), np.zeros(4)]
    np.testing.assert_allclose(standardised(scores), expected, atol=1e-6)
    np.testing.assert_array_equal(scores, before)


BEAUTY = Path(__file__).parents[3] / "shared/datasets/amazon-beauty"


@pytest.mark.slow
@pytest.mark.skipif(not BEAUTY.is_dir(), reason=f"the data set {BEAUTY} is not here")
def test_published_floors_on_amazon_beauty(tmp_path):
    """NDCG@10 on the test targets, measured before this code was written (README of the data sets)."""
    from longtail.components.preprocess.prepare import prepare
    from longtail.components.preprocess.settings import PreprocessSettings
    from longtail.contracts.prepared import Split
    from longtail.metrics.ranking import rank_targets
    from longtail.scoring.query import queries_of

    prepare(
        str(BEAUTY / "interactions.parquet"), str(BEAUTY / "items.parquet"), None, tmp_path / "p", PreprocessSettings()
    )
    data = PreparedDataset(tmp_path / "p")
    targets = data.targets(Split.TEST)
    queries = queries_of(data, targets)
    systems = baselines(data, np.zeros((len(data.item_ids), 1), np.float32))
    gains: dict[str, float] = dict.fromkeys(("popularity", "item_cf", "tfidf", "cf_tfidf"), 0.0)
    for begin in range(0, len(queries), 512):
        batch = queries[begin : begin + 512]
        scores = {name: systems[name].score(batch) for name in ("popularity", "item_cf", "tfidf")}
        scores["cf_tfidf"] = standardised(scores["item_cf"]) + standardised(scores["tfidf"])
        for name, rows in scores.items():
            found = rank_targets(rows, targets.items[begin : begin + 512], [asked.history for asked in batch])
            gains[name] += sum(1 / np.log2(1 + rank) if rank <= 10 else 0.0 for rank in found.ranks)
    means = {name: gain / len(queries) for name, gain in gains.items()}
    assert means == pytest.approx(
        {"popularity": 0.0053, "item_cf": 0.0391, "tfidf": 0.0441, "cf_tfidf": 0.0555}, abs=0.0013
    )


def test_newcomers_are_ranked_by_what_is_known_of_them(prepared, tmp_path):
    found = baselines(prepared, np.zeros((9, 2), np.float32))
    assert "naive_bayes" in found and "recent_popularity" not in found  # there are attributes, and no common clock
    day = 86_400_000_000
    users = [[(0, 0, Split.TRAIN)], [(0, 0, Split.TRAIN)], [(1, 99 * day, Split.TRAIN)]]
    users += [[(1, 100 * day, Split.VALIDATION), (2, 110 * day, Split.TEST)]] * FEWEST
    facts = {"split": {"rule": "global_time"}, "user_attributes": []}
    clock = PreparedDataset(write_tiny_prepared(tmp_path / "clock", users, n_items=4, **facts))
    found = baselines(clock, np.zeros((4, 2), np.float32))
    assert "naive_bayes" not in found
    assert (
        found["recent_popularity"].score([COLD])[0].argmax() == 1 and found["popularity"].score([COLD])[0].argmax() == 0
    )
