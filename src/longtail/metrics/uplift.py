"""How well predicted effects order and size what a treatment really changed, judged by a randomised experiment.

Nobody is seen both treated and not, so groups are compared: of the users with the highest predicted effects, the treated with the
untreated. Every mean weighs a user by 1 / the probability of the arm that the user got (Hajek), so that arms may be of any size.
Users whose predicted effects are equal come at one point of a curve: the straight line between points is their order at random.
"""

from collections.abc import Callable
from dataclasses import dataclass
from statistics import NormalDist

import numpy as np
from numpy.typing import NDArray

Numbers = NDArray[np.float64]


@dataclass(frozen=True)
class Trial:
    """One treatment against control. All ``[users]``.

    weight: 1 / propensity of the arm that the user got, or any multiple of it that is the same within an arm.
    """

    outcome: Numbers
    treated: NDArray[np.bool_]
    weight: Numbers

    @classmethod
    def of(
        cls, outcome: NDArray[np.generic], treated: NDArray[np.generic], weight: NDArray[np.generic] | None = None
    ) -> "Trial":
        """A trial whose arms were drawn alike for all users where ``weight`` is left out.

        Raises:
            ValueError: an arm is empty, or lengths differ.
        """
        given = np.ones(len(outcome)) if weight is None else np.asarray(weight, dtype=np.float64)
        trial = cls(np.asarray(outcome, dtype=np.float64), np.asarray(treated, dtype=bool), given)
        if not len(trial.outcome) == len(trial.treated) == len(trial.weight):
            raise ValueError("outcome, treated and weight are of different lengths")
        if trial.treated.all() or not trial.treated.any():
            raise ValueError("an arm is empty: a treatment is judged against users without it")
        return trial

    def average(self) -> tuple[float, float]:
        """Average effect, and its standard error."""
        return _difference(self, np.ones(len(self.outcome), dtype=bool))


@dataclass(frozen=True)
class Curve:
    """What targeting the users with the highest predicted effects brings. ``[points]``, from (0, 0) on.

    share: of all users, targeted. gain: see :func:`qini_curve` and :func:`uplift_curve`.
    """

    share: Numbers
    gain: Numbers

    def area(self) -> float:
        return float(np.sum(np.diff(self.share) * (self.gain[1:] + self.gain[:-1]) / 2))


class Ranked:
    """A trial's users by falling predicted effect, ready to be weighed again and again.

    effect: [users], finite.
    """

    def __init__(self, effect: NDArray[np.floating], trial: Trial) -> None:
        if len(effect) != len(trial.outcome) or not np.isfinite(effect).all():
            raise ValueError("every user of the trial needs one finite predicted effect")
        self._order = np.argsort(-effect, kind="stable")
        ranked = effect[self._order]
        self._ends = np.flatnonzero(np.append(ranked[1:] != ranked[:-1], True))  # last of those that tie
        treated, weight, outcome = (
            array[self._order] for array in (trial.treated.astype(np.float64), trial.weight, trial.outcome)
        )
        arms = np.stack([weight * treated, weight * (1 - treated)])  # [2, users]
        self._columns = np.concatenate([np.ones((1, len(effect))), arms, arms * outcome])  # [5, users]

    def _sums(self, times: NDArray[np.integer] | None) -> Numbers:
        """Users, weights of treated and control, weighted outcomes of both, up to every end. ``[5, 1 + ends]``"""
        columns = self._columns if times is None else self._columns * times[self._order]
        return np.concatenate([np.zeros((5, 1)), columns.cumsum(axis=1)[:, self._ends]], axis=1)

    def qini_curve(self, times: NDArray[np.integer] | None = None) -> Curve:
        """Outcomes added by targeting so many users, for each treated user of the trial (Radcliffe 2007).

        With t treated and c control users among those targeted: (Y_t - Y_c * N_t / N_c) / N_t(all). Its end is the average effect.
        times: how often each user counts, for a bootstrap.
        """
        return self._qini_curve(self._sums(times))

    @staticmethod
    def _qini_curve(sums: Numbers) -> Curve:
        users, treated, control, gained, usual = sums
        ratio = np.divide(treated, control, out=np.zeros_like(treated), where=control > 0)
        return Curve(users / users[-1], (gained - usual * ratio) / treated[-1])

    def uplift_curve(self, times: NDArray[np.integer] | None = None) -> Curve:
        """Share of users targeted x difference of the arms' means among them: outcomes added for each user of all."""
        return self._uplift_curve(self._sums(times))

    @staticmethod
    def _uplift_curve(sums: Numbers) -> Curve:
        users, treated, control, gained, usual = sums
        of_treated = np.divide(gained, treated, out=np.zeros_like(gained), where=treated > 0)
        of_control = np.divide(usual, control, out=np.zeros_like(usual), where=control > 0)
        share = users / users[-1]
        return Curve(share, share * (of_treated - of_control))

    def qini(self, times: NDArray[np.integer] | None = None) -> float:
        """Qini coefficient: area between the Qini curve and the straight line to its end; 0 for an order at random."""
        return self.areas(times)[0]

    def auuc(self, times: NDArray[np.integer] | None = None) -> float:
        """Area under the uplift curve; half the average effect for an order at random."""
        return self.areas(times)[1]

    def areas(self, times: NDArray[np.integer] | None = None) -> tuple[float, float, float]:
        """Qini coefficient, area under the uplift curve, and average effect."""
        sums = self._sums(times)
        curve = self._qini_curve(sums)
        average = float(curve.gain[-1])
        return curve.area() - average / 2, self._uplift_curve(sums).area(), average


