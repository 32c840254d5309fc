"""Golden answers: what the student must say to some test users; deploy compares the served answers with them.

Where nobody tests, it is asked for a visitor of whom nothing is known, and for one item each of some that there are.
"""

from typing import Any

import numpy as np
from numpy.typing import NDArray

from longtail.contracts.prepared import PreparedDataset, Targets
from longtail.contracts.segments import SEGMENTS
from longtail.scoring.asked import Asked
from longtail.scoring.expected import expected_answers
from longtail.scoring.recommender import Recommender

GOLDEN_PER_SEGMENT = 4


def golden(
    student: Recommender, data: PreparedDataset, targets: Targets, segments: NDArray[np.str_]
) -> list[dict[str, Any]]:
    """The first users of every segment with the student's answers; who has no cold user asks some without history."""
    rows = np.concatenate([np.flatnonzero(segments == name)[:GOLDEN_PER_SEGMENT] for name in SEGMENTS])
    asked = [
        Asked(
            [data.item_ids[item] for item in targets.histories[row]],
            data.user_attributes[targets.users[row]],
            context=targets.contexts[row],
        )
        for row in rows
    ]
    if not (segments == SEGMENTS[0]).any():
        first = zip(targets.users[:GOLDEN_PER_SEGMENT], targets.contexts)
        asked = [Asked(attributes=data.user_attributes[user], context=context) for user, context in first] + asked
    if not asked:
        asked = [Asked(), *(Asked([item]) for item in data.item_ids[:GOLDEN_PER_SEGMENT])]
    return expected_answers(student, asked)
