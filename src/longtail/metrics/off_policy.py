"""What a policy would be worth, told from a log of another policy that knew the probabilities of what it did.

Rounds are independent draws: the log's policy took an action with a known probability (its propensity) and saw the reward of that
action alone. Every estimator is a mean over rounds, so that all get their intervals in one way (``off_policy_intervals``).
"""

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Literal, get_args

import numpy as np
from numpy.typing import NDArray

from longtail.contracts.errors import UserError
from longtail.metrics.off_policy_checks import check_numbers, check_probabilities, warnings_about
from longtail.metrics.off_policy_intervals import Units, interval

Numbers = NDArray[np.float64]
Method = Literal["ips", "snips", "dm", "dr", "switch-dr", "dros"]
METHODS: tuple[Method, ...] = get_args(Method)
BY_MODEL = ("dm", "dr", "switch-dr", "dros")  # these need the expected rewards
CANDIDATES = 12  # values of a method's hyper-parameter that are tried


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
        parameter = _slope(method, logged, clipped, model, units)
    value, terms = estimate_terms(method, logged.reward, clipped, model, parameter)
    # what is biased has the interval of its unbiased kin: the log says no more of the bias than that says of the value
    kin_value, kin_terms = estimate_terms("dr" if model else method, logged.reward, raw, model)
    low, high = interval(kin_value, kin_terms, units, way.confidence, way.samples, way.seed, span)
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


def estimate_terms(
    method: str, reward: Numbers, weight: Numbers, model: tuple[Numbers, Numbers] | None, parameter: float | None = None
) -> tuple[float, Numbers]:
    """The value, and the rounds' terms whose mean it is. ``[rounds]``

    IPS: Horvitz & Thompson 1952; SNIPS: Swaminathan & Joachims 2015, its terms linearised (delta method); DR: Dudik et al. 2011;
    SWITCH-DR: Wang et al. 2017; DRos: Su et al. 2020, equation 8.

    Args:
        model: expected reward of the logged action, and that under the policy. ``[rounds]`` each
    """
    if method == "ips":
        terms = weight * reward
    elif method == "snips":
        mean = weight.mean()
        if mean == 0:
            return float("nan"), np.full(len(weight), np.nan)
        value = float((weight * reward).mean() / mean)
        return value, value + weight * (reward - value) / mean
    else:
        assert model is not None
        of_logged, of_policy = model
        terms = of_policy + _corrected(method, weight, parameter) * (reward - of_logged)
    return float(terms.mean()), terms


def _corrected(method: str, weight: Numbers, parameter: float | None) -> Numbers:
    """The weights with which residuals of the model count. ``[rounds]``"""
    if method == "dm":
        return np.zeros_like(weight)
    if method == "dr":
        return weight
    assert parameter is not None
    if method == "switch-dr":
        return np.where(weight <= parameter, weight, 0.0)
    if np.isinf(parameter):
        return weight
    return parameter * weight / np.where(weight > 0, np.square(weight) + parameter, 1.0)


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


def candidates(method: str, weight: Numbers) -> Sequence[float]:
    """Values of the hyper-parameter, the least biased first: infinite is DR, 0 DM."""
    positive = weight[weight > 0]
    if not len(positive):
        return [np.inf, 0.0]
    inner = np.quantile(positive, np.linspace(1, 0.05, CANDIDATES - 2)) ** (1 if method == "switch-dr" else 2)
    return [np.inf, *np.unique(inner)[::-1].tolist(), 0.0]


def _slope(method: str, logged: Logged, weight: Numbers, model: tuple[Numbers, Numbers] | None, units: Units) -> float:
    """Lepski's principle (SLOPE, Su, Srinath & Krishnamurthy 2020): the most biased candidate that still agrees with all less biased.

    Half-widths are two standard errors, which only the log tells: the truth plays no part.
    """
    tried: list[tuple[float, float]] = []
    chosen = np.inf
    for parameter in candidates(method, weight):
        value, terms = estimate_terms(method, logged.reward, weight, model, parameter)
        half = 2 * units.error(value, terms)
        half = min([half, *(other for _, other in tried)])  # SLOPE asks for widths that never grow
        if any(abs(value - v) > half + (np.sqrt(6) - 1) * h for v, h in tried):
            break
        tried.append((value, half))
        chosen = parameter
    return float(chosen)


def _most(reward: Numbers) -> float:
    return float(np.abs(reward).max(initial=0))
