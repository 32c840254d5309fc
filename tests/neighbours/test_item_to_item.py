"""The sparse term by hand: its mixture, the decay that validation chooses, and what a history itself adds to it."""

import numpy as np
import pytest
from numpy.typing import NDArray
from scipy import sparse

from longtail.neighbours import item_to_item as module
from longtail.neighbours.item_to_item import ItemToItem, Mixture, OwnPairs, _best_mixture, item_to_item
from longtail.neighbours.term_settings import TermSettings
from longtail.neighbours.usual import FEWEST, USUAL
from longtail.neighbours.validation_cases import ValidationCases

SEQUENCES = [np.array(row, np.int32) for row in ([0, 1], [0, 1], [0, 2])]
NOBODY = ValidationCases([], [], exclude_history=True)
NO_TEXT = np.zeros((3, 0), np.float32)


def term_of(
    cases: ValidationCases = NOBODY,
    texts: tuple[str, ...] = ("", "", ""),
    vectors: NDArray[np.float32] = NO_TEXT,
    **settings: object,
) -> ItemToItem:
    return item_to_item(SEQUENCES, texts, vectors, TermSettings.model_validate(settings), cases, 0)


def unit(rows: list[list[float]]) -> NDArray[np.float64]:
    lengths = np.linalg.norm(rows, axis=1, keepdims=True)
    return np.array(rows) / np.where(lengths, lengths, 1)


TOGETHER = unit([[0, 2 / 6**0.5, 1 / 3**0.5], [1, 0, 0], [1, 0, 0]])  # 3, 2 and 1 users
FOLLOWING = unit([[0, 2 * 2**-0.25, 1], [0, 0, 0], [0, 0, 0]])  # 2 and 1 events, to the power -1/4


def test_what_is_chosen_together_where_order_tells_nothing() -> None:
    """Item 0 is asked for after item 1, which it never follows."""
    cases = ValidationCases(
        [np.array([1], np.int32)] * FEWEST, [np.array([0], np.int32)] * FEWEST, exclude_history=True
    )
    term = term_of(cases, lexical=False)
    assert np.allclose(term.neighbours.toarray(), TOGETHER, atol=1e-6)
    assert not term.own.following_row.any()


def test_what_comes_after_where_order_tells() -> None:
    """After item 1 item 2 never comes, but it was chosen beside 0 as 1 was: only order knows that 0 is not asked for."""
    sequences = [np.array(row, np.int32) for row in ([0, 1, 2], [0, 1, 2])]
    cases = ValidationCases(
        [np.array([1], np.int32)] * FEWEST, [np.array([2], np.int32)] * FEWEST, exclude_history=True
    )
    settings = TermSettings(lexical=False)
    term = item_to_item(sequences, ["", "", ""], NO_TEXT, settings, cases, 0)
    assert np.allclose(term.neighbours.toarray(), unit([[0, 1, 0.8], [0, 0, 1], [0, 0, 0]]), atol=1e-6)
    assert not term.own.together_row.any()


def test_the_mixture_by_hand(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "ALIKE_SHARES", (0.4,))
    monkeypatch.setattr(module, "FOLLOWING_SHARES", (0.25,))
    monkeypatch.setattr(module, "TEXT_SHARES", (0.3,))
    vectors = np.array([[1, 0], [0.6, 0.8], [0, 1]], np.float32)
    words = unit([[0, 1, 0], [1, 0, 0], [0, 0, 0]])  # the first two texts are the same, the third shares no word
    alike = unit([[0, 0.6**8, 0], [0.6**8, 0, 0.8**8], [0, 0.8**8, 0]])
    expected = 0.6 * 0.75 * TOGETHER + 0.6 * 0.25 * FOLLOWING + 0.4 * 0.7 * words + 0.4 * 0.3 * alike
    texts = ("red lip", "red lip", "soap")
    assert np.allclose(
        term_of(texts=texts, vectors=vectors).neighbours.toarray(), expected, atol=1e-4
    )  # vectors of 16 bits
    kept = term_of(texts=texts, vectors=vectors, neighbours=1).neighbours.toarray()
    # likenesses keep one entry a row before they are mixed: item 1's is item 2, which its mixed row then loses
    assert np.allclose(kept, [[0, expected[0, 1], 0], [0.6 * 0.75 + 0.4 * 0.7, 0, 0], [0.6 * 0.75, 0, 0]], atol=1e-4)


def test_parts_that_are_left_out_have_no_share() -> None:
    words = term_of(texts=("red lip", "red lip", "soap"), cooccurrence=False)
    assert np.allclose(words.neighbours.toarray(), [[0, 1, 0], [1, 0, 0], [0, 0, 0]], atol=1e-6)
    assert not words.own.of(np.array([[0, 1, 2]])).any()
    assert term_of(cooccurrence=False, lexical=False).neighbours.nnz == 0


