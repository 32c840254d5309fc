"""Ranking without a log of random contacts: by what would be recovered if a user came as usual again. The effect is unknown."""

import pandas as pd

UNKNOWN_EFFECT = (
    "no log of randomised contacts is given: users are ranked by what is recoverable, and what a contact changes is unknown until "
    "the hold-out of this campaign has been measured"
)


def recoverable_value(states: pd.DataFrame, horizon_days: float) -> pd.Series:
    """Expected value that was usual within the horizon and is now missing, one number a row of ``states`` (with return_probability).

    usual = 1 - exp(-horizon / expected gap), the probability to come at least once at the usual rate; recoverable =
    max(usual - return_probability, 0) x usual value of an event (1 where there are no values); missing where unknown.
    """
    raise NotImplementedError
