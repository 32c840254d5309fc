import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from sklearn.metrics import ndcg_score

from longtail.metrics.ranking import METRICS, TargetRanks, mean_ndcg, rank_targets, ranking_metrics


def ranks_of(*users: list[int]) -> TargetRanks:
    return TargetRanks(
        np.array([rank for ranks in users for rank in ranks]),
        np.repeat(np.arange(len(users)), [len(ranks) for ranks in users]),
        len(users),
    )


def test_rank_is_one_plus_the_others_that_score_as_much_or_more():
    scores = np.array([0.1, 0.9, 0.5, 0.3])
    assert rank_targets(scores, np.array([0, 1, 2])).tolist() == [4, 1, 2]


def test_ties_count_against_the_system():
    assert rank_targets(np.array([2.0, 1, 1, 1, 0]), np.array([1])).tolist() == [4]
    assert rank_targets(np.zeros(7), np.array([3])).tolist() == [7]  # one who scores all alike finds nothing


def test_what_cannot_be_recommended_ranks_behind_the_catalogue():
    assert rank_targets(np.array([1.0, -np.inf, -np.inf]), np.array([1])).tolist() == [4]


@given(st.lists(st.integers(0, 6), min_size=9, max_size=40), st.data())
def test_few_and_many_targets_are_ranked_alike(scores, data):
    values = np.array(scores, dtype=np.float32)
    targets = np.array(data.draw(st.permutations(range(len(scores)))))  # nine or more are ranked by sorting
    expected = [sum(other >= values[target] for other in values) for target in targets]
    assert rank_targets(values, targets).tolist() == expected
    assert np.concatenate([rank_targets(values, targets[i : i + 1]) for i in range(len(targets))]).tolist() == expected


def test_every_metric_by_hand():
    # the first user finds 2 of 3 targets within 5, the second its only one at 7, the third has none within 10
    metrics = ranking_metrics(ranks_of([2, 5, 30], [7], [11, 12]), [5, 10])
    ndcg = (1 / np.log2(3) + 1 / np.log2(6)) / (1 + 1 / np.log2(3) + 1 / 2)
    expected = {
        "recall": ([2 / 3, 0, 0], [2 / 3, 1, 0]),
        "precision": ([2 / 5, 0, 0], [1 / 5, 1 / 10, 0]),
        "f1": ([0.5, 0, 0], [2 * (2 / 3) * (1 / 5) / (2 / 3 + 1 / 5), 2 / 11, 0]),
        "hitrate": ([1, 0, 0], [1, 1, 0]),
        "ndcg": ([ndcg, 0, 0], [ndcg, 1 / 3, 0]),
        "mrr": ([1 / 2, 0, 0], [1 / 2, 1 / 7, 0]),
    }
    assert set(metrics) == {f"{name}@{k}" for name in METRICS for k in (5, 10)}
    for name, (at_5, at_10) in expected.items():
        assert metrics[f"{name}@5"] == pytest.approx(at_5), name
        assert metrics[f"{name}@10"] == pytest.approx(at_10), name


def test_more_targets_than_the_cutoff_can_hold():
    metrics = ranking_metrics(ranks_of([1, 2, 3, 4]), [2])
    assert [metrics[f"{name}@2"][0] for name in ("recall", "precision", "ndcg")] == pytest.approx([0.5, 1, 1])


@pytest.mark.parametrize("k", [1, 5, 10])
def test_ndcg_agrees_with_scikit_learn(k):
    rng = np.random.default_rng(k)
    scores = rng.permuted(np.tile(np.arange(50.0), (30, 1)), axis=1)  # no ties, on which scikit-learn averages
    relevant = np.zeros((30, 50))
    found = []
    for user, row in enumerate(scores):
        targets = rng.choice(50, int(rng.integers(1, 13)), replace=False)
        relevant[user, targets] = 1
        found.append(rank_targets(row, targets).tolist())
    expected = [ndcg_score(relevant[[user]], scores[[user]], k=k) for user in range(30)]
    np.testing.assert_allclose(ranking_metrics(ranks_of(*found), [k])[f"ndcg@{k}"], expected)


def test_best_rank_of_each_user():
    assert ranks_of([9, 4], [3]).best().tolist() == [4, 3]


def test_mean_ndcg_is_over_users_not_over_targets():
    """One user's only target is second; another's two are first and out of reach."""
    found = mean_ndcg([np.array([2]), np.array([1, 11])])
    assert found == pytest.approx((1 / np.log2(3) + 1 / (1 + 1 / np.log2(3))) / 2)
