"""Intervals of means over users, and of paired differences: a symmetric studentised bootstrap.

The half-width is the standard error times the quantile of ``|mean* - mean| / error*`` over resamplings of the users (Hall 1988,
"On symmetric bootstrap confidence intervals"). A percentile bootstrap misses the truth too often where most users have
zero, as few hits are few grounds; BCa and equal-tailed quantiles do for means, but follow the chance skewness of a
difference of two systems that are equally good. ``benchmarks/interval_coverage.py`` measures all of them.

Values and differences lie between -1 and 1, so the share of users with a value above (below) zero bounds the mean from above (below):
the interval never reaches beyond the exact limits of those shares (Clopper and Pearson 1934). That decides where hits, or misses, are so
few that resamplings without any are common: of 100 users without a hit, the mean may still be .036.
"""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.special import betaincinv

BLOCK_NUMBERS = 4_000_000  # numbers of resampling weights held at a time


@dataclass(frozen=True)
class Means:
    """Of every column: mean, its standard error, and the interval's bounds. Each ``[columns]``."""

    mean: NDArray[np.float64]
    error: NDArray[np.float64]
    low: NDArray[np.float64]
    high: NDArray[np.float64]


def mean_intervals(
    values: NDArray[np.floating],
    samples: int,
    confidence: float,
    seed: int,
    lowest: float | NDArray[np.floating] = -1.0,
) -> Means:
    """Means over users with intervals, all columns under the same ``samples`` resamplings. ``[users, columns]``

    values: between -1 and 1; a paired difference is a column like any other. At least one user.
    lowest: the least value there can be, of all columns or of each.
    """
    users = len(values)
    values = np.asarray(values, dtype=np.float64)
    mean = values.mean(axis=0)
    centred = values - mean
    spread = np.square(centred).sum(axis=0)
    alike = np.ptp(values, axis=0) == 0
    half = np.zeros(len(mean))
    half[~alike] = np.sqrt(spread[~alike]) / users * studentised_quantile(centred[:, ~alike], samples, confidence, seed)

    def most(chosen: NDArray[np.bool_]) -> NDArray[np.float64]:
        return share_limit(np.count_nonzero(chosen, axis=0), users, confidence)

    low = np.maximum(mean - half, np.maximum(-most(values < 0), 1 - most(values < 1) * (1 - lowest)))
    high = np.minimum(mean + half, most(values > 0))
    unseen = most(
        np.zeros_like(values, dtype=bool)
    )  # who are all alike say nothing of their spread, but of the share of others
    low = np.where(alike, mean - unseen * (mean - lowest), np.maximum(low, lowest))
    high = np.where(alike, mean + unseen * (1 - mean), high)
    return Means(mean, np.sqrt(spread / (users * max(users - 1, 1))), low, high)


def share_limit(count: NDArray[np.integer], users: int, confidence: float) -> NDArray[np.float64]:
    """Exact upper limit of a share that was seen ``count`` times among ``users``, two-sided (Clopper and Pearson 1934)."""
    tail = (1 - confidence) / 2
    limit = betaincinv(count + 1.0, np.maximum(users - count, 1.0), 1 - tail)
    return np.where(count < users, limit, 1.0)


def studentised_quantile(
    centred: NDArray[np.float64], samples: int, confidence: float, seed: int
) -> NDArray[np.float64]:
    """By how many standard errors a mean may be off: the quantile of ``|mean*| / error*`` over resamplings. ``[columns]``

    centred: deviations from the mean ``[users, columns]``, not all alike in any column.
    """
    return _quantile(_studentised(centred, samples, seed), confidence)


def _studentised(centred: NDArray[np.float64], samples: int, seed: int) -> NDArray[np.float64]:
    """|mean| / standard error of every resampling; infinite where all that was drawn is alike. ``[samples, columns]``"""
    users, columns = centred.shape
    both = np.concatenate([centred, np.square(centred)], axis=1)
    spread = both[:, columns:].mean(axis=0)
    rng = np.random.default_rng(seed)
    ratios = np.empty((samples, columns))
    block = max(1, BLOCK_NUMBERS // users)
    for begin in range(0, samples, block):
        rows = range(begin, min(begin + block, samples))
        weights = np.stack([np.bincount(rng.integers(users, size=users), minlength=users) for _ in rows])
        means = weights.astype(np.float64) @ both / users
        variance = means[:, columns:] - np.square(means[:, :columns])
        known = variance > 1e-12 * spread  # else what is left is rounding
        error = np.sqrt(np.where(known, variance, 1.0) / users)
        ratios[rows.start : rows.stop] = np.where(known, np.abs(means[:, :columns]) / error, np.inf)
    return ratios


def _quantile(ratios: NDArray[np.float64], confidence: float) -> NDArray[np.float64]:
    """The smallest ratio that ``confidence`` of the resamplings do not exceed. ``[columns]``"""
    samples = len(ratios)
    place = min(int(np.ceil(confidence * (samples + 1))), samples) - 1
    return np.asarray(np.partition(ratios, place, axis=0)[place])
