import numpy as np
import pytest
from test_augmentation import HISTORIES, augmented, changed

from longtail.modeling.techniques.sequence_augmentation import masked_items, reorder, reordered, reversed_history


def test_the_generator_moves_on_alike_whatever_the_share_is() -> None:
    def after(share: float) -> float:
        rng = np.random.default_rng(0)
        reversed_history(HISTORIES[1], share, rng)
        reordered(HISTORIES[1], share, rng)  # of one item: nothing to shuffle
        masked_items(HISTORIES[:9], share, rng)
        return float(rng.random())

    assert after(0.0) == after(1.0)


def test_a_reordering_shuffles_one_run_of_at_most_five() -> None:
    rng = np.random.default_rng(0)
    history = np.arange(20, dtype=np.int32)
    for _ in range(200):
        moved = np.flatnonzero(reorder(history, rng) != history)
        assert len(moved) == 0 or moved[-1] - moved[0] < 5
        assert sorted(reorder(history, rng)) == history.tolist()
    assert history.tolist() == list(range(20))  # the original is left alone
    assert {tuple(reorder(history[:2], rng)) for _ in range(50)} == {(0, 1), (1, 0)}


def test_a_share_of_histories_is_read_backwards() -> None:
    sequences = augmented(reverse_share=0.3)
    for new, old in zip(sequences.histories, HISTORIES):
        assert new.tolist() in (old.tolist(), old[::-1].tolist())
    assert changed(sequences) == pytest.approx(0.3, abs=0.07)


def test_masked_items_stay_labels_and_are_hidden_from_the_encoder() -> None:
    sequences = augmented(mask_share=0.25)
    assert changed(sequences) == 0.0
    batch = sequences.batch(np.array([7, 3]))  # 7 and 3 items
    assert batch.hidden is not None and sequences.hidden is not None
    assert batch.hidden[0].tolist() == sequences.hidden[7].tolist()
    assert batch.hidden[1].tolist() == [*sequences.hidden[3].tolist(), False, False, False, False]
    assert np.concatenate(sequences.hidden).mean() == pytest.approx(0.25, abs=0.05)
