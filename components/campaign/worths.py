"""What each offer is worth to each user: the effect learnt from a log of random contacts, or else what may be recovered."""

import logging
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from longtail.campaign.log import read_log
from longtail.campaign.recoverable import UNKNOWN_EFFECT, recoverable_value
from longtail.campaign.returning import Returning, return_probability
from longtail.campaign.states import user_states
from longtail.campaign.uplift import estimate_effects
from longtail.components.campaign.settings import CampaignSettings
from longtail.components.campaign.tables import Everybody, check_known
from longtail.contracts.campaign import EffectColumns, LogColumns, StateColumns
from longtail.contracts.columns import DAY, Columns
from longtail.contracts.errors import UserError

logger = logging.getLogger(__name__)


@dataclass(frozen=True)
class Worths:
    """worth: of each offer to each user [users, offers], the cost not yet taken off, nan where unknown; is_effect: whether it is an effect
    and not merely what may be recovered; in_money: whether it is in the unit of costs; about: sentences for the reader; effects, policies
    and randomisation: of ``uplift``, for the plan's facts."""

    worth: NDArray[np.float64]
    is_effect: bool
    in_money: bool
    about: list[str]
    effects: dict[str, Any] = field(default_factory=dict)
    policies: dict[str, Any] = field(default_factory=dict)
    randomisation: dict[str, Any] = field(default_factory=dict)


def states_at(everybody: Everybody, at: int, settings: CampaignSettings, seed: int) -> tuple[pd.DataFrame, Returning]:
    """States of all users with the probability to return, and how that was learnt."""
    states = user_states(everybody.events, everybody.users[Columns.USER].tolist(), at, settings.states)
    returns = return_probability(everybody.events, states, at, settings.returning, settings.states, seed)
    states[StateColumns.RETURNS] = returns.probability
    return states, returns


def worths(
    everybody: Everybody, states: pd.DataFrame, unknown: str | None, settings: CampaignSettings, seed: int
) -> Worths:
    """By the log of the settings; without one by what may be recovered.

    Raises:
        UserError: the log cannot be used, names a user that is not known, or lacks an offer's treatment; or, without a log, nothing is
            known of anybody that could be recovered.
    """
    if settings.log:
        return _all_effects(everybody, states, settings, seed)
    recoverable = recoverable_value(states, settings.horizon_days).to_numpy(np.float64)
    if np.isnan(recoverable).all():
        raise UserError(
            f"users cannot be ranked: {unknown or 'nobody has events'}; or give --log, a log of random contacts"
        )
    in_money = bool(states[StateColumns.USUAL_VALUE].notna().any())
    if settings.value_of_outcome is not None:
        usual = 1 - np.exp(-settings.horizon_days / states[StateColumns.EXPECTED_GAP_DAYS])
        recoverable = (
            np.maximum(usual - states[StateColumns.RETURNS], 0).to_numpy(np.float64) * settings.value_of_outcome
        )
        in_money = True
    nobody = int(np.isnan(recoverable).sum())
    about = [UNKNOWN_EFFECT]
    if nobody:
        about.append(f"{nobody} users without events cannot be ranked that way and are left out")
    return Worths(np.repeat(recoverable[:, None], len(settings.offers), axis=1), False, in_money, about)


