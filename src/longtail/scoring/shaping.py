"""Shapes a list: items unlike each other, and no more of a kind than asked.

Diversity is Maximal Marginal Relevance (Carbonell & Goldstein 1998): the next item is the one with the most of its own score and
the least likeness to what stands before it. docs/serving.md says what that costs and buys (benchmarks/diversity.py).
"""

from collections import Counter
from collections.abc import Mapping, Sequence

import numpy as np
from numpy.typing import NDArray

POOL = 100  # of the best items, at least, that a list is shaped from; ten for each place if that is more


def shaped(
    scores: NDArray[np.float32],
    k: int,
    vectors: NDArray[np.float32],
    diversity: float = 0.0,
    groups: Sequence[Sequence[str]] = (),
    limits: Mapping[str, int] | None = None,
) -> list[int]:
    """Places in a pool of at most ``k`` items, in the order in which they are shown.

    scores [pool], best first; vectors [pool, dim], unit rows. A score counts by where it lies between the pool's least and
    greatest; likeness is the cosine, 0 where it is negative. groups: of each item of the pool, what ``limits`` count: items at most of
    a group, by the group, or by its name where the group is ``name=value``.
    """
    if not len(scores):
        return []
    limits = limits or {}
    span = float(scores[0] - scores[-1]) or 1.0
    relevance = (1 - diversity) * (scores - scores[-1]) / span
    nearest = np.zeros(len(scores), dtype=np.float32)  # likeness to the most alike item before
    chosen, counts = list[int](), Counter[str]()
    while len(chosen) < k:
        place = int((relevance - diversity * nearest).argmax())  # of equals the first
        if relevance[place] == -np.inf:
            break
        relevance[place] = -np.inf
        of = groups[place] if limits else ()
        if any(counts[group] >= limits.get(group, limits.get(group.partition("=")[0], k)) for group in of):
            continue
        chosen.append(place)
        counts.update(of)
        if diversity:
            nearest = np.maximum(nearest, vectors @ vectors[place])
    return chosen
