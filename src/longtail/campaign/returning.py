"""Probability that a user returns within a horizon, learnt at an earlier moment whose outcome is known by now.

Features are the states one horizon ago; the outcome is an event since. So nothing is used that was not known at the decision moment,
and every event is either before the earlier moment or after it. What differs between the two horizons (a season, a sale) is not learnt.
"""

from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from longtail.campaign.how import ReturnSettings, StateSettings
from longtail.campaign.states import user_states
from longtail.contracts.campaign import StateColumns
from longtail.contracts.columns import DAY, Columns

LEAST_USERS = 200  # with events before the earlier moment
LEAST_OUTCOMES = 30  # returned, and not returned
LEAST_ISOTONIC = 2000  # returns from which on the calibration need not be a straight line
FOLDS = 5
BINS = 10
AT_ONCE = 200_000  # rows predicted at a time
FEATURES = (
    StateColumns.EVENTS,
    StateColumns.DAYS_SINCE_FIRST,
    StateColumns.DAYS_SINCE_LAST,
    StateColumns.USUAL_GAP_DAYS,
    StateColumns.TREND,
    StateColumns.USUAL_VALUE,
)
Numbers = NDArray[np.float64]


@dataclass(frozen=True)
class Returning:
    """``probability``: [users], nan where it cannot be learnt. ``unknown``: why, where that is so for all; else None.

    ``quality``: of users of the earlier moment whom no model had seen: users, returned, base_rate, brier, brier_of_base_rate, skill
    (1 - their ratio) and reliability, a list of bins with users, predicted, observed, low, high. None where nothing is learnt.
    """

    probability: Numbers
    unknown: str | None
    quality: dict[str, Any] | None


def return_probability(
    events: pd.DataFrame,
    states: pd.DataFrame,
    at: int,
    settings: ReturnSettings,
    state_settings: StateSettings,
    seed: int,
) -> Returning:
    """Probability of an event in [at, at + horizon) for each row of ``states``.

    Of users without events it stays unknown: who of them existed and did not come is not in a log of events.

    Args:
        events: as for ``user_states``; what is at or after ``at`` is not read.
        states: of ``user_states`` at ``at``.
    """
    nothing = np.full(len(states), np.nan)
    earlier = at - round(settings.horizon_days * DAY)
    times = events[Columns.TIMESTAMP].to_numpy()
    past = events.loc[times < earlier]
    since = events.loc[(times >= earlier) & (times < at)]
    users = _drawn(past, states, settings.most_users, seed)
    if len(users) < LEAST_USERS:
        return Returning(nothing, _too_few(f"{len(users)} users had events", LEAST_USERS, settings), None)
    # of the states only numbers are used: they are named by the rule that needs no usual gap, and by that rule's own limits
    unnamed = {"rule": "quantiles", "at_risk_after": None, "dormant_after": None}
    before = user_states(past, users, earlier, state_settings.model_copy(update=unnamed))
    returned = before[StateColumns.USER].isin(since[Columns.USER].unique()).to_numpy()
    fewer = min(int(returned.sum()), int((~returned).sum()))
    if fewer < LEAST_OUTCOMES:
        what = "returned" if returned.sum() == fewer else "did not return"
        return Returning(nothing, _too_few(f"{fewer} of {len(users)} users {what}", LEAST_OUTCOMES, settings), None)
    x = _matrix(before)
    given = ~np.isnan(x).all(axis=0)  # as of values, which not every shop has
    model, quality = _fit(x[:, given], returned, seed)
    known = (states[StateColumns.EVENTS] > 0).to_numpy()
    x = _matrix(states.loc[known])[:, given]
    parts = [model.predict_proba(x[begin : begin + AT_ONCE])[:, 1] for begin in range(0, len(x), AT_ONCE)]
    nothing[known] = np.concatenate([np.zeros(0), *parts])
    return Returning(nothing, None, quality)


def _too_few(found: str, needed: int, settings: ReturnSettings) -> str:
    return (
        f"the probability to return within {settings.horizon_days:g} days cannot be learnt: {found} one horizon before the moment, and "
        f"{needed} are needed; give a longer history, or another horizon_days"
    )


def _drawn(past: pd.DataFrame, states: pd.DataFrame, most: int, seed: int) -> NDArray[np.object_]:
    """Users of ``states`` with events in the past, sorted; at most so many, at random."""
    came = states[StateColumns.USER].isin(past[Columns.USER].unique())
    users = states[StateColumns.USER].to_numpy(dtype=object)[came.to_numpy()]
    if len(users) > most:
        users = users[np.sort(np.random.default_rng(seed).choice(len(users), most, replace=False))]
    return users


def _matrix(states: pd.DataFrame) -> Numbers:
    """``[users, features]``, nan where there is no gap, trend or value; the last one is the time away in usual gaps."""
    away = states[StateColumns.DAYS_SINCE_LAST] / states[StateColumns.USUAL_GAP_DAYS]
    return np.column_stack([states[list(FEATURES)].to_numpy(np.float64), away.to_numpy(np.float64)])


def _fit(x: Numbers, returned: NDArray[np.bool_], seed: int) -> tuple[Any, dict[str, Any]]:
    """A calibrated model of all users, and how well the same fits users that it has not seen."""
    from sklearn.calibration import CalibratedClassifierCV
    from sklearn.ensemble import HistGradientBoostingClassifier
    from sklearn.model_selection import StratifiedKFold, cross_val_predict

    trees = HistGradientBoostingClassifier(
        max_iter=100, learning_rate=0.05, max_leaf_nodes=15, min_samples_leaf=30, random_state=seed
    )
    method = "isotonic" if min(returned.sum(), (~returned).sum()) >= LEAST_ISOTONIC else "sigmoid"
    folds = StratifiedKFold(FOLDS, shuffle=True, random_state=seed)
    model = CalibratedClassifierCV(trees, method=method, cv=folds, ensemble=False)
    unseen = cross_val_predict(model, x, returned, cv=folds, method="predict_proba")[:, 1]
    return model.fit(x, returned), describe(unseen, returned)


def describe(predicted: Numbers, returned: NDArray[np.bool_], bins: int = BINS) -> dict[str, Any]:
    """Brier score, its skill against the base rate, and the reliability table in bins of as many users each.

    Intervals are Wilson's (1927) at 95 %. The skill is 1 - Brier / Brier of the base rate: 0 knows no more than the base rate.
    """
    base = float(returned.mean())
    brier, of_base = float(np.square(predicted - returned).mean()), base * (1 - base)
    edges = np.unique(np.quantile(predicted, np.linspace(0, 1, bins + 1)[1:-1]))
    group = np.searchsorted(edges, predicted, side="left")
    table = []
    for number in np.unique(group):
        inside = group == number
        low, high = wilson(int(returned[inside].sum()), int(inside.sum()))
        table.append(
            {
                "users": int(inside.sum()),
                "predicted": float(predicted[inside].mean()),
                "observed": float(returned[inside].mean()),
                "low": low,
                "high": high,
            }
        )
    return {
        "users": len(returned),
        "returned": int(returned.sum()),
        "base_rate": base,
        "brier": brier,
        "brier_of_base_rate": of_base,
        "skill": 1 - brier / of_base,
        "reliability": table,
    }


def wilson(count: int, users: int, z: float = 1.959964) -> tuple[float, float]:
    """Interval of a share that was seen ``count`` times among ``users``."""
    share, over = count / users, 1 + z * z / users
    centre = (share + z * z / (2 * users)) / over
    half = z * np.sqrt(share * (1 - share) / users + z * z / (4 * users * users)) / over
    return float(centre - half), float(centre + half)
