"""Percentile bootstrap over users (Efron 1979): intervals of means and of paired differences."""

import numpy as np
from numpy.typing import NDArray

BLOCK_NUMBERS = 4_000_000  # numbers of resampling weights held at a time


def bootstrap_means(values: NDArray[np.floating], samples: int, seed: int) -> NDArray[np.float64]:
    """Means of every column under ``samples`` resamplings of the rows. ``[users, columns] -> [samples, columns]``

    All columns share each resampling, so a difference of two columns of the result is the paired difference.
    """
    users = len(values)
    values = np.asarray(values, dtype=np.float64)
    rng = np.random.default_rng(seed)
    means = np.empty((samples, values.shape[1]))
    block = max(1, BLOCK_NUMBERS // users)
    for begin in range(0, samples, block):
        rows = range(begin, min(begin + block, samples))
        weights = np.stack([np.bincount(rng.integers(users, size=users), minlength=users) for _ in rows])
        means[rows.start : rows.stop] = weights.astype(np.float64) @ values / users
    return means


def interval(means: NDArray[np.float64], confidence: float) -> NDArray[np.float64]:
    """Percentile interval of every column. ``[samples, columns] -> [2, columns]``"""
    tail = (1 - confidence) / 2
    return np.asarray(np.quantile(means, [tail, 1 - tail], axis=0))
