"""Relevance to a question, by hand: three items in two dimensions."""

import numpy as np
import pytest

from longtail.scoring.relevance import Relevance, Weights, load_text_vectors, save_text_vectors, texts_to_read

VECTORS = np.array([[1, 0], [0, 1], [0.6, 0.8]], dtype=np.float32)
TEXTS = ["red lamp", "chair", "stool"]
COSINES = np.array([0, 0.6, 0.8])  # of the three pairs


ASKED = {
    "anything": [3, 0, 9, 9],  # (1, 0), and what is adapted
    "chair": [1, 0],
    "x": [1, 0],
    "lamp": [1, 0],
    "a lamp": [1, 0],
    "stool": [0, 1],
    "a stool": [0, 1],
    "a lamp and a stool": [0.8, 0.6],  # what the language model makes of both together is nearer to lamps
    "lamp, stool": [0.6, 0.8],
}


def encode(questions):
    return np.array([ASKED[question] for question in questions], dtype=np.float32)


def relevance(**weights):
    return Relevance(VECTORS, TEXTS, encode, lambda word: False, Weights(**weights))


def test_a_question_is_answered_by_meaning_in_deviations_of_the_usual_cosine():
    answered = relevance(words=0, feedback=0).of("anything")
    expected = (np.array([1, 0, 0.6]) - COSINES.mean()) / COSINES.std()
    assert answered.direct == pytest.approx(expected, rel=1e-5)
    assert answered.ranking == pytest.approx(expected, rel=1e-5)


def test_words_count_beside_meaning():
    with_words, without = (relevance(words=w, feedback=0).of("chair") for w in (2.0, 0.0))
    difference = with_words.direct - without.direct
    # chair is the only word of an item of one word: 2.2 / (1 + 1.2 * (.25 + .75 * 1 / (4 / 3)))
    assert difference == pytest.approx([0, 2 * 2.2 / (1 + 1.2 * (0.25 + 0.75 * 0.75)), 0], rel=1e-5)


def test_the_best_items_join_the_question():
    plain, wider = (relevance(words=0, feedback=f).of("x") for f in (0.0, 1.0))
    assert wider.direct == pytest.approx(plain.direct)
    joined = np.array([1, 0]) + VECTORS.mean(axis=0)  # all three are the best three
    expected = (VECTORS @ (joined / np.linalg.norm(joined)) - COSINES.mean()) / COSINES.std()
    assert wider.ranking == pytest.approx(expected, rel=1e-5)


def test_items_that_are_all_alike_have_no_deviation_to_divide_by():
    def one_number(questions):
        return np.ones((len(questions), 1), np.float32)

    alike = Relevance(np.ones((4, 1), np.float32), [""] * 4, one_number, lambda word: False)
    assert alike.of("red").direct == pytest.approx([1, 1, 1, 1])
    alone = Relevance(np.ones((1, 1), np.float32), ["red"], one_number, lambda word: False)
    assert alone.of("x").ranking.shape == (1,)


def shop(*kinds):
    """Twelve items of each vector, without words."""
    vectors = np.repeat(np.array(kinds, dtype=np.float32), 12, axis=0)
    return Relevance(vectors, [""] * len(vectors), encode, lambda word: False)


def test_wishes_that_no_item_fulfils_together_are_answered_one_by_one(monkeypatch):
    lamps_and_stools = shop([1, 0], [0, 1])
    monkeypatch.setattr("longtail.scoring.relevance.APART", 9.0)
    together = lamps_and_stools.of("a lamp and a stool").ranking
    assert together[:12].min() > together[12:].max()
    monkeypatch.setattr("longtail.scoring.relevance.APART", 1.5)  # two kinds lie 2 deviations apart
    one_by_one, lamp, stool = (lamps_and_stools.of(q) for q in ("a lamp and a stool", "a lamp", "a stool"))
    assert one_by_one.ranking == pytest.approx(np.full(24, one_by_one.ranking[0]))  # both kinds are as good
    assert one_by_one.direct == pytest.approx(np.maximum(lamp.direct, stool.direct))


def test_wishes_that_an_item_fulfils_together_stay_one_question():
    both = shop([1, 0], [0, 1], [0.7071, 0.7071], [0.6, 0.8])
    assert both.of("lamp, stool").direct.argmax() >= 36  # the vector of the whole


@pytest.mark.parametrize(
    ("question", "wishes"),
    [
        ("a lamp", ()),
        ("a lamp and a stool", ("a lamp", "a stool")),
        ("red, blue, green, white", ("red", "blue", "green", "white")),
        ("red, blue, green, white, black", ()),  # more than are looked at
    ],
)
def test_wishes_are_read_with_the_whole_question(question, wishes):
    assert texts_to_read(question) == (question, *wishes)


def test_vectors_are_kept_with_sixteen_bits(tmp_path):
    save_text_vectors(tmp_path / "vectors.safetensors", VECTORS)
    read = load_text_vectors(tmp_path / "vectors.safetensors")
    assert read.dtype == np.float32
    assert read == pytest.approx(VECTORS, abs=1e-3)
