"""Training sequences as one pass sees them: windows of long histories, and later parts of them (crops)."""

import numpy as np
from numpy.typing import NDArray

from longtail.modeling.sequences import Sequences
from longtail.modeling.techniques.sequence_augmentation import masked_items, reordered, reversed_history
from longtail.modeling.training_settings import TrainingSettings


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
        history = reversed_history(history, settings.reverse_share, rng)
        if rng.random() < settings.crop_share:
            history = crop(history, rng)
        histories.append(reordered(history, settings.reorder_share, rng))
    hidden = masked_items(histories, settings.mask_share, rng)
    return Sequences(histories, sequences.attributes, sequences.max_history, hidden)


def window(history: NDArray[np.int32], length: int, rng: np.random.Generator) -> NDArray[np.int32]:
    """``length`` consecutive items from a random place, so that all of a long history is learnt from in time."""
    begin = int(rng.integers(0, len(history) - length + 1))
    return history[begin : begin + length]


def crop(history: NDArray[np.int32], rng: np.random.Generator) -> NDArray[np.int32]:
    """A random later part, which may be all but the first item, or the last one alone (after CL4SRec, Xie et al. 2022)."""
    return history[rng.integers(1, len(history)) :] if len(history) > 1 else history
