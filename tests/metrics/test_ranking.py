import itertools

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from sklearn.metrics import ndcg_score

from longtail.metrics.ranking import METRICS, TargetRanks, ndcg, rank_targets, ranking_metrics


def ranks_of(*users: list[int]) -> TargetRanks:
    """Without ties."""
    ranks = np.array([rank for ranks in users for rank in ranks])
    owners = np.repeat(np.arange(len(users)), [len(ranks) for ranks in users])
    return TargetRanks(ranks, owners, len(users), np.zeros_like(ranks))


def ranks_in(scores: list[float], *targets: int) -> list[int]:
    """Ranks of one user's targets."""
    return rank_targets(np.array([scores], np.float32), [np.array(targets)]).ranks.tolist()


def test_rank_is_one_plus_the_others_that_score_as_much_or_more():
    assert ranks_in([0.1, 0.9, 0.5, 0.3], 0, 1, 2) == [4, 1, 2]


def test_ties_count_against_the_system():
    assert ranks_in([2.0, 1, 1, 1, 0], 1) == [4]
    assert ranks_in([0.0] * 7, 3) == [7]  # one who scores all alike finds nothing


def test_what_cannot_be_recommended_ranks_behind_the_catalogue():
    assert ranks_in([1.0, -np.inf, -np.inf], 1) == [4]


def test_excluded_items_stand_in_nobodys_way_and_are_found_by_nobody():
    scores = np.array([[3.0, 2, 1, 0], [3.0, 2, 1, 0]])
    found = rank_targets(scores, [np.array([2]), np.array([0])], [np.array([0]), np.array([0, 1])])
    assert found.ranks.tolist() == [2, 5]  # the second user's target is excluded itself
    assert scores[1].tolist() == [-np.inf, -np.inf, 1, 0]


@pytest.mark.parametrize("bad", [np.nan, np.inf])
@pytest.mark.parametrize("place", [0, 3])
def test_a_score_that_is_no_number_ranks_nothing(bad, place):
    """As a target's score it would have compared as greater than none, so as the best."""
    scores = np.array([[0.1, 0.2, 0.3, 0.4], [0.1, -np.inf, 0.3, 0.4]])
    scores[1, place] = bad
    with pytest.raises(ValueError, match="row 1 of 2: a score is not a number or infinite"):
        rank_targets(scores, [np.array([0]), np.array([3])])


@given(st.lists(st.integers(0, 6), min_size=9, max_size=40), st.data())
def test_ranks_by_counting(scores, data):
    targets = data.draw(st.permutations(range(len(scores))))
    assert ranks_in(scores, *targets) == [sum(other >= scores[target] for other in scores) for target in targets]


def test_first_target_alone():
    found = TargetRanks(np.array([4, 1, 7, 2, 3]), np.array([1, 1, 0, 2, 2]), 3, np.array([0, 5, 2, 1, 0])).first()
    assert (found.ranks.tolist(), found.tied.tolist(), found.users.tolist()) == ([7, 4, 2], [2, 0, 1], [0, 1, 2])


def test_batches_are_joined_and_put_back_in_the_users_order():
    batches = [
        rank_targets(np.array([[0.0, 1, 2]]), [np.array([0, 2])]),
        rank_targets(np.array([[9.0, 1, 2]]), [np.array([1])]),
    ]
    joined = TargetRanks.joined(batches)
    assert (joined.ranks.tolist(), joined.users.tolist(), joined.n_users) == ([3, 1, 3], [0, 0, 1], 2)
    assert joined.of_rows(np.array([1, 0])).users.tolist() == [1, 1, 0]
    assert joined.tied.tolist() == [0, 0, 0]


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
        "expected_ndcg": ([ndcg, 0, 0], [ndcg, 1 / 3, 0]),
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
        found.append(ranks_in(row, *targets))
    expected = [ndcg_score(relevant[[user]], scores[[user]], k=k) for user in range(30)]
    np.testing.assert_allclose(ranking_metrics(ranks_of(*found), [k])[f"ndcg@{k}"], expected)


def expected(scores, targets, k=10, excluded=()):
    """NDCG@k under random ties, of one user."""
    found = rank_targets(np.array([scores], np.float32), [np.array(targets)], [np.array(e) for e in excluded])
    return float(ranking_metrics(found, [k])[f"expected_ndcg@{k}"][0])


def test_expected_ndcg_by_hand():
    first, second, third = 1, 1 / np.log2(3), 1 / np.log2(4)
    assert expected([5, 3, 3, 1], [1]) == pytest.approx((second + third) / 2)  # one other item ties
    assert expected([5, 3, 3, 1], [1], k=2) == pytest.approx(second / 2)  # the third place is out of reach
    assert expected([5, 3, 1], [1]) == pytest.approx(second)
    assert expected([2, 2], [0, 1]) == pytest.approx(1)  # both are found, in whichever order
    assert expected([2, 2, 0], [0, 2], k=1) == pytest.approx(0.5 * first)
    assert expected([2, 2, 2], [0], excluded=[[1]]) == pytest.approx(
        (first + second) / 2
    )  # the excluded ties with nobody


def test_who_scores_all_alike_is_expected_to_find_by_chance():
    gains = (1 / np.log2(np.arange(2, 12))).sum()
    assert expected([0.0] * 50, [7]) == pytest.approx(gains / 50)
    assert ndcg(rank_targets(np.zeros((1, 50)), [np.array([7])]))[0] == 0


def test_what_cannot_be_recommended_is_expected_nowhere():
    assert expected([1.0, -np.inf, -np.inf], [1], k=3) == 0


@given(st.lists(st.integers(0, 2), min_size=3, max_size=5), st.data())
def test_expected_ndcg_is_the_mean_over_all_orders_of_the_tied(scores, data):
    targets = np.array(data.draw(st.lists(st.sampled_from(range(len(scores))), min_size=1, max_size=2, unique=True)))
    orders = np.array(list(itertools.permutations(range(len(scores)))))  # each breaks the ties in its way
    found = rank_targets(np.array(scores) + orders / 100, [targets] * len(orders))
    assert expected(scores, targets, k=3) == pytest.approx(ndcg(found, 3).mean(), abs=1e-6)


def test_best_rank_of_each_user():
    assert ranks_of([9, 4], [3]).best().tolist() == [4, 3]


def test_ndcg_is_over_users_not_over_targets():
    """One user's only target is second; another's two are first and out of reach."""
    found = ndcg(ranks_of([2], [1, 11])).mean()
    assert found == pytest.approx((1 / np.log2(3) + 1 / (1 + 1 / np.log2(3))) / 2)
