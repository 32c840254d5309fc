"""Relevance to a question, by hand: three items in two dimensions."""

import numpy as np
import pytest

from longtail.scoring.relevance import Relevance, Weights, load_text_vectors, save_text_vectors

VECTORS = np.array([[1, 0], [0, 1], [0.6, 0.8]], dtype=np.float32)
TEXTS = ["red lamp", "chair", "stool"]
COSINES = np.array([0, 0.6, 0.8])  # of the three pairs


def relevance(**weights):
    return Relevance(VECTORS, TEXTS, lambda word: False, Weights(**weights))


def test_a_question_is_answered_by_meaning_in_deviations_of_the_usual_cosine():
    answered = relevance(words=0, feedback=0).of(
        "anything", np.array([3, 0, 9, 9], np.float32)
    )  # (1, 0), and what is adapted
    expected = (np.array([1, 0, 0.6]) - COSINES.mean()) / COSINES.std()
    assert answered.direct == pytest.approx(expected, rel=1e-5)
    assert answered.ranking == pytest.approx(expected, rel=1e-5)


def test_words_count_beside_meaning():
    with_words, without = (relevance(words=w, feedback=0).of("chair", np.array([1, 0], np.float32)) for w in (2.0, 0.0))
    difference = with_words.direct - without.direct
    # chair is the only word of an item of one word: 2.2 / (1 + 1.2 * (.25 + .75 * 1 / (4 / 3)))
    assert difference == pytest.approx([0, 2 * 2.2 / (1 + 1.2 * (0.25 + 0.75 * 0.75)), 0], rel=1e-5)


def test_the_best_items_join_the_question():
    plain, wider = (relevance(words=0, feedback=f).of("x", np.array([1, 0], np.float32)) for f in (0.0, 1.0))
    assert wider.direct == pytest.approx(plain.direct)
    joined = np.array([1, 0]) + VECTORS.mean(axis=0)  # all three are the best three
    expected = (VECTORS @ (joined / np.linalg.norm(joined)) - COSINES.mean()) / COSINES.std()
    assert wider.ranking == pytest.approx(expected, rel=1e-5)


def test_items_that_are_all_alike_have_no_deviation_to_divide_by():
    alike = Relevance(np.ones((4, 1), np.float32), [""] * 4, lambda word: False)
    assert alike.of("red", np.ones(1, np.float32)).direct == pytest.approx([1, 1, 1, 1])
    assert Relevance(np.ones((1, 1), np.float32), ["red"], lambda word: False).of(
        "x", np.ones(1, np.float32)
    ).ranking.shape == (1,)


def test_vectors_are_kept_with_sixteen_bits(tmp_path):
    save_text_vectors(tmp_path / "vectors.safetensors", VECTORS)
    read = load_text_vectors(tmp_path / "vectors.safetensors")
    assert read.dtype == np.float32
    assert read == pytest.approx(VECTORS, abs=1e-3)