@pytest.mark.parametrize(
    "older, newest, wanted, decay",
    [
        (0.6, 1.0, 3, 0.95),  # .6 (d + d^2) beats 1 for d = .95 (1.11), not for .85 (.94)
        (0.65, 1.0, 3, 0.85),  # 1.02 for .85, .77 for .7; of equals the first is taken
        (0.7, 0.6, 4, 0.5),  # .6 beats .7 (d + d^2) for d = .5 (.53), not for .7 (.83)
    ],
)
def test_the_decay_by_which_the_target_is_first(older: float, newest: float, wanted: int, decay: float) -> None:
    """Two earlier items speak for item 3, the newest one for item 4."""
    votes = np.zeros((5, 5), np.float32)
    votes[[0, 1], 3], votes[2, 4] = older, newest
    cases = ValidationCases([np.array([0, 1, 2], np.int32)] * FEWEST, [np.array([wanted], np.int32)] * FEWEST, True)
    parts = [sparse.csr_array(votes), *[sparse.csr_array((5, 5), dtype=np.float32)] * 3]
    shares = (1.0, 0.0, 0.0, 0.0)
    assert _best_mixture(parts, [shares], 5, cases, 0) == (shares, decay)


def test_the_mixture_is_chosen_as_its_rows_are_kept() -> None:
    """The first part has both targets second, the second part one of them first; of one entry a row only that is left."""
    seconds, first = np.zeros((20, 20), np.float32), np.zeros((20, 20), np.float32)
    seconds[[0, 1], [3, 3]], seconds[[0, 1], [2, 2]] = 0.9, 0.4
    first[0, 2] = 1.0
    parts = [sparse.csr_array(seconds), sparse.csr_array(first), *[sparse.csr_array((20, 20), dtype=np.float32)] * 2]
    asked = [np.array([0], np.int32), np.array([1], np.int32)] * FEWEST
    cases = ValidationCases(asked, [np.array([2], np.int32)] * len(asked), True)
    mixtures = [(1.0, 0.0, 0.0, 0.0), (0.0, 1.0, 0.0, 0.0)]
    assert _best_mixture(parts, mixtures, 20, cases, 0)[0] == mixtures[0]
    assert _best_mixture(parts, mixtures, 1, cases, 0)[0] == mixtures[1]


def test_few_users_and_those_without_history_choose_nothing() -> None:
    """Theirs are the usual shares, where these are possible; all of them want what came together, whatever the order."""
    asked = [[np.array([1], np.int32)] * (FEWEST - 1), [np.zeros(0, np.int32)] * FEWEST, []]
    for histories in asked:
        cases = ValidationCases(histories, [np.array([0], np.int32)] * len(histories), True)
        mixture = term_of(cases, lexical=False).mixture
        assert (mixture.shares, mixture.decay) == (
            (0.0, 1.0, 0.0, 0.0),
            USUAL.decay,
        )  # no likeness is there to have the rest


def test_own_pairs_by_hand() -> None:
    own = OwnPairs(*(np.array(row, np.float32) for row in ([2, 3, 5], [7, 11, 13], [17, 19, 23], [29, 31, 37])))
    (found,) = own.of(np.array([[0, 1, 2, 1]]))
    after = 17 * 31  # item 1 comes one step after item 0, and once more after three
    expected = [
        [0, 2 * 11 + after, 2 * 13 + 0.8 * 17 * 37, 2 * 11 + 0.8**2 * after],
        [3 * 7, 0, 3 * 13 + 19 * 37, 0],
        [5 * 7, 5 * 11, 0, 5 * 11 + 23 * 31],
        [3 * 7, 0, 3 * 13, 0],
    ]
    assert np.allclose(found, expected)


def test_without_its_own_pairs_a_history_is_as_if_it_had_not_been_counted(monkeypatch: pytest.MonkeyPatch) -> None:
    for following, matrix in ((0.0, TOGETHER), (1.0, FOLLOWING)):
        monkeypatch.setattr(module, "FOLLOWING_SHARES", (following,))
        term = term_of(lexical=False)
        assert np.allclose(term.neighbours.toarray(), matrix, atol=1e-6)
        (first,), (third,) = term.own.of(np.array([[0, 1]])), term.own.of(np.array([[0, 2]]))
        assert first[0, 1] == pytest.approx(matrix[0, 1] / 2, rel=1e-5)  # two histories hold this pair
        assert third[0, 1] == pytest.approx(matrix[0, 2], rel=1e-5)  # only this one does
        assert third[1, 0] == pytest.approx(matrix[2, 0], abs=1e-6)


def test_scores_by_hand() -> None:
    own, votes = OwnPairs(*[np.zeros(3, np.float32)] * 4), sparse.csr_array(np.arange(9.0).reshape(3, 3))
    term = ItemToItem(votes, Mixture((1, 0, 0, 0), decay=0.5, neighbours=3), own, term_of().likeness)
    histories = [np.array([0, 2], np.int32), np.zeros(0, np.int32)]
    assert np.allclose(term.scores(histories), [[6, 7 + 0.5 * 1, 8 + 0.5 * 2], [0, 0, 0]])
