"""What is said of predicted effects, from users whom their models had not seen: JSON documents for reports."""

from dataclasses import asdict
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from longtail.metrics.uplift import Ranked, Trial, bootstrap, calibration, policy_value, uplift_by_group

POINTS = 101  # of a curve that a report draws
Numbers = NDArray[np.float64]


class Resampling(NamedTuple):
    """Of users, for intervals."""

    samples: int
    confidence: float
    seed: int


def describe_treatment(effect: Numbers, trial: Trial, resampling: Resampling) -> dict[str, Any]:
    """Average effect, Qini, AUUC, curve with its band, deciles and calibration of one treatment against control, with intervals.

    effect: [users of the trial], out of fold. Intervals are of the users that were drawn, given the effects that were learnt.
    """
    ranked = Ranked(effect, trial)
    average, error = trial.average()
    shares = np.linspace(0, 1, POINTS)

    def curves(times: NDArray[np.integer] | None = None) -> Numbers:
        curve = ranked.qini_curve(times)
        return np.array([*ranked.areas(times), *np.interp(shares, curve.share, curve.gain)])

    found = curves()
    low, high, _ = bootstrap(curves, len(effect), *resampling)
    qini, auuc, effect_of_all = (
        {"estimate": float(value), "low": float(below), "high": float(above)}
        for value, below, above in zip(found[:3], low, high)
    )
    differs = bool(qini["low"] > 0)
    band = {"gain": found[3:].tolist(), "low": low[3:].tolist(), "high": high[3:].tolist()}
    return {
        "users": len(effect),
        "treated": int(trial.treated.sum()),
        "average_effect": effect_of_all | {"standard_error": error, "estimate": average},
        "qini": qini,
        "auuc": auuc | {"at_random": average / 2},
        "better_than_random": differs,
        "said": _said(differs, resampling.confidence),
        "curve": {"share": shares.tolist(), **band},
        "deciles": [asdict(group) for group in uplift_by_group(effect, trial, confidence=resampling.confidence)],
        "calibration": asdict(calibration(effect, trial)),
    }


def _said(differs: bool, confidence: float) -> str:
    if differs:
        return f"the order of users by effect is better than random with {confidence:.0%} confidence"
    return (
        "users cannot be told apart by effect from this log: their order is not shown to be better than random, so the average effect "
        "is all that is known"
    )


def describe_policies(
    gains: Numbers,
    given: NDArray[np.int64],
    reward: Numbers,
    propensity: Numbers,
    arms: list[str],
    resampling: Resampling,
) -> dict[str, Any]:
    """Value for each user, less costs, of giving everybody the action with the greatest predicted gain, beside one action for all.

    Args:
        gains: [users, treatments], predicted out of fold, costs taken off; no contact gains 0.
        given, reward, propensity: [users], of the log; reward has the cost of what was given taken off.
    """
    best = np.concatenate([np.zeros((len(gains), 1)), gains], axis=1).argmax(axis=1)
    chosen = [best, *(np.full(len(given), code) for code in range(len(arms)))]

    def values(times: NDArray[np.integer] | None = None) -> Numbers:
        found = [policy_value(policy, given, reward, propensity, times) for policy in chosen]
        return np.array([*found, *(found[0] - value for value in found[1:])])

    low, high, _ = bootstrap(values, len(given), *resampling)
    rows = [
        {"value": float(value), "low": float(below), "high": float(above)}
        for value, below, above in zip(values(), low, high)
    ]
    shares = np.bincount(best, minlength=len(arms)) / len(best)
    names = ["by effect", *(f"everybody: {name}" for name in arms)]
    return {
        "shares_by_effect": dict(zip(arms, shares.tolist())),
        "policies": [{"policy": name, **row} for name, row in zip(names, rows)],
        "by_effect_over": [{"policy": name, **row} for name, row in zip(names[1:], rows[len(names) :])],
    }
