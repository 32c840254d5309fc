import numpy as np
from scipy import sparse
from sklearn.metrics.pairwise import cosine_similarity

from longtail.retrieval.neighbours import cosine_cooccurrence, keep_top, tfidf_similarity, tfidf_vectors


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


def test_keep_top_prefers_the_smaller_column_in_a_tie() -> None:
    matrix = sparse.csr_array(np.array([[0.0, 0.5, 0.9, 0.5], [0.1, 0, 0, 0]], dtype=np.float32))
    assert np.allclose(keep_top(matrix, 2).toarray(), [[0, 0.5, 0.9, 0], [0.1, 0, 0, 0]])


def test_tfidf_similarity_equals_all_pairs() -> None:
    texts = ["red nail polish", "blue nail polish", "red lip stick", "", "hair oil"]
    expected = cosine_similarity(tfidf_vectors(texts))
    np.fill_diagonal(expected, 0)
    assert np.allclose(tfidf_similarity(texts, 5, chunk=2).toarray(), expected, atol=1e-6)


def test_texts_without_a_word_have_no_neighbours() -> None:
    assert tfidf_similarity(["", ""], 3).nnz == 0
