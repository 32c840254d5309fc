"""EASE against the regressions that it solves in closed form."""

import numpy as np
import pytest

from longtail.baselines.classic import ease
from longtail.scoring.query import Query


@pytest.mark.parametrize("l2", [0.5, 20.0])
def test_each_item_is_a_ridge_regression_on_all_others(l2):
    rng = np.random.default_rng(0)
    sequences = [rng.integers(12, size=rng.integers(0, 7)).astype(np.int32) for _ in range(40)]
    incidence = np.zeros((40, 12))
    for user, sequence in enumerate(sequences):
        incidence[user, sequence] = 1.0
    system = ease(sequences, 12, l2)
    for item in range(12):
        others = np.delete(np.arange(12), item)
        x, y = incidence[:, others], incidence[:, item]
        weights = np.linalg.solve(x.T @ x + l2 * np.eye(11), x.T @ y)
        for query in ([], [3], [3, 3, 5], list(range(12))):
            (scores,) = system.score([Query(np.array(query, np.int32))])
            assert scores[item] == pytest.approx(sum(weights[others == shown].sum() for shown in set(query)), abs=1e-5)
