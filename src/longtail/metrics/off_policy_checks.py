"""What of a log, and of the policy that is asked about, cannot be (errors), and what makes a value doubtful (warnings)."""

import numpy as np
from numpy.typing import NDArray

from longtail.contracts.errors import UserError
from longtail.metrics.off_policy_intervals import Units

Numbers = NDArray[np.float64]
SUM_TOLERANCE = 1e-4  # probabilities come from files with a few digits
DOUBTFUL = 3.0  # standard errors by which a mean weight may be off 1
LEAST_ROUNDS = 100  # effective ones, below which a warning is given
UNSUPPORTED = 1e-3  # share of the policy's actions that the log may lack without a warning


def check_numbers(action: NDArray[np.int64], reward: Numbers, propensity: Numbers) -> None:
    """
    Raises:
        UserError: naming the first round that cannot be.
    """
    if not len(action) == len(reward) == len(propensity):
        raise UserError(
            f"the log has {len(action)} actions, {len(reward)} rewards and {len(propensity)} propensities; give one each a round"
        )
    if not len(action):
        raise UserError("the log has no rounds; give one with rows")
    _refuse(~np.isfinite(reward), reward, "reward", "is not a number")
    _refuse(~np.isfinite(propensity), propensity, "propensity", "is missing")
    _refuse(propensity <= 0, propensity, "propensity", "must be above 0: what was shown can be shown")
    _refuse(propensity > 1 + 1e-9, propensity, "propensity", "is above 1")
    _refuse(np.asarray(action) < 0, action, "action", "must be a code from 0")


def _refuse(faulty: NDArray[np.bool_], values: NDArray[np.generic], name: str, why: str) -> None:
    if faulty.any():
        row = int(faulty.argmax())
        more = f" (and {int(faulty.sum()) - 1} more)" if faulty.sum() > 1 else ""
        raise UserError(f"round {row}{more}: {name} {values[row]} {why}; mend the log or leave these rounds out")


def check_probabilities(probabilities: Numbers, action: NDArray[np.int64]) -> None:
    """
    Raises:
        UserError: they are not of these rounds, none at all, or do not sum to one.
    """
    if len(probabilities) != len(action) or probabilities.ndim not in (1, 2):
        raise UserError(
            f"the policy's probabilities have the shape {probabilities.shape}, the log {len(action)} rounds; give [rounds, actions]"
        )
    off = ~np.isfinite(probabilities) | (probabilities < 0) | (probabilities > 1 + SUM_TOLERANCE)
    if off.any():
        place = tuple(int(part) for part in np.argwhere(off)[0])
        raise UserError(
            f"round {place[0]}: the policy's probability {probabilities[place]} is not one; give numbers between 0 and 1"
        )
    if probabilities.ndim == 2:
        if probabilities.shape[1] <= action.max():
            raise UserError(
                f"the policy has probabilities of {probabilities.shape[1]} actions, the log took action {action.max()}"
            )
        sums = probabilities.sum(axis=1)
        wrong = np.abs(sums - 1) > SUM_TOLERANCE
        if wrong.any():
            row = int(wrong.argmax())
            raise UserError(
                f"round {row}: the policy's probabilities sum to {sums[row]:.6g} (so in {int(wrong.sum())} rounds); they must sum to 1"
            )


def warnings_about(
    action: NDArray[np.int64],
    position: NDArray[np.int64] | None,
    probabilities: Numbers,
    weight: Numbers,
    units: Units,
) -> tuple[str, ...]:
    found = []
    lacking = unsupported_share(action, position, probabilities) if probabilities.ndim == 2 else 0.0
    if lacking > UNSUPPORTED:
        found.append(
            f"{lacking:.1%} of what the policy would do was never done in the log (at that position): IPS counts it as worth nothing, "
            "and no estimator can know"
        )
    mean, error = mean_weight(weight, units)
    if abs(mean - 1) > DOUBTFUL * error + 1e-6:
        found.append(
            f"the mean weight is {mean:.3f}, {abs(mean - 1) / error if error else np.inf:.1f} standard errors from 1: the propensities are "
            "not those of the log, or the log lacks what the policy does"
        )
    squares = float(np.square(weight).sum())
    ess = float(weight.sum()) ** 2 / squares if squares else 0.0
    if ess < LEAST_ROUNDS:
        found.append(f"the log says as much as {ess:.0f} rounds of the policy's own: too few to trust the interval")
    return tuple(found)


def mean_weight(weight: Numbers, units: Units) -> tuple[float, float]:
    """Mean of the weights, 1 in expectation where propensities are right and the log supports the policy, and its error."""
    mean = float(weight.mean())
    return mean, units.error(mean, weight)


def propensity_sum(propensity: Numbers, n_actions: int, units: Units) -> tuple[float, float]:
    """Mean of 1 / (propensity x actions) and its error: 1 in expectation where the propensities of all actions sum to one.

    It is the mean weight of the policy that takes all actions alike. Below 1 the log may lack actions, too.
    """
    return mean_weight(1 / (propensity * n_actions), units)


def unsupported_share(action: NDArray[np.int64], position: NDArray[np.int64] | None, probabilities: Numbers) -> float:
    """Share of the policy's probability on actions that the log never took, at that position."""
    place = np.zeros(len(action), np.int64) if position is None else np.unique(position, return_inverse=True)[1]
    seen = np.zeros((int(place.max()) + 1, probabilities.shape[1]), dtype=bool)
    seen[place, action] = True
    return float(np.where(seen[place], 0.0, probabilities).sum(axis=1).mean())
