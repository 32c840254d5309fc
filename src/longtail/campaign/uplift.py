"""What a contact changes for each user, learnt from a log whose treatment was drawn at random."""

from dataclasses import dataclass
from typing import Any, Literal

import pandas as pd
from pydantic import Field

from longtail.contracts.campaign import NOBODY
from longtail.contracts.settings_base import Settings


class UpliftSettings(Settings):
    """How effects are learnt."""

    control: str = Field(NOBODY, description="The treatment that is no contact, as the log names it.")
    learner: Literal["auto", "s", "t", "x", "dr", "none"] = Field("auto", description="...")
    costs: dict[str, float] = Field({}, description="Cost of one contact by treatment, in the unit of values.")


@dataclass(frozen=True)
class Effects:
    """table: columns of ``EffectColumns``, one row an asked user and treatment. quality, randomisation: JSON documents."""

    table: pd.DataFrame
    quality: dict[str, Any]
    randomisation: dict[str, Any]


def estimate_effects(
    log: pd.DataFrame, features: pd.DataFrame, asked: pd.DataFrame, settings: UpliftSettings, seed: int
) -> Effects:
    """Effects of every treatment on outcome and value of the users who are asked about.

    Args:
        log: of ``read_log``.
        features: [rows of log, features], numeric or categorical, known before the contact; row i belongs to row i of log.
        asked: user_id and the same features, one row a user.

    Raises:
        UserError: the treatment can be told from the features, so it was not random; too few users in an arm; features that differ.
    """
    raise NotImplementedError