def _all_effects(everybody: Everybody, states: pd.DataFrame, settings: CampaignSettings, seed: int) -> Worths:
    """Each log by itself; an offer's effect is that of the first log that holds its treatment."""
    control = settings.uplift.control
    logs = {source: read_log(source, control) for source in settings.log}
    if settings.value_of_outcome is not None:  # it is what an outcome is worth, whatever a log says
        logs = {source: log.drop(columns=LogColumns.VALUE, errors="ignore") for source, log in logs.items()}
    known = pd.Index(everybody.users[Columns.USER])
    for source, log in logs.items():
        check_known(source, log, known)
    treatments = {offer.name: offer.treatment or offer.name for offer in settings.offers}
    held = {source: set(log[LogColumns.TREATMENT]) - {control} for source, log in logs.items()}
    for offer, treatment in treatments.items():
        if not any(treatment in those for those in held.values()):
            raise UserError(
                f"{', '.join(logs)}: holds no treatment {treatment!r}, which offer {offer!r} stands for (it has "
                f"{', '.join(sorted(set().union(*held.values()))) or 'none'}); name one by the offer's setting treatment"
            )
    with_values = {LogColumns.VALUE in log for log in logs.values()}
    if len(with_values) > 1:
        raise UserError(
            f"{', '.join(logs)}: some hold values and some do not, so effects cannot be compared; give all or none a value"
        )
    has_value = with_values == {True}
    asked = _features(states, everybody.users)
    worth = np.full((len(states), len(settings.offers)), np.nan)
    effects, policies, randomisation, about = {}, {}, {}, []
    for source, log in logs.items():
        features = _features_of_log(everybody, log, asked, settings, source)
        found = estimate_effects(log, features, asked, settings.uplift, seed, settings.value_of_outcome or 1.0)
        column = EffectColumns.EFFECT_ON_VALUE if has_value else EffectColumns.EFFECT
        wide = found.table.pivot(index=EffectColumns.USER, columns=EffectColumns.TREATMENT, values=column)
        for place, treatment in enumerate(treatments.values()):
            if treatment in wide and np.isnan(worth[:, place]).all():
                worth[:, place] = wide[treatment].reindex(states[StateColumns.USER]).to_numpy(np.float64)
                effects[treatment] = next(one for one in found.quality["treatments"] if one["treatment"] == treatment)
        policies[source], randomisation[source] = found.quality["policies"], found.randomisation
        about.append(f"effects are learnt from {len(log):,} randomised contacts ({source})")
    if settings.value_of_outcome is not None:
        worth = worth * settings.value_of_outcome
    in_money = has_value or settings.value_of_outcome is not None
    return Worths(worth, True, in_money, about, effects, policies, randomisation)


def _features(states: pd.DataFrame, users: pd.DataFrame) -> pd.DataFrame:
    """What is known of users before a contact: user_id, their state and their attributes, ``unknown`` where one is missing."""
    attributes = users.set_index(Columns.USER).reindex(states[StateColumns.USER]).reset_index(drop=True)
    named = (
        attributes.rename(columns={name: f"user {name}" for name in attributes})
        .fillna("unknown")
        .replace("", "unknown")
    )
    return pd.concat([states.reset_index(drop=True), named], axis=1)


def _features_of_log(
    everybody: Everybody, log: pd.DataFrame, asked: pd.DataFrame, settings: CampaignSettings, source: str
) -> pd.DataFrame:
    """The same features of the log's rows: states at the beginning of the day (UTC) of each contact, from events before it alone.

    Further columns of the log are taken where the users table has them, too: else nobody knows them of the users asked about.
    """
    days = log[LogColumns.TIME] // DAY * DAY
    parts = []
    for day, rows in log.groupby(days):
        states = user_states(everybody.events, rows[LogColumns.USER].tolist(), int(day), settings.states)  # type: ignore[call-overload]
        parts.append(states.set_index(rows.index[np.argsort(rows[LogColumns.USER].to_numpy(), kind="stable")]))
    states = pd.concat(parts).loc[log.index].reset_index(drop=True)
    found = _features(states, everybody.users)
    own = [str(name) for name in log if name not in vars(LogColumns).values()]
    for name in own:
        if name in everybody.users:
            found[f"user {name}"] = log[name].map(_text).to_numpy()
    if left := [name for name in own if name not in everybody.users]:
        logger.warning("%s: %s are no columns of the users table, and are not used", source, ", ".join(left))
    useless = [name for name in (StateColumns.USER, StateColumns.RETURNS) if name in found]
    return found.drop(columns=useless)


def _text(value: object) -> str:
    """As the users table says it, where all is text."""
    if value is None or value != value or value == "":
        return "unknown"
    return str(int(value)) if isinstance(value, float) and value.is_integer() else str(value)
