"""benchmarks/images.py: which targets count in which group."""

import sys
from pathlib import Path

import numpy as np
import pytest

sys.path.insert(0, str(Path(__file__).parents[2] / "benchmarks"))
import images

from longtail.metrics.ranking import TargetRanks


def test_groups_are_of_targets_by_the_events_of_their_items() -> None:
    """User 0 wants items 0 and 1, user 1 item 2, user 2 items 0 and 2; they were ranked in the order 2, 0, 1."""
    owners, wanted, counts = np.array([0, 0, 1, 2, 2]), np.array([0, 1, 2, 0, 2], np.int32), np.array([0, 2, 9])
    ranks = np.array([4, 30, 1, 2, 11])  # of user 2's targets, of user 0's, of user 1's
    found = TargetRanks(ranks, np.array([2, 2, 0, 0, 1]), 3, np.zeros(5, np.int64))
    gain = {rank: 1 / np.log2(1 + rank) for rank in (1, 2, 4)}
    both = 1 + 1 / np.log2(3)  # two targets in front
    expected = {
        "all": [[(gain[1] + gain[2]) / both, 1], [0, 0], [gain[4] / both, 0.5]],
        "item never seen": [[gain[1], 1], [gain[4], 1]],
        "seen once or twice": [[gain[2], 1]],
        "seen more often": [[0, 0], [0, 0]],
    }
    for group, bounds in images.GROUPS.items():
        got = images._metrics(found, owners, wanted, counts, *bounds)
        assert got == pytest.approx(np.array(expected[group])), group
