"""The best items of a row of scores, in a total order."""

import numpy as np
from numpy.typing import NDArray


def top_items(scores: NDArray[np.floating], k: int, excluded: NDArray[np.integer]) -> NDArray[np.intp]:
    """Codes of the best ``k`` items, best first; ties go to the smaller code. Fewer where too many are excluded.

    scores [items]; excluded: item codes that may not be chosen.
    """
    allowed = np.array(scores, dtype=np.float64)
    allowed[excluded] = -np.inf
    count = min(k, int(np.isfinite(allowed).sum()))
    if count == 0:
        return np.zeros(0, dtype=np.intp)
    threshold = np.partition(allowed, len(allowed) - count)[len(allowed) - count]
    candidates = np.flatnonzero(allowed >= threshold)
    return candidates[np.lexsort((candidates, -allowed[candidates]))][:count]
