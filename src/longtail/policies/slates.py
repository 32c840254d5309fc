"""The value of a policy by a log of whole lists, whose propensities are given those before: as ``longtail``'s server explores.

The value of a list is the sum of its places' rewards.
"""

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from longtail.contracts.errors import UserError
from longtail.metrics.off_policy import Estimate, Way
from longtail.metrics.off_policy_checks import DOUBTFUL, LEAST_ROUNDS, mean_weight
from longtail.metrics.off_policy_intervals import Units
from longtail.metrics.off_policy_slates import Slates, cascade_dr, reward_interaction, standard
from longtail.policies.asked import Asked
from longtail.policies.evaluating import Evaluation
from longtail.policies.logs import LogTable
from longtail.policies.reward_model import cross_fitted, hindrance

Numbers = NDArray[np.float64]


def evaluate_slates(log: LogTable, asked: Asked, way: Way) -> Evaluation:
    """By ``standard`` and ``reward-interaction`` IPS, and ``cascade-dr`` where a reward model can be held.

    Raises:
        UserError: the log tells no positions, or two items of a list have one.
    """
    assert log.slate is not None
    place = _places(log)
    shape = int(log.slate.max()) + 1, int(place.max()) + 1

    def spread(values: Numbers, empty: float) -> Numbers:  # [slates, places]
        found = np.full(shape, empty)
        found[log.slate, place] = values
        return found

    user = None
    if log.logged.user is not None:
        user = np.zeros(shape[0], dtype=np.int64)
        user[log.slate] = log.logged.user
    reward = spread(log.logged.reward, 0.0)
    slates = Slates(reward, spread(asked.of_logged / log.logged.propensity, 1.0), user)
    own = standard(Slates(reward, np.ones(shape), user), way)
    estimates, left_out = [standard(slates, way), reward_interaction(slates, way)], {}
    why = hindrance(log.logged, len(asked.actions))
    if why is not None:
        left_out["cascade-dr"] = why
    else:
        assert asked.of_all is not None  # the same limit of numbers
        expected = cross_fitted(log.logged, len(asked.actions), seed=way.seed)
        of_shown = spread(expected[np.arange(len(place)), log.logged.action], 0.0)
        of_policy = spread((asked.of_all * expected).sum(axis=1), 0.0)
        later = of_policy.sum(axis=1, keepdims=True) - of_policy.cumsum(axis=1)  # of the places after this one
        estimates.append(cascade_dr(slates, of_shown + later, of_policy + later, way))
    return Evaluation(own, tuple(estimates), left_out, _warnings(slates, estimates))


def _places(log: LogTable) -> NDArray[np.int64]:
    """Of each row in its list, from 0, by position. ``[rows]``"""
    assert log.slate is not None
    if log.logged.position is None:
        raise UserError(f"{log.address}: has lists ({log.columns['slate']}), but no position; add the column position")
    order = np.lexsort((log.logged.position, log.slate))
    slate, position = log.slate[order], log.logged.position[order]
    twice = (np.diff(slate) == 0) & (np.diff(position) == 0)
    if twice.any():
        row = log.rows[order][1:][twice][0]
        raise UserError(
            f"{log.address}: row {row}: its list has two items at position {position[1:][twice][0]}; mend it"
        )
    starts = np.flatnonzero(np.concatenate([[True], np.diff(slate) > 0]))
    place = np.empty(len(order), dtype=np.int64)
    place[order] = np.arange(len(order)) - np.repeat(starts, np.diff([*starts, len(order)]))
    return place


def _warnings(slates: Slates, estimates: Sequence[Estimate]) -> tuple[str, ...]:
    mean, error = mean_weight(slates.ratio.prod(axis=1), Units.of(slates.user, len(slates.ratio)))
    found = list(dict.fromkeys(warning for estimate in estimates for warning in estimate.warnings))
    if abs(mean - 1) > DOUBTFUL * error + 1e-6:
        found.append(
            f"the mean weight of whole lists is {mean:.3f}, not 1: propensities are not those of the log, or it lacks lists of the policy"
        )
    if estimates[0].ess < LEAST_ROUNDS:
        found.append(
            f"the log says as much as {estimates[0].ess:.0f} lists of the policy's own: too few to trust the interval"
        )
    return tuple(found)
