"""Probability that a user returns within a horizon, learnt at an earlier moment whose outcome is known by now."""

from dataclasses import dataclass

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from pydantic import Field

from longtail.campaign.states import StateSettings
from longtail.contracts.settings_base import Settings


class ReturnSettings(Settings):
    """How the probability to return is learnt."""

    horizon_days: float = Field(30.0, gt=0, description="Days within which an event counts as a return.")


@dataclass(frozen=True)
class Returning:
    """``probability`` [users]: nan where it cannot be learnt. ``unknown``: why, where that is so for all; else None.

    ``quality``: of earlier users that no model had seen: users, outcomes, base_rate, brier, skill, reliability (bins).
    """

    probability: NDArray[np.float64]
    unknown: str | None
    quality: dict[str, object] | None


def return_probability(
    events: pd.DataFrame,
    states: pd.DataFrame,
    at: int,
    settings: ReturnSettings,
    state_settings: StateSettings,
    seed: int,
) -> Returning:
    """Probability of an event in [at, at + horizon) for each row of ``states`` (those of ``user_states`` at ``at``)."""
    raise NotImplementedError
