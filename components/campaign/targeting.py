"""Five ways to say whom a message is worth most to: four that people use, and uplift, which learns it from earlier messages."""

from dataclasses import dataclass

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from longtail.campaign.how import UpliftSettings
from longtail.campaign.uplift import learn_effects
from longtail.contracts.campaign import EffectColumns, StateColumns

TARGETINGS = ("random", "popularity", "rfm", "propensity", "uplift")
WINNABLE = ("at_risk", "dormant", "active", "new", "never")  # states in the order in which an RFM rule writes to them

Floats = NDArray[np.float64]


@dataclass(frozen=True)
class Moment:
    """What is known when a campaign is planned. log: randomised contacts of earlier campaigns, features: beside its rows."""

    states: pd.DataFrame  # one row a user; with the probability to return for propensity alone
    about: pd.DataFrame  # one row a user: user_id, states and attributes
    log: pd.DataFrame
    features: pd.DataFrame


def worth(targeting: str, moment: Moment, channels: tuple[str, ...], learner: UpliftSettings, seed: int) -> Floats:
    """Worth of a message by each channel, in any unit, larger is better; 0 and below is not worth one. [users, channels]

    All but uplift take the channels for equal and choose one at random.
    """
    rng = np.random.default_rng([seed, 2])
    if targeting == "uplift":
        return _effects(moment, channels, learner, seed)
    score = {"random": _random, "popularity": _frequency, "rfm": _rfm, "propensity": _propensity}[targeting]
    users = len(moment.states)
    order = np.argsort(np.lexsort((rng.random(users), score(moment.states, rng))))  # [users], 0 is the least worth
    return ((order + 1.0) / users)[:, None] + rng.random((users, len(channels))) / (2 * users)


def _random(states: pd.DataFrame, rng: np.random.Generator) -> Floats:
    return rng.random(len(states))


def _frequency(states: pd.DataFrame, rng: np.random.Generator) -> Floats:
    return states[StateColumns.EVENTS].to_numpy(np.float64)


def _rfm(states: pd.DataFrame, rng: np.random.Generator) -> Floats:
    """Win-back rule: users at risk first, then those gone; within a state by quintiles of frequency and money, the recent first."""
    place = states[StateColumns.STATE].map({name: -rank for rank, name in enumerate(WINNABLE)}).to_numpy(np.float64)
    quintiles = sum(
        np.ceil(5 * states[column].fillna(0.0).rank(pct=True).to_numpy(np.float64))
        for column in (StateColumns.EVENTS, StateColumns.USUAL_VALUE)
    )
    recent = 1.0 - states[StateColumns.DAYS_SINCE_LAST].rank(pct=True).fillna(1.0).to_numpy(np.float64)
    return np.asarray(100.0 * place + quintiles + recent)


def _propensity(states: pd.DataFrame, rng: np.random.Generator) -> Floats:
    returns = states[StateColumns.RETURNS].to_numpy(np.float64)
    return np.where(np.isnan(returns), 0.0, returns)  # unknown of users without events


def _effects(moment: Moment, channels: tuple[str, ...], learner: UpliftSettings, seed: int) -> Floats:
    found = learn_effects(moment.log, moment.features, moment.about, learner, seed)
    wide = found.pivot(index=EffectColumns.USER, columns=EffectColumns.TREATMENT, values=EffectColumns.EFFECT)
    return wide.loc[moment.states[StateColumns.USER], list(channels)].to_numpy(np.float64)
