import numpy as np
import pytest
from sklearn.metrics.pairwise import cosine_similarity

from longtail.metrics.beyond import coverage, intra_list_diversity, long_tail_items, long_tail_share


def test_diversity_by_hand():
    vectors = np.array([[1, 0], [0, 1], [0.6, 0.8]])
    lists = np.array([[0, 1, 2], [0, 2, -1], [0, 0, -1]])
    # pairs of the first list: 0, 0.6, 0.8; of the second: 0.6; the third holds the same item twice
    np.testing.assert_allclose(intra_list_diversity(lists, vectors), [1 - 1.4 / 3, 0.4, 0.0])


def test_diversity_of_fewer_than_two_items_is_unknown():
    assert np.isnan(intra_list_diversity(np.array([[1, -1], [-1, -1]]), np.eye(2))).all()


def test_diversity_agrees_with_pairwise_cosines_over_many_chunks():
    rng = np.random.default_rng(3)
    vectors = rng.normal(size=(50, 8)).astype(np.float32)
    vectors /= np.linalg.norm(vectors, axis=1, keepdims=True)
    lists = np.array([rng.choice(50, 5, replace=False) for _ in range(2500)])
    upper = np.triu_indices(5, 1)
    expected = [1 - cosine_similarity(vectors[codes])[upper].mean() for codes in lists]
    np.testing.assert_allclose(intra_list_diversity(lists, vectors), expected, atol=1e-6)


def test_item_without_a_vector_is_unlike_the_others():
    assert intra_list_diversity(np.array([[0, 1]]), np.array([[1.0, 0], [0, 0]]))[0] == 1


def test_coverage_counts_items_once_and_no_gaps():
    assert coverage(np.array([[0, 1], [1, -1]]), 4) == 0.5


@pytest.mark.parametrize(
    ("counts", "tail"),
    [
        ([50, 30, 15, 5], [False, False, True, True]),  # 50 + 30 make exactly 80 %
        ([50, 29, 16, 5], [False, False, False, True]),  # 79 are not enough
        ([5, 15, 30, 50], [True, True, False, False]),
        ([1, 1, 1, 1, 1], [False, False, False, False, True]),
        ([7, 0, 0], [False, True, True]),
        ([0, 0], [True, True]),
    ],
)
def test_long_tail_items_by_hand(counts, tail):
    assert long_tail_items(np.array(counts)).tolist() == tail


def test_long_tail_share_by_hand():
    is_tail = np.array([True, False, True])
    shares = long_tail_share(np.array([[0, 1, 2], [1, 0, -1], [-1, -1, -1]]), is_tail)
    np.testing.assert_allclose(shares, [2 / 3, 1 / 2, np.nan])
