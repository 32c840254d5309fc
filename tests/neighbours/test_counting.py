import numpy as np
import pytest
from scipy import sparse
from sklearn.metrics.pairwise import cosine_similarity

from longtail.neighbours import counting as neighbours
from longtail.neighbours.counting import cosine_cooccurrence, following_counts, shared_histories, vector_similarity
from longtail.neighbours.tfidf import tfidf_vectors
from longtail.neighbours.words import lexical_vectors, tfidf_similarity
from longtail.scoring.rows import history_matrix, keep_top, unit_rows


def test_cooccurrence_by_hand() -> None:
    found = cosine_cooccurrence([np.array([0, 1]), np.array([0, 1, 2]), np.array([0])], 4).toarray()
    expected = np.zeros((4, 4))
    expected[0, 1] = expected[1, 0] = 2 / np.sqrt(3 * 2)
    expected[0, 2] = expected[2, 0] = 1 / np.sqrt(3 * 1)
    expected[1, 2] = expected[2, 1] = 1 / np.sqrt(2 * 1)
    assert np.allclose(found, expected)


def test_a_repeated_item_counts_once_a_user() -> None:
    once = cosine_cooccurrence([np.array([0, 1])], 2).toarray()
    assert np.allclose(cosine_cooccurrence([np.array([0, 1, 1, 0])], 2).toarray(), once)


def test_following_items_by_hand() -> None:
    found = following_counts([np.array([0, 1, 2]), np.array([0, 1]), np.array([2, 2, 0])], 4).toarray()
    expected = np.zeros((4, 4))
    expected[0, 1] = 2 * 2**-0.25  # twice at once; item 1 has 2 events
    expected[0, 2] = 0.8 * 3**-0.25
    expected[1, 2] = 3**-0.25
    expected[2, 0] = (1 + 0.8) * 3**-0.25
    assert np.allclose(found, expected)


def test_shared_histories_by_hand() -> None:
    pairs = shared_histories([np.array([0, 1]), np.array([0, 1, 2]), np.array([2])], 3).toarray()
    assert np.allclose(pairs, [[0, 1.5, 0.5], [1.5, 0, 0.5], [0.5, 0.5, 0]])


def test_items_far_apart_do_not_follow_each_other() -> None:
    found = following_counts([np.arange(22)], 22).toarray()
    assert np.isclose(found[0, 20], 0.8**19) and found[0, 21] == 0
    assert following_counts([], 2).nnz == following_counts([np.array([1])], 2).nnz == 0


def test_keep_top_prefers_the_smaller_column_in_a_tie() -> None:
    matrix = sparse.csr_array(np.array([[0.0, 0.5, 0.9, 0.5], [0.1, 0, 0, 0]], dtype=np.float32))
    assert np.allclose(keep_top(matrix, 2).toarray(), [[0, 0.5, 0.9, 0], [0.1, 0, 0, 0]])


def test_tfidf_similarity_equals_all_pairs() -> None:
    texts = ["red nail polish", "blue nail polish", "red lip stick", "", "hair oil"]
    expected = cosine_similarity(tfidf_vectors(texts))
    np.fill_diagonal(expected, 0)
    assert np.allclose(tfidf_similarity(texts, 5, chunk=2).toarray(), expected, atol=1e-6)


@pytest.mark.parametrize("at_once", [1, 14, 10_000])
def test_vector_similarity_is_the_sharpened_cosine(monkeypatch: pytest.MonkeyPatch, at_once: int) -> None:
    monkeypatch.setattr(neighbours, "SCORES_AT_ONCE", at_once)
    vectors = np.random.default_rng(0).normal(size=(7, 3)).astype(np.float32)
    vectors[4] = 0
    unit = vectors / np.maximum(np.linalg.norm(vectors, axis=1, keepdims=True), 1e-9)
    expected = np.maximum(cosine_similarity(vectors), 0) ** 8
    np.fill_diagonal(expected, 0)
    assert np.allclose(vector_similarity(unit, 7).toarray(), expected, atol=1e-6)
    two = vector_similarity(unit, 2).toarray()
    assert (two[4] == 0).all() and (two[:, 4] == 0).all()
    for row, all_of in zip(two, expected):
        assert np.allclose(np.sort(row)[-2:], np.sort(all_of)[-2:], atol=1e-6) and (row > 0).sum() <= 2


def test_texts_without_a_word_have_no_neighbours() -> None:
    assert tfidf_similarity(["", ""], 3).nnz == 0


def test_recency_weights_by_hand() -> None:
    found = history_matrix([np.array([2, 0, 1]), np.array([], dtype=np.int64)], 3, 0.5).toarray()
    assert np.allclose(found, [[0.5, 1.0, 0.25], [0, 0, 0]])


def test_unit_rows_by_hand() -> None:
    assert np.allclose(unit_rows(sparse.csr_array([[3.0, 4.0], [0.0, 0.0]])).toarray(), [[0.6, 0.8], [0.0, 0.0]])


def test_lexical_vectors_keep_the_likeness_of_words() -> None:
    texts = ["red nail polish", "blue nail polish", "garden hose", "", "green garden hose", "shampoo for dry hair"]
    vectors = lexical_vectors(texts, 3, seed=0)
    assert vectors.shape == (6, 3)
    assert vectors[0] @ vectors[1] > 0.9 > 0.1 > abs(vectors[0] @ vectors[2])
    assert not vectors[3].any()
    assert lexical_vectors(texts, 6, seed=0).shape == (6, 0)  # as many directions as items: nothing is summed up
