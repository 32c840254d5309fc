"""Augmented training sequences (after CL4SRec, Xie et al. 2022): cropped, reordered, reversed and masked histories."""

import numpy as np
from numpy.typing import NDArray

from longtail.modeling.sequences import Sequences
from longtail.modeling.training_settings import TrainingSettings

LONGEST_RUN = 5


def augment(sequences: Sequences, settings: TrainingSettings, rng: np.random.Generator) -> Sequences:
    """The sequences as one pass sees them; the very same object where nothing is to be changed."""
    changes = (settings.crop_share, settings.mask_share, settings.reorder_share, settings.reverse_share)
    longest = max(map(len, sequences.whole), default=0)
    if not any(changes) and longest <= sequences.max_history:
        return sequences
    histories = []
    for history in sequences.whole:
        if len(history) > sequences.max_history:
            history = window(history, sequences.max_history, rng)
        if rng.random() < settings.reverse_share:
            history = history[::-1]
        if rng.random() < settings.crop_share:
            history = crop(history, rng)
        if rng.random() < settings.reorder_share:
            history = reorder(history, rng)
        histories.append(history)
    hidden = [rng.random(len(history)) < settings.mask_share for history in histories]
    return Sequences(histories, sequences.attributes, sequences.max_history, hidden if settings.mask_share else None)


def window(history: NDArray[np.int32], length: int, rng: np.random.Generator) -> NDArray[np.int32]:
    """``length`` consecutive items from a random place, so that all of a long history is learnt from in time."""
    begin = int(rng.integers(0, len(history) - length + 1))
    return history[begin : begin + length]


def crop(history: NDArray[np.int32], rng: np.random.Generator) -> NDArray[np.int32]:
    """A random later part, which may be all but the first item, or the last one alone."""
    return history[rng.integers(1, len(history)) :] if len(history) > 1 else history


def reorder(history: NDArray[np.int32], rng: np.random.Generator) -> NDArray[np.int32]:
    """The history with a random run of 2 to 5 items shuffled."""
    if len(history) < 2:
        return history
    length = int(rng.integers(2, min(LONGEST_RUN, len(history)) + 1))
    begin = int(rng.integers(0, len(history) - length + 1))
    changed = history.copy()
    changed[begin : begin + length] = rng.permutation(history[begin : begin + length])
    return changed
