"""What a policy would be worth, told from a log of another policy that knew the probabilities of what it did.

Rounds are independent draws: the log's policy took an action with a known probability (its propensity) and saw the reward of that
action alone. Every estimator is a mean over rounds, so that all get their intervals in one way (``off_policy_intervals``).
"""

from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from longtail.contracts.errors import UserError
from longtail.metrics.off_policy_checks import check_numbers, check_probabilities, warnings_about
from longtail.metrics.off_policy_intervals import Level, Paid, Units, interval_of_rewards
from longtail.metrics.off_policy_terms import BY_MODEL, METHODS, Method, estimate_terms, slope

Numbers = NDArray[np.float64]


@dataclass(frozen=True)
class Logged:
    """Rounds of a log. ``[rounds]`` each, checked when it is made.

    action: codes from 0. reward: the greater, the better. propensity: the log's probability of that action, above 0.
    position: where it was shown, if there are several places. context: ``[rounds, features]``, for reward models.
    user: whose round it was, as codes or ids: rounds of a user are not independent of each other, and intervals respect that.

    Raises:
        UserError: naming the round, from 0, whose reward or propensity cannot be.
    """

    action: NDArray[np.int64]
    reward: Numbers
    propensity: Numbers
    position: NDArray[np.int64] | None = None
    context: Numbers | None = None
    user: NDArray[np.generic] | None = None

    def __post_init__(self) -> None:
        check_numbers(self.action, self.reward, self.propensity)

    def __len__(self) -> int:
        return len(self.action)


@dataclass(frozen=True)
class Way:
    """How values are estimated.

    clip: weights above it are cut to it; None leaves them. parameter: SWITCH's tau or DRos' lambda; None lets SLOPE choose it.
    reward_range: least and greatest reward there can be; None takes 0 and 1 where all rewards are 0 or 1, else none.
    """

    clip: float | None = None
    parameter: float | None = None
    confidence: float = 0.95
    samples: int = 1000
    seed: int = 0
    reward_range: tuple[float, float] | None = None


@dataclass(frozen=True)
class Estimate:
    """The value of a policy: the expected reward of a round, with an interval.

    low, high: of an estimator that is biased by a model or by clipping they are those of the unbiased one (DR, or IPS without
    clipping), stretched to hold the value: shorter ones would leave the bias out.
    error: standard error, without the bias. ess: effective sample size (Kish), the number of rounds of the policy's own that would say as much.
    clipped_share: of the rounds. clipping_bias: the most that clipping takes from the value, estimated. parameter: tau or lambda.
    """

    method: str
    value: float
    low: float
    high: float
    error: float
    ess: float
    rounds: int
    clipped_share: float = 0.0
    clipping_bias: float = 0.0
    parameter: float | None = None
    warnings: tuple[str, ...] = field(default=())


def value_of(
    logged: Logged,
    probabilities: Numbers,
    expected: Numbers | None = None,
    method: Method = "dr",
    way: Way | None = None,
) -> Estimate:
    """The value of the policy that takes actions with ``probabilities``.

    Args:
        probabilities: of every action in every round ``[rounds, actions]``; for ``ips`` and ``snips`` those of the logged actions
            ``[rounds]`` are enough.
        expected: rewards that a model expects ``[rounds, actions]``, of a model that did not see the round (cross-fitted,
            ``policies.reward_model``).

    Raises:
        UserError: the probabilities are none, or the method needs expected rewards and has none.
    """
    way = way or Way()
    check_probabilities(probabilities, logged.action)
    raw = weights(logged, probabilities)
    clipped = raw if way.clip is None else np.minimum(raw, way.clip)
    model = _model_terms(logged, probabilities, expected, method)
    units = Units.of(logged.user, len(logged))
    span = reward_range(logged, way)
    parameter = way.parameter
    if method in ("switch-dr", "dros") and parameter is None:
        parameter = slope(method, logged.reward, clipped, model, units)
    value, terms = estimate_terms(method, logged.reward, clipped, model, parameter)
    # what is biased has the interval of its unbiased kin: the log says no more of the bias than that says of the value
    kin_value, kin_terms = estimate_terms("dr" if model else method, logged.reward, raw, model)
    scaled = raw / raw.mean() if method == "snips" and raw.any() else raw
    level = Level(way.confidence, way.samples, way.seed, span)
    low, high = interval_of_rewards(kin_value, kin_terms, Paid.of(scaled, logged.reward, span), units, level)
    return Estimate(
        method=method,
        value=value,
        low=min(low, value),
        high=max(high, value),
        error=units.error(value, terms),
        ess=effective_sample_size(clipped),
        rounds=len(logged),
        clipped_share=float(np.mean(raw > clipped)),
        clipping_bias=float(np.mean(raw - clipped))
        * (max(abs(span[0]), abs(span[1])) if span else _most(logged.reward)),
        parameter=parameter,
        warnings=warnings_about(logged.action, logged.position, probabilities, raw, units),
    )


def gain_over_log(
    logged: Logged, probabilities: Numbers, expected: Numbers | None = None, way: Way | None = None
) -> Estimate:
    """By how much the policy is worth more than the log's own: paired, round by round; by ``dr``, or ``ips`` without expected rewards.

    Raises:
        UserError: as ``value_of``.
    """
    way = way or Way()
    check_probabilities(probabilities, logged.action)
    method: Method = "ips" if expected is None else "dr"
    weight = weights(logged, probabilities)
    model = _model_terms(logged, probabilities, expected, method)
    terms = estimate_terms(method, logged.reward, weight, model)[1] - logged.reward
    units, value = Units.of(logged.user, len(logged)), float(terms.mean())
    paid = Paid.of(weight - 1, logged.reward, reward_range(logged, way))
    low, high = interval_of_rewards(value, terms, paid, units, Level(way.confidence, way.samples, way.seed))
    ess = effective_sample_size(weight)
    return Estimate(method, value, low, high, units.error(value, terms), ess, len(logged))


def weights(logged: Logged, probabilities: Numbers) -> Numbers:
    """How much more often than the log the policy takes the logged action. ``[rounds]``"""
    taken = probabilities if probabilities.ndim == 1 else probabilities[np.arange(len(logged)), logged.action]
    return np.asarray(taken / logged.propensity, dtype=np.float64)


def effective_sample_size(weights: Numbers) -> float:
    """Kish (1965): the square of the sum over the sum of squares; 0 where all weights are."""
    squares = float(np.square(weights).sum())
    return float(weights.sum()) ** 2 / squares if squares else 0.0


def reward_range(logged: Logged, way: Way) -> tuple[float, float] | None:
    if way.reward_range is not None:
        return way.reward_range
    return (0.0, 1.0) if np.isin(logged.reward, (0.0, 1.0)).all() else None


def _model_terms(
    logged: Logged, probabilities: Numbers, expected: Numbers | None, method: str
) -> tuple[Numbers, Numbers] | None:
    if method not in METHODS:
        raise UserError(f"method {method!r} is none of {', '.join(METHODS)}")
    if method not in BY_MODEL:
        return None
    if expected is None or probabilities.ndim == 1 or expected.shape != probabilities.shape:
        shape = None if expected is None else expected.shape
        raise UserError(
            f"method {method} needs probabilities and expected rewards of every round and action (probabilities are "
            f"{probabilities.shape}, expected rewards {shape}); give both, or take ips or snips"
        )
    return expected[np.arange(len(logged)), logged.action], (probabilities * expected).sum(axis=1)


def _most(reward: Numbers) -> float:
    return float(np.abs(reward).max(initial=0))
