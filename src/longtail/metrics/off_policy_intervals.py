"""Intervals of off-policy values, over users, or over rounds where no users are known.

Where many rounds count: a symmetric studentised bootstrap, the way of ``significance``, for terms without a bound. Where few rewarded
rounds count, resamplings have none of the rare great terms that decide; there the rewards are taken for a compound Poisson
sum (Fay & Feuer 1997). ``benchmarks/policy_coverage.py`` compares these and others.
"""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.special import gammaincinv, ndtri

from longtail.metrics.significance import studentised_quantile

Numbers = NDArray[np.float64]
MANY = 1000  # effective squared deviations, from which on the normal quantile is taken: resampling a million rounds takes minutes
FEW_REWARDED = 50  # effective rewarded rounds or users; from there on the bootstrap misses as often as it says


@dataclass(frozen=True)
class Units:
    """What is independent of each other: users, or rounds. code: of the unit of each round ``[rounds]``; None: each its own."""

    code: NDArray[np.int64] | None
    count: int
    rounds: int

    @classmethod
    def of(cls, user: NDArray[np.generic] | None, rounds: int) -> "Units":
        if user is None:
            return cls(None, rounds, rounds)
        found, code = np.unique(user, return_inverse=True)
        return cls(code.reshape(-1), len(found), rounds)

    def sums(self, terms: Numbers) -> Numbers:
        """Of every unit. ``[units]``"""
        if self.code is None:
            return terms
        return np.bincount(self.code, weights=terms, minlength=self.count).astype(np.float64)

    def deviations(self, value: float, terms: Numbers) -> Numbers:
        """Of every unit: the sum of its terms less the value, such that their mean's error is the value's. ``[units]``

        Units have different numbers of rounds, so the value is a ratio of two means; this is its linearisation.
        """
        return self.sums(np.asarray(terms - value, dtype=np.float64)) * (self.count / self.rounds)

    def error(self, value: float, terms: Numbers) -> float:
        """Standard error of the value."""
        off = self.deviations(value, terms)
        return float(np.sqrt(np.square(off).sum() / (self.count * max(self.count - 1, 1))))


@dataclass(frozen=True)
class Level:
    """confidence of the interval; samples and seed of the bootstrap; span: least and greatest value there can be."""

    confidence: float = 0.95
    samples: int = 1000
    seed: int = 0
    span: tuple[float, float] | None = None


def interval(
    value: float,
    terms: Numbers,
    units: Units,
    confidence: float,
    samples: int,
    seed: int,
    span: tuple[float, float] | None,
) -> tuple[float, float]:
    """Low and high by the bootstrap (or normal, of many), within ``span``; all of it (or infinite) where the terms say nothing of their spread."""
    least, most = span or (-np.inf, np.inf)
    if not np.isfinite(value) or units.count < 2:
        return least, most
    off = units.deviations(value, terms)
    if np.ptp(off) <= 1e-12 * max(abs(value), 1e-12):
        return least, most
    if _effective(np.square(off)) >= MANY:
        quantile = float(ndtri((1 + confidence) / 2))
    else:
        quantile = float(studentised_quantile(off[:, None], samples, confidence, seed)[0])
    half = float(quantile * np.sqrt(np.square(off).sum()) / units.count)
    return max(value - half, least), min(value + half, most)


@dataclass(frozen=True)
class Paid:
    """The part of a value's terms that is a weight times a reward. ``[rounds]`` each

    most, least: what the greatest and the least reward there can be would make of it, most >= 0 >= least.
    """

    amount: Numbers
    most: Numbers
    least: Numbers

    @classmethod
    def of(cls, weight: Numbers, reward: Numbers, span: tuple[float, float] | None) -> "Paid":
        """weight: may be negative, as of a difference."""
        least, most = span or (float(reward.min()), float(reward.max()))
        ends = np.stack([weight * least, weight * most, np.zeros_like(weight)])
        return cls(weight * reward, ends.max(axis=0), ends.min(axis=0))


def interval_of_rewards(value: float, terms: Numbers, paid: Paid, units: Units, level: Level) -> tuple[float, float]:
    """Low and high, by compound Poisson sums where few rewarded rounds count, else by the bootstrap. terms: their mean is the value"""
    up, down = units.sums(np.maximum(paid.amount, 0)), units.sums(np.maximum(-paid.amount, 0))
    sides = [(up, paid.most), (down, paid.least)]
    few = any(_effective(part) < FEW_REWARDED for part, ends in sides if ends.any())  # of gains, or of losses
    if not (paid.most.any() or paid.least.any()) and np.ptp(terms) == 0:
        return value, value  # no reward could change it
    if not few or not np.isfinite(value) or units.count < 2:
        return interval(value, terms, units, level.confidence, level.samples, level.seed, level.span)
    repeats = (
        float(np.count_nonzero(paid.amount)) / max(float(np.count_nonzero(up + down)), 1.0) or 1.0
    )  # of a rewarded user
    low_up, high_up = compound_poisson(up, paid.most * repeats, units.rounds, level.confidence)
    low_down, high_down = compound_poisson(down, -paid.least * repeats, units.rounds, level.confidence)
    offset = terms - paid.amount
    half = float(ndtri((1 + level.confidence) / 2)) * units.error(float(offset.mean()), offset)
    # parts are put together as if independent (MOVER, Zou & Donner 2008); they go against each other, if at all
    mean_up, mean_down = float(up.sum()) / units.rounds, float(down.sum()) / units.rounds
    below = float(np.sqrt((mean_up - low_up) ** 2 + (high_down - mean_down) ** 2 + half**2))
    above = float(np.sqrt((high_up - mean_up) ** 2 + (mean_down - low_down) ** 2 + half**2))
    least, most = level.span or (-np.inf, np.inf)
    return max(value - below, least), min(value + above, most)


def compound_poisson(rewarded: Numbers, weight: Numbers, rounds: int, confidence: float) -> tuple[float, float]:
    """Limits of the sum of ``rewarded`` over ``rounds``: gamma quantiles of its mean and variance, to which one more reward is
    added for the upper limit. Its weight is the mean over rounds of the policy's own: the mean over the log's rounds (Tiwari et al.) misses
    too often where weights differ, the greatest weight (Fay & Feuer) makes limits many times too wide. Of equal weights they are the exact
    limits of a Poisson count."""
    tail = (1 - confidence) / 2
    mean, variance = float(rewarded.sum()) / rounds, float(np.square(rewarded).sum()) / rounds**2
    one = float(np.square(weight).sum() / weight.sum()) / rounds if weight.any() else 0.0
    above, more = mean + one, variance + one**2
    low = float(gammaincinv(mean**2 / variance, tail)) * variance / mean if mean > 0 else 0.0
    high = float(gammaincinv(above**2 / more, 1 - tail)) * more / above if above > 0 else 0.0
    return low, high


def _effective(values: Numbers) -> float:
    squares = float(np.square(values).sum())
    return float(values.sum()) ** 2 / squares if squares else 0.0
