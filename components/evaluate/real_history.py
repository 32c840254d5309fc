"""Every test user at the moment of asking: by how many events there really were before, with the first target alone.

Where the split is by a clock, a target window holds many events of a user; the first one is what a recommendation could have met.
"""

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray


def length_groups(lengths: NDArray[np.integer], edges: Sequence[int]) -> dict[str, NDArray[np.intp]]:
    """Rows of the users of each column: ``0``, then up to each edge, then more (``1-2`` where edges leave some out, ``5+``).

    lengths [users]: events before the moment of asking.
    """
    groups = {}
    low = 0
    for edge in sorted({0, *edges}):
        name = str(edge) if low == edge else f"{low}-{edge}"
        groups[name] = np.flatnonzero((lengths >= low) & (lengths <= edge))
        low = edge + 1
    return groups | {f"{low}+": np.flatnonzero(lengths >= low)}
