"""Shapes a list: items unlike each other, and no more of a kind than asked.

Diversity is Maximal Marginal Relevance (Carbonell & Goldstein 1998): the next item is the one with the most of its own score and
the least likeness to what stands before it. docs/serving.md says what that costs and buys (benchmarks/diversity.py).
"""

from collections import Counter
from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

POOL = 100  # of the best items, at least, that a list is shaped from; ten for each place if that is more


class Limit(NamedTuple):
    """At most ``most`` items of a group."""

    group: str
    most: int


def shaped(
    scores: NDArray[np.float32],
    k: int,
    vectors: NDArray[np.float32],
    diversity: float = 0.0,
    limits: Sequence[Sequence[Limit]] = (),
) -> list[int]:
    """Places in a pool of at most ``k`` items, in the order in which they are shown.

    scores [pool], best first; vectors [pool, dim], unit rows. A score counts by where it lies between the pool's least and
    greatest; likeness is the cosine, 0 where it is negative. limits: those of each item of the pool; none where left out.
    """
    if not len(scores):
        return []
    span = float(scores[0] - scores[-1]) or 1.0
    relevance = (1 - diversity) * (scores - scores[-1]) / span
    nearest = np.zeros(len(scores), dtype=np.float32)  # likeness to the most alike item before
    chosen, counts = list[int](), Counter[str]()
    while len(chosen) < k:
        place = int((relevance - diversity * nearest).argmax())  # of equals the first
        if relevance[place] == -np.inf:
            break
        relevance[place] = -np.inf
        of = limits[place] if limits else ()
        if any(counts[limit.group] >= limit.most for limit in of):
            continue
        chosen.append(place)
        counts.update(limit.group for limit in of)
        if diversity:
            nearest = np.maximum(nearest, vectors @ vectors[place])
    return chosen
