import numpy as np
import pytest

from longtail.modeling.augmentation import augment, crop, window
from longtail.modeling.sequences import Sequences
from longtail.modeling.training_settings import TrainingSettings

HISTORIES = [np.arange(10 * row, 10 * row + row % 8, dtype=np.int32) for row in range(400)]
SEQUENCES = Sequences(HISTORIES, [np.zeros(0, np.int64)] * 400, 10)


def augmented(seed: int = 0, **settings: float) -> Sequences:
    chosen = TrainingSettings.model_validate({"crop_share": 0.0} | settings)
    return augment(SEQUENCES, chosen, np.random.default_rng(seed))


def changed(sequences: Sequences) -> float:
    """Share of the histories of two items or more that differ."""
    pairs = [(new, old) for new, old in zip(sequences.histories, HISTORIES) if len(old) > 1]
    return float(np.mean([not np.array_equal(new, old) for new, old in pairs]))


def test_nothing_happens_where_all_is_off() -> None:
    assert augmented() is SEQUENCES


def test_a_long_history_is_learnt_from_window_by_window() -> None:
    rng = np.random.default_rng(0)
    assert {tuple(window(np.array([5, 6, 7, 8], np.int32), 3, rng)) for _ in range(50)} == {(5, 6, 7), (6, 7, 8)}
    short, long = HISTORIES[7], np.arange(30, dtype=np.int32)
    sequences = Sequences([short, long], [np.zeros(0, np.int64)] * 2, 10)
    off = TrainingSettings.model_validate({"crop_share": 0.0})
    seen = [augment(sequences, off, rng).histories for _ in range(200)]
    assert all(np.array_equal(first, short) and len(second) == 10 for first, second in seen)
    assert set(np.concatenate([second for _, second in seen])) == set(long)
    assert np.array_equal(sequences.histories[1], long[-10:])  # what is scored is the latest


def test_a_crop_keeps_a_later_part() -> None:
    rng = np.random.default_rng(0)
    history = np.array([5, 6, 7, 8], np.int32)
    kept = {tuple(crop(history, rng)) for _ in range(100)}
    assert kept == {(6, 7, 8), (7, 8), (8,)}
    assert crop(history[:1], rng).tolist() == [5]


def test_shares_say_how_many_are_changed() -> None:
    assert changed(augmented(crop_share=0.4)) == pytest.approx(0.4, abs=0.07)
    assert changed(augmented(reorder_share=1.0)) > 0.5  # a shuffled run may come out as it was
    assert augmented(crop_share=1.0).lengths.sum() < SEQUENCES.lengths.sum()


def test_the_seed_decides() -> None:
    everything = {"crop_share": 0.5, "reorder_share": 0.5, "reverse_share": 0.5, "mask_share": 0.5}
    one, same, other = augmented(1, **everything), augmented(1, **everything), augmented(2, **everything)
    flat = [np.concatenate(sequences.histories).tolist() for sequences in (one, same, other)]
    assert flat[0] == flat[1] != flat[2]


def test_weights_make_users_alike() -> None:
    sequences = Sequences([np.zeros(n, np.int32) for n in (1, 3, 0, 8)], [np.zeros(0, np.int64)] * 4, 10)
    assert sequences.weights(0.0) is None
    weights = sequences.weights(1.0)
    assert weights is not None
    assert (weights * sequences.lengths).tolist() == pytest.approx([4.0, 4.0, 0.0, 4.0])  # 12 positions, 3 users
    batch = sequences.batch(np.array([3, 0]), weights=weights)
    assert batch.weights is not None and batch.weights.tolist() == pytest.approx([0.5, 4.0])
