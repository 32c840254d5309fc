"""The terms of every estimator, whose mean is the value, and the choice of their hyper-parameter from the log alone."""

from collections.abc import Sequence
from typing import Literal, get_args

import numpy as np
from numpy.typing import NDArray

from longtail.metrics.off_policy_intervals import Units

Numbers = NDArray[np.float64]
Method = Literal["ips", "snips", "dm", "dr", "switch-dr", "dros"]
METHODS: tuple[Method, ...] = get_args(Method)
BY_MODEL = ("dm", "dr", "switch-dr", "dros")  # these need the expected rewards
CANDIDATES = 12  # values of a method's hyper-parameter that are tried


def estimate_terms(
    method: str, reward: Numbers, weight: Numbers, model: tuple[Numbers, Numbers] | None, parameter: float | None = None
) -> tuple[float, Numbers]:
    """The value, and the rounds' terms whose mean it is. ``[rounds]``

    IPS: Horvitz & Thompson 1952; SNIPS: Swaminathan & Joachims 2015, its terms linearised (delta method); DR: Dudik et al. 2011;
    SWITCH-DR: Wang et al. 2017; DRos: Su et al. 2020.

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


def candidates(method: str, weight: Numbers) -> Sequence[float]:
    """Values of the hyper-parameter, the least biased first: infinite is DR, 0 DM."""
    positive = weight[weight > 0]
    if not len(positive):
        return [np.inf, 0.0]
    inner = np.quantile(positive, np.linspace(1, 0.05, CANDIDATES - 2)) ** (1 if method == "switch-dr" else 2)
    return [np.inf, *np.unique(inner)[::-1].tolist(), 0.0]


def slope(method: str, reward: Numbers, weight: Numbers, model: tuple[Numbers, Numbers] | None, units: Units) -> float:
    """Lepski's principle (SLOPE, Su, Srinath & Krishnamurthy 2020): the most biased candidate that still agrees with all less biased.

    Half-widths are two standard errors, which only the log tells: the truth plays no part.
    """
    tried: list[tuple[float, float]] = []
    chosen = np.inf
    for parameter in candidates(method, weight):
        value, terms = estimate_terms(method, reward, weight, model, parameter)
        half = 2 * units.error(value, terms)
        half = min([half, *(other for _, other in tried)])  # SLOPE asks for widths that never grow
        if any(abs(value - v) > half + (np.sqrt(6) - 1) * h for v, h in tried):
            break
        tried.append((value, half))
        chosen = parameter
    return float(chosen)
