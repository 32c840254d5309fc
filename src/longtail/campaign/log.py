"""Reading a log of contacts that were drawn at random, whatever file it comes as."""

import pandas as pd

from longtail.contracts.campaign import NOBODY


def read_log(uri: str, control: str = NOBODY) -> pd.DataFrame:
    """One row a user: the columns of ``LogColumns`` that the file holds, ids and treatments as canonical text, times as int64
    microseconds, numbers as float64; then every other column, which are features.

    Raises:
        UserError: naming file, row and column, and the remedy: a column is missing; no user, treatment, time or outcome; a user
            twice; an arm empty; an outcome before its treatment; a propensity that is missing, 0 or above 1, or not the arms' shares.
    """
    raise NotImplementedError