@dataclass(frozen=True)
class Group:
    """Users with similar predicted effects: what was predicted on average, and what was observed with its interval."""

    users: int
    predicted: float
    observed: float
    low: float
    high: float


def uplift_by_group(
    effect: NDArray[np.floating], trial: Trial, groups: int = 10, confidence: float = 0.95
) -> list[Group]:
    """Observed effect by quantile of the predicted one, highest first. Equal predictions stay together, so groups may be fewer.

    Intervals are normal. A group without one of the arms has nan for what was observed.
    """
    edges = np.unique(np.quantile(effect, np.linspace(0, 1, groups + 1)[1:-1]))
    group = np.searchsorted(edges, effect, side="left")
    z = NormalDist().inv_cdf((1 + confidence) / 2)
    found = []
    for number in np.unique(group)[::-1]:
        chosen = group == number
        mean, error = _difference(trial, chosen)
        found.append(Group(int(chosen.sum()), float(effect[chosen].mean()), mean, mean - z * error, mean + z * error))
    return found


@dataclass(frozen=True)
class Calibration:
    """Line of true effects over predicted ones: 1 is the slope of right sizes, 0 that of predictions that tell nothing.

    error: standard error of the slope; both nan where all predictions are alike. off_by: mean over users of
    |predicted - observed| of their group, which noise alone makes greater than 0.
    """

    slope: float
    error: float
    predicted: float
    observed: float
    off_by: float


def calibration(effect: NDArray[np.floating], trial: Trial, groups: int = 10) -> Calibration:
    """The best linear predictor of the effect by the prediction (Chernozhukov, Demirer, Duflo and Fernandez-Val 2018).

    The slope of outcomes over predictions among the treated less that among the control users.
    """
    slopes = [_slope(effect[arm], trial.outcome[arm], trial.weight[arm]) for arm in (trial.treated, ~trial.treated)]
    parts = [group for group in uplift_by_group(effect, trial, groups) if not np.isnan(group.observed)]
    users = sum(group.users for group in parts)
    return Calibration(
        slope=slopes[0][0] - slopes[1][0],
        error=float(np.hypot(slopes[0][1], slopes[1][1])),
        predicted=float(np.average(effect)),
        observed=trial.average()[0],
        off_by=sum(group.users * abs(group.predicted - group.observed) for group in parts) / users if users else np.nan,
    )


def policy_value(
    chosen: NDArray[np.integer],
    given: NDArray[np.integer],
    reward: NDArray[np.floating],
    propensity: NDArray[np.floating],
    times: NDArray[np.integer] | None = None,
) -> float:
    """Mean reward of a user had each got the chosen action, from those who did: self-normalised inverse propensity weighting.

    All [users]; chosen and given: codes of actions; propensity: of the given action, above 0. nan where nobody got the chosen one.
    """
    weight = (chosen == given) / propensity
    if times is not None:
        weight = weight * times
    total = float(weight.sum())
    return float(weight @ reward) / total if total > 0 else np.nan


def bootstrap(
    statistic: Callable[[NDArray[np.integer]], NDArray[np.floating]],
    users: int,
    samples: int = 1000,
    confidence: float = 0.95,
    seed: int = 0,
) -> tuple[Numbers, Numbers, Numbers]:
    """Percentile bootstrap over users: low, high and standard error of every number. Each ``[numbers]``.

    statistic: from how often each user was drawn to ``[numbers]``; all see the same users, so differences are paired. A number that
    is nan for a sample is left out of that sample.
    """
    rng = np.random.default_rng(seed)
    drawn = np.array([statistic(np.bincount(rng.integers(users, size=users), minlength=users)) for _ in range(samples)])
    tail = (1 - confidence) / 2
    low, high = np.nanquantile(drawn, [tail, 1 - tail], axis=0)
    return low, high, np.nanstd(drawn, axis=0, ddof=1)


def _difference(trial: Trial, chosen: NDArray[np.bool_]) -> tuple[float, float]:
    """Difference of the arms' weighted means, and its standard error; nan where an arm is empty."""
    means, variance = [], 0.0
    for arm in (trial.treated & chosen, ~trial.treated & chosen):
        weight, outcome = trial.weight[arm], trial.outcome[arm]
        if not len(weight):
            return np.nan, np.nan
        mean = float(np.average(outcome, weights=weight))
        means.append(mean)
        variance += float(np.square(weight * (outcome - mean)).sum() / weight.sum() ** 2)
    return means[0] - means[1], variance**0.5


def _slope(x: NDArray[np.floating], y: Numbers, weight: Numbers) -> tuple[float, float]:
    """Of a weighted least-squares line, and its heteroscedasticity-robust standard error (HC0)."""
    centred = x - np.average(x, weights=weight)
    spread = float(weight @ np.square(centred))
    if np.ptp(x) == 0:
        return np.nan, np.nan
    slope = float(weight @ (centred * y)) / spread
    rest = y - np.average(y, weights=weight) - slope * centred
    return slope, float(np.sqrt(np.square(weight * centred * rest).sum())) / spread
