"""A later item gets what training would have given it, had it been there and nobody had chosen it."""

import numpy as np
import pytest

from longtail.neighbours.item_to_item import item_to_item
from longtail.neighbours.new_items import compare
from longtail.neighbours.term_settings import TermSettings
from longtail.neighbours.validation_cases import ValidationCases
from longtail.scoring.likeness import Likeness, put

COUNT, NEW = 160, 3
CODES = np.arange(COUNT, COUNT + NEW)


@pytest.fixture(scope="module")
def both():
    """The sparse term with the new items in training, and without them."""
    rng = np.random.default_rng(0)
    kinds = np.arange(COUNT + NEW) % 8
    texts = [f"kind{kind} colour{rng.integers(5)} word{rng.integers(20)}" for kind in kinds]
    vectors = (np.eye(8)[kinds] + 0.2 * rng.normal(size=(COUNT + NEW, 8))).astype(np.float32)
    sequences = [rng.choice(COUNT, 4, replace=False).astype(np.int32) for _ in range(80)]
    histories, targets = [s[:3] for s in sequences], [(s[2:3] + 8) % COUNT for s in sequences]
    cases = ValidationCases(histories, targets, exclude_history=True)
    whole, part = (
        item_to_item(sequences, texts[:n], vectors[:n], TermSettings(neighbours=COUNT + NEW), cases, 0)
        for n in (COUNT + NEW, COUNT)
    )
    assert whole.likeness.shares == pytest.approx(part.likeness.shares)
    assert part.likeness.shares.min() > 0
    matrix, likeness = compare(part.neighbours, part.likeness.with_items(vectors[CODES], CODES), texts, CODES)
    return whole, part, matrix.toarray(), likeness


def test_rows_are_those_of_training(both):
    whole, _, matrix, likeness = both
    assert matrix[CODES] == pytest.approx(whole.neighbours.toarray()[CODES], abs=1e-5)
    assert likeness.word_row[CODES] == pytest.approx(whole.likeness.word_row[CODES], rel=1e-2)
    assert likeness.text_row[CODES] == pytest.approx(whole.likeness.text_row[CODES], rel=1e-2)


def test_columns_are_nearly_those_of_training(both):
    """Rows of the others are as long as they were without the new items, which had made them longer."""
    whole, _, matrix, _ = both
    expected, found = whole.neighbours.toarray()[:COUNT, CODES], matrix[:COUNT, CODES]
    assert np.corrcoef(found.ravel(), expected.ravel())[0, 1] > 0.98
    assert 1 <= np.median(found[expected > 0.02] / expected[expected > 0.02]) < 1.1


def test_the_rest_stays(both):
    _, part, matrix, likeness = both
    assert np.array_equal(matrix[:COUNT, :COUNT], part.neighbours.toarray())
    assert np.array_equal(likeness.word_row[:COUNT], part.likeness.word_row)


def test_put_reaches_behind_the_end():
    assert put(np.array([1, 2, 3]), np.array([1, 3]), [8, 9]).tolist() == [1, 8, 3, 9]
    assert put(np.zeros((1, 2), np.float32), np.zeros(0, np.int64), np.zeros((0, 2))).tolist() == [[0, 0]]


def test_it_is_read_back_as_it_was(both, tmp_path):
    *_, likeness = both
    likeness.save(tmp_path / "file")
    back = Likeness.load(tmp_path / "file")
    assert all(vars(back)[name] == pytest.approx(value, abs=1e-3) for name, value in vars(likeness).items())
