"""Intervals of off-policy values: a symmetric studentised bootstrap over users, or over rounds where no users are known.

It is the way of ``significance``, for terms without a bound. ``benchmarks/policy_coverage.py`` compares it with others.
"""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from longtail.metrics.significance import studentised_quantile

Numbers = NDArray[np.float64]


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

    def deviations(self, value: float, terms: Numbers) -> Numbers:
        """Of every unit: the sum of its terms less the value, such that their mean's error is the value's. ``[units]``

        Units have different numbers of rounds, so the value is a ratio of two means; this is its linearisation.
        """
        off = np.asarray(terms - value, dtype=np.float64)
        if self.code is None:
            return off
        sums = np.bincount(self.code, weights=off, minlength=self.count).astype(np.float64)
        return sums * (self.count / self.rounds)

    def error(self, value: float, terms: Numbers) -> float:
        """Standard error of the value."""
        off = self.deviations(value, terms)
        return float(np.sqrt(np.square(off).sum() / (self.count * max(self.count - 1, 1))))


def interval(
    value: float,
    terms: Numbers,
    units: Units,
    confidence: float,
    samples: int,
    seed: int,
    span: tuple[float, float] | None,
) -> tuple[float, float]:
    """Low and high, within ``span``; all of it (or infinite) where the terms say nothing of their spread."""
    least, most = span or (-np.inf, np.inf)
    if not np.isfinite(value):
        return least, most
    off = units.deviations(value, terms)
    if units.count < 2 or np.ptp(off) <= 1e-12 * max(abs(value), 1e-12):
        return least, most
    quantile = studentised_quantile(off[:, None], samples, confidence, seed)[0]
    half = quantile * np.sqrt(np.square(off).sum()) / units.count
    return float(max(value - half, least)), float(min(value + half, most))
