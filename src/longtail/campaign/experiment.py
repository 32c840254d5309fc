"""A log of random contacts as arrays."""

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from longtail.contracts.campaign import LogColumns
from longtail.contracts.errors import UserError
from longtail.metrics.uplift import Trial

LEAST_USERS = 100  # of an arm
Numbers = NDArray[np.float64]


@dataclass(frozen=True)
class Experiment:
    """A log as arrays. x [users, columns]; outcome, weight, propensity [users]; value [users] or None; arm [users] codes of ``arms``."""

    x: Numbers
    arm: NDArray[np.int64]
    outcome: Numbers
    value: Numbers | None
    propensity: Numbers
    propensity_varies: bool
    arms: list[str]
    costs: Numbers  # [arms]

    def trial(self, code: int, result: Numbers) -> tuple[NDArray[np.bool_], Trial]:
        """Users of an arm and of control, and their trial."""
        pair = (self.arm == 0) | (self.arm == code)
        return pair, Trial.of(result[pair], self.arm[pair] == code, 1 / self.propensity[pair])


def checked(log: pd.DataFrame, features: pd.DataFrame) -> pd.DataFrame:
    """The features, where they can be those of the log."""
    if len(log) != len(features):
        raise UserError(
            f"the log has {len(log)} rows and its features {len(features)}; give one row of features a row of the log"
        )
    known_after = [
        name
        for name in (LogColumns.OUTCOME, LogColumns.VALUE, LogColumns.COST, LogColumns.TREATMENT)
        if name in features
    ]
    if known_after:
        raise UserError(
            f"the features hold the log's column {known_after[0]!r}, which is not known before the contact; leave it out"
        )
    return features


def experiment_of(log: pd.DataFrame, x: Numbers, control: str, costs: Mapping[str, float]) -> Experiment:
    """The arrays of a log of ``read_log``; x: its features, [rows, columns].

    costs: of one contact by treatment; of one not named here the log's mean cost, or 0.

    Raises:
        UserError: an arm has too few users, all outcomes are alike, or a cost is of no treatment.
    """
    counts = log[LogColumns.TREATMENT].value_counts()
    arms = [control, *sorted(set(counts.index) - {control})]
    for name in arms:
        if counts.get(name, 0) < LEAST_USERS:
            raise UserError(
                f"treatment {name!r} was drawn for {counts.get(name, 0)} users of the log; {LEAST_USERS} are needed to learn what it "
                "changes. Give a log with more, or leave its rows out"
            )
    if len(arms) == 1:
        raise UserError(f"everybody in the log has the treatment {arms[0]!r}; keep rows of users who were contacted")
    unknown = sorted(set(costs) - set(arms[1:]))
    if unknown:
        raise UserError(f"costs: there is no treatment {unknown[0]!r} in the log; known are {', '.join(arms[1:])}")
    outcome = log[LogColumns.OUTCOME].to_numpy(np.float64)
    if np.ptp(outcome) == 0:
        raise UserError(
            f"the outcome is {outcome[0]:g} in every row of the log, so nothing can be learnt; give those after the contact"
        )
    arm = pd.Index(arms).get_indexer(log[LogColumns.TREATMENT]).astype(np.int64)
    shares = np.bincount(arm) / len(arm)
    propensity, varies = shares[arm], False
    if LogColumns.PROPENSITY in log:
        propensity = log[LogColumns.PROPENSITY].to_numpy(np.float64)
        varies = any(np.ptp(propensity[arm == code]) > 1e-9 for code in range(len(arms)))
    value = log[LogColumns.VALUE].to_numpy(np.float64) if LogColumns.VALUE in log else None
    cost = np.array([0.0, *(costs.get(name, _paid(log, name)) for name in arms[1:])])
    return Experiment(x, arm, outcome, value, propensity, varies, arms, cost)


def _paid(log: pd.DataFrame, treatment: str) -> float:
    """Mean cost of a treatment in the log."""
    if LogColumns.COST not in log:
        return 0.0
    return float(log.loc[log[LogColumns.TREATMENT] == treatment, LogColumns.COST].mean())
