"""Ranking without a log of random contacts: by what would be recovered if a user came as usual again. The effect is unknown."""

import numpy as np
import pandas as pd

from longtail.contracts.campaign import StateColumns
from longtail.contracts.errors import UserError

UNKNOWN_EFFECT = (
    "no log of randomised contacts is given: users are ranked by what is recoverable, and what a contact changes is unknown until "
    "the hold-out of this campaign has been measured"
)


def recoverable_value(states: pd.DataFrame, horizon_days: float) -> "pd.Series[float]":
    """What was usual within the horizon and is now expected to be missing, a number a row of ``states``.

    usual = 1 - exp(-horizon / expected gap), the probability to come at least once at the usual rate; recoverable =
    max(usual - return_probability, 0) x usual value of an event (1 where no event has a value: then it counts returns). Missing where
    the probability or the gap is unknown, as of users without events. It is an upper bound of nothing and no effect: a contact may
    recover all of it, none, or drive users away.

    states: of ``user_states``, with ``return_probability`` of the same horizon.

    Raises:
        UserError: ``return_probability`` is not there.
    """
    if StateColumns.RETURNS not in states:
        raise UserError(f"states have no column {StateColumns.RETURNS}; ask return_probability first")
    usual = 1 - np.exp(-horizon_days / states[StateColumns.EXPECTED_GAP_DAYS])
    value = states[StateColumns.USUAL_VALUE]
    worth = value.fillna(value.median()) if value.notna().any() else 1.0
    missing = (usual - states[StateColumns.RETURNS]).clip(lower=0)
    found: pd.Series[float] = (missing * worth).rename("recoverable")
    return found
