"""The value of a policy by every estimator, beside what the log's own policy was worth, and what speaks against them."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from longtail.metrics.off_policy import Estimate, Logged, Way, gain_over_log, value_of
from longtail.metrics.off_policy_checks import DOUBTFUL, propensity_sum
from longtail.metrics.off_policy_intervals import Units
from longtail.metrics.off_policy_terms import BY_MODEL, METHODS, Method
from longtail.policies.asked import Asked
from longtail.policies.reward_model import cross_fitted, hindrance


@dataclass(frozen=True)
class Evaluation:
    """logged: of the log's own policy, a plain mean. left_out: method -> why it is none of ``estimates``. gain: over the log's policy,
    paired; None of lists."""

    logged: Estimate
    estimates: tuple[Estimate, ...]
    left_out: dict[str, str]
    warnings: tuple[str, ...]
    gain: Estimate | None = None


def evaluate(logged: Logged, asked: Asked, way: Way, methods: Sequence[Method] = METHODS) -> Evaluation:
    """
    Raises:
        UserError: what ``value_of`` and ``cross_fitted`` raise.
    """
    n_actions = len(asked.actions)
    why = hindrance(logged, n_actions)
    expected = cross_fitted(logged, n_actions, seed=way.seed) if why is None and set(methods) & set(BY_MODEL) else None
    usable = [name for name in methods if why is None or name not in BY_MODEL]
    probabilities = asked.of_logged if asked.of_all is None else asked.of_all
    estimates = tuple(value_of(logged, probabilities, expected, name, way) for name in usable)
    shared = dict.fromkeys(warning for estimate in estimates for warning in estimate.warnings)
    return Evaluation(
        own_value(logged, way),
        estimates,
        {name: why for name in methods if why and name not in usable},
        (*_about_log(logged, n_actions), *shared),
        gain_over_log(logged, probabilities, expected, way),
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
