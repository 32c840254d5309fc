"""TF-IDF rows are scikit-learn's to the last bit."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from sklearn.feature_extraction.text import TfidfVectorizer

from longtail.neighbours.tfidf import tfidf_vectors

TEXTS = st.lists(
    st.lists(st.sampled_from(["red", "Lamp", "a", "über", "x_1", "12", "lamp,", "|"]), max_size=12).map(" ".join),
    max_size=20,
)


@given(TEXTS)
def test_they_are_scikit_learns(texts):
    rows = tfidf_vectors(texts)
    try:
        expected = TfidfVectorizer(ngram_range=(1, 2), sublinear_tf=True, dtype=np.float32).fit_transform(texts)
    except ValueError:  # it refuses an empty vocabulary
        assert rows.shape == (len(texts), 0)
        return
    assert rows.dtype == np.float32
    assert np.array_equal(rows.toarray(), expected.toarray())


def test_two_texts_by_hand():
    """lamp is in both, so that its rarity is 1; red and "red lamp" in one of two: 1 + ln(3 / 2)."""
    rare = 1 + np.log(1.5)
    rows = tfidf_vectors(["red lamp", "lamp lamp"]).toarray()  # lamp, lamp lamp, red, red lamp
    assert rows[0] == pytest.approx(np.array([1, 0, rare, rare]) / np.sqrt(1 + 2 * rare**2))
    assert rows[1] == pytest.approx(np.array([1 + np.log(2), rare, 0, 0]) / np.hypot(1 + np.log(2), rare))
