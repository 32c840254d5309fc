"""The value of a policy by every estimator, beside what the log's own policy was worth, and what speaks against them."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from longtail.metrics.off_policy import BY_MODEL, METHODS, Estimate, Logged, Method, Way, value_of
from longtail.metrics.off_policy_checks import DOUBTFUL, propensity_sum
from longtail.metrics.off_policy_intervals import Units
from longtail.policies.asked import Asked
from longtail.policies.reward_model import cross_fitted


@dataclass(frozen=True)
class Evaluation:
    """logged: of the log's own policy, a plain mean. left_out: method -> why it is none of ``estimates``."""

    logged: Estimate
    estimates: tuple[Estimate, ...]
    left_out: dict[str, str]
    warnings: tuple[str, ...]


def evaluate(logged: Logged, asked: Asked, way: Way, methods: Sequence[Method] = METHODS) -> Evaluation:
    """
    Raises:
        UserError: what ``value_of`` and ``cross_fitted`` raise.
    """
    usable = [name for name in methods if asked.of_all is not None or name not in BY_MODEL]
    too_many = "too many rounds and actions for a reward model"
    expected = None
    if asked.of_all is not None and set(usable) & set(BY_MODEL):
        expected = cross_fitted(logged, len(asked.actions), seed=way.seed)
    probabilities = asked.of_logged if asked.of_all is None else asked.of_all
    estimates = tuple(value_of(logged, probabilities, expected, name, way) for name in usable)
    shared = dict.fromkeys(warning for estimate in estimates for warning in estimate.warnings)
    return Evaluation(
        own_value(logged, way),
        estimates,
        {name: too_many for name in methods if name not in usable},
        (*_about_log(logged, len(asked.actions)), *shared),
    )


def own_value(logged: Logged, way: Way) -> Estimate:
    """What the log's own policy was worth: IPS with weights of 1."""
    return value_of(logged, logged.propensity, None, "ips", way)


def _about_log(logged: Logged, n_actions: int) -> tuple[str, ...]:
    """Whether 1 / propensity averages to the number of actions, as it must where the propensities of all sum to one."""
    place: NDArray[np.int64] = np.zeros(len(logged), np.int64) if logged.position is None else logged.position
    found = []
    for position in np.unique(place):
        rows = place == position
        user = None if logged.user is None else logged.user[rows]
        share, error = propensity_sum(logged.propensity[rows], n_actions, Units.of(user, int(rows.sum())))
        if abs(share - 1) > DOUBTFUL * error + 1e-6:
            where = "" if logged.position is None else f" at position {position}"
            found.append(
                f"1 / propensity averages to {share * n_actions:.4g}{where} (standard error {error * n_actions:.2g}), with {n_actions} items: "
                "the propensities of all items do not sum to one, or some items could not be shown"
            )
    return tuple(found)
