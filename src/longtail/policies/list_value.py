"""What a policy's lists are worth by the log of another: importance weights of each place and all before it, self-normalised.

The reward of a place may depend on what stood at it and before it (RIPS, McInerney et al. 2020: the cascade); the value of a list is the sum
over its places. The difference from the log's own value is paired, and its interval takes a user's lists as one
(``metrics.off_policy_intervals``).
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from longtail.metrics.off_policy_intervals import Units, interval
from longtail.policies.cases import Case
from longtail.scoring.bundle import PARTS

Floats = NDArray[np.float64]
CONFIDENCE, SAMPLES = 0.95, 1000  # of intervals, and bootstrap samples


@dataclass(frozen=True)
class Compared:
    """Chosen items a list: of the new policy, of the log, and the difference with its standard error and interval. ess: effective number of
    lists at the last place, of ``lists``; mean_weight: of the lists there, which is 1 but for chance where the log shows what the policy does."""

    value: float
    logged: float
    difference: float
    error: float
    low: float
    high: float
    ess: float
    mean_weight: float
    lists: int
    users: int


def place_probabilities(case: Case, scores: NDArray[np.floating]) -> Floats:
    """With which probability the scores [n] of the case's candidates put each shown item at its place, given those before it, where lists are
    drawn as the log's were. What is not among the candidates is never drawn. ``[k]``"""
    if case.explore.temperature is not None:
        return _plackett_luce(case, scores.astype(np.float64), case.explore.temperature)
    return _epsilon_greedy(case, scores)


def _plackett_luce(case: Case, scores: Floats, temperature: float) -> Floats:
    logits = scores / (temperature * (float(scores.std()) * case.spread or 1.0))
    weights = np.exp(logits - logits.max())
    shown = weights[case.shown]
    left = weights.sum() - np.append(0.0, np.cumsum(shown)[:-1])  # [k]
    few = left < 1e-6 * weights.sum()  # rounding: add up what is left
    for place in np.flatnonzero(few):
        left[place] = np.delete(weights, case.shown[:place]).sum()
    return np.asarray(np.where(left > 0, shown / np.where(left > 0, left, 1.0), 0.0))


def _epsilon_greedy(case: Case, scores: NDArray[np.floating]) -> Floats:
    new_only, epsilon = case.explore.new_items, float(case.explore.epsilon or 0)
    order = np.argsort(-scores, kind="stable")
    is_new = case.parts[:, len(PARTS)] > 0
    found, taken, drawn = [], set[int](), 0
    for item in case.shown.tolist():
        best = next(other for other in order.tolist() if other not in taken)
        left = case.allowed[1] - drawn if new_only else case.allowed[0] - len(taken)
        may_be_drawn = bool(is_new[item]) or not new_only
        share = epsilon if left else 0.0
        found.append((1 - share) * (item == best) + (share / left if may_be_drawn and left else 0.0))
        taken.add(item)
        drawn += bool(is_new[item])
    return np.array(found)


@dataclass(frozen=True)
class Weighed:
    """What lists say of a policy: as ``Compared``; terms [lists], whose mean is the difference."""

    value: float
    logged: float
    ess: float
    mean_weight: float
    terms: Floats
    units: Units

    @property
    def difference(self) -> float:
        return self.value - self.logged

    @property
    def error(self) -> float:
        return self.units.error(self.difference, self.terms)


def compare(cases: Sequence[Case], probabilities: Sequence[Floats]) -> Compared:
    """The policy that shows lists with these probabilities [k] of each case's places, against the log."""
    found = weigh(cases, probabilities)
    low, high = interval(found.difference, found.terms, found.units, CONFIDENCE, SAMPLES, 0, None)[:2]
    return Compared(
        value=found.value,
        logged=found.logged,
        difference=found.difference,
        error=found.error,
        low=low,
        high=high,
        ess=found.ess,
        mean_weight=found.mean_weight,
        lists=len(cases),
        users=found.units.count,
    )


def weigh(cases: Sequence[Case], probabilities: Sequence[Floats]) -> Weighed:
    """The same without an interval, which takes longest."""
    n, longest = len(cases), max(len(case.shown) for case in cases)
    weights, rewards = np.zeros((2, n, longest))
    there = np.zeros((n, longest), dtype=bool)
    for row, (case, chances) in enumerate(zip(cases, probabilities)):
        k = len(case.shown)
        weights[row, :k], rewards[row, :k] = np.cumprod(chances / case.propensities), case.rewards
        there[row, :k] = True
    total, count = weights.sum(axis=0), there.sum(axis=0)
    means = np.divide((weights * rewards).sum(axis=0), total, out=np.zeros(longest), where=total > 0)
    # a place that not every list has counts for the share of those that have it: the value is that of a list as they are
    value, logged = float((count / n * means).sum()), float(rewards.sum() / n)
    scale = np.divide(count, total, out=np.zeros(longest), where=total > 0)
    own = (weights * scale * (rewards - means)).sum(axis=1)  # linearised, of mean 0
    terms = own - (rewards.sum(axis=1) - logged) + value - logged
    last = weights[:, -1]
    squares = float(np.square(last).sum())
    ess = float(total[-1]) ** 2 / squares if squares > 0 else 0.0
    units = Units.of(np.array([case.user for case in cases]), n)
    return Weighed(value, logged, ess, float(total[-1] / count[-1]), terms, units)
