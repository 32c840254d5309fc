"""Histories read backwards, reordered and masked (masks and reordering: CL4SRec, Xie et al. 2022, ICDE).

Each draws its random numbers also where its share is 0, so that one share does not change what the others do.
"""

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

LONGEST_RUN = 5


def reversed_history(history: NDArray[np.int32], share: float, rng: np.random.Generator) -> NDArray[np.int32]:
    """The history backwards, with probability ``share``."""
    return history[::-1] if rng.random() < share else history


def reordered(history: NDArray[np.int32], share: float, rng: np.random.Generator) -> NDArray[np.int32]:
    """With probability ``share``, the history with a random run of 2 to 5 items shuffled."""
    return reorder(history, rng) if rng.random() < share else history


def reorder(history: NDArray[np.int32], rng: np.random.Generator) -> NDArray[np.int32]:
    """The history with a random run of 2 to 5 items shuffled."""
    if len(history) < 2:
        return history
    length = int(rng.integers(2, min(LONGEST_RUN, len(history)) + 1))
    begin = int(rng.integers(0, len(history) - length + 1))
    changed = history.copy()
    changed[begin : begin + length] = rng.permutation(history[begin : begin + length])
    return changed


def masked_items(
    histories: Sequence[NDArray[np.int32]], share: float, rng: np.random.Generator
) -> list[NDArray[np.bool_]] | None:
    """Which items the encoder reads as zero, of each history: that share of them; None where it is 0."""
    hidden = [rng.random(len(history)) < share for history in histories]
    return hidden if share else None
