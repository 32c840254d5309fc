"""Which users get which offer, and who of them is held out, within the limits that the contacts alone use."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from longtail.campaign.holding_out import HoldOutSize, detectable, draw_hold_out, hold_out_size, power_of
from longtail.campaign.planning import Chosen, Shared, plan_actions
from longtail.components.campaign.settings import CampaignSettings, HoldOutSettings
from longtail.contracts.errors import UserError

CURVE = (0.25, 0.5, 0.75, 1.0, 1.25, 1.5, 2.0)  # of what the plan spends, budgets whose best plans are compared with it
ATTEMPTS = 50
Floats = NDArray[np.float64]


@dataclass(frozen=True)
class Market:
    """worth, net of costs where it is money [users, offers], and which offers a user may get [users, offers]."""

    worth: Floats
    allowed: NDArray[np.bool_]
    settings: CampaignSettings

    def best(self, scale: float = 1.0, budget: float | None = None) -> Chosen:
        """The plan that is worth most with ``scale`` times the limits. Its action a is offer a - 1; 0 is none."""
        offers = self.settings.offers
        users = len(self.worth)
        worth = np.hstack([np.zeros((users, 1)), np.where(self.allowed, self.worth, 0.0)])
        cost = np.tile([0.0, *self.costs], (users, 1))
        allowed = np.hstack([np.ones((users, 1), dtype=bool), self.allowed])
        capacity = np.array([np.inf, *(np.inf if one.capacity is None else one.capacity * scale for one in offers)])
        limits = self.settings.channels
        member = np.array([[False, *(one.channel == channel for one in offers)] for channel in limits], dtype=bool)
        most = np.array([most * scale for most in limits.values()], dtype=float)
        shared = Shared(member, most) if limits else None
        given = self.settings.budget if budget is None else budget
        return plan_actions(worth, cost, allowed, np.inf if given is None else given * scale, capacity, shared)

    @property
    def costs(self) -> list[float]:
        return [offer.cost for offer in self.settings.offers]

    def within(self, actions: NDArray[np.int64]) -> bool:
        """Whether contacts by these actions [users] keep to all limits."""
        offers, limits = self.settings.offers, self.settings
        each = np.bincount(actions, minlength=1 + len(offers))[1:]
        spent = float(each @ np.array(self.costs))
        by_channel = {name: sum(n for n, one in zip(each, offers) if one.channel == name) for name in limits.channels}
        return (
            (limits.budget is None or spent <= limits.budget * (1 + 1e-9))
            and all(one.capacity is None or n <= one.capacity for n, one in zip(each, offers))
            and all(by_channel[name] <= most for name, most in limits.channels.items())
        )

    def curve(self, spent: float, share: float) -> list[dict[str, float]]:
        """Budgets around what is spent, and what the best plan of each is worth, the held out taken off."""
        if spent <= 0:
            return []
        scale = 1 / (1 - share)
        budgets = [0.0, *(spent * part for part in CURVE)]
        return [{"budget": b, "worth": self.best(scale, b).worth / scale if b else 0.0} for b in budgets]


@dataclass(frozen=True)
class Drawn:
    """actions [users], of contacts and held out; held_out [users]; stratum [users], empty of others; size: what the hold-out can prove;
    gap: of the plan to what no plan can surpass."""

    actions: NDArray[np.int64]
    held_out: NDArray[np.bool_]
    stratum: NDArray[np.object_]
    size: HoldOutSize
    baseline: float
    share: float
    gap: float


def drawn(market: Market, states: pd.DataFrame, kinds: Sequence[str], returns: Floats, seed: int) -> Drawn:
    """Choose with the limits that leave room for the hold-out, and draw it by chance within segment, state and offer.

    kinds: segment and state of each user; returns: probability to return, nan where unknown. [users]

    Raises:
        UserError: nobody can be contacted, or the campaign is too small for the proof and is to be refused then.
    """
    settings = market.settings.hold_out
    first = market.best()
    if not (first.actions > 0).any():
        raise UserError("nobody can be contacted within budget, capacities and rights, or no contact is worth its cost")
    baseline = _baseline(settings, returns[first.actions > 0])
    size = _size(settings, int((first.actions > 0).sum()), baseline)
    share = size.share if settings.share is None else settings.share
    users = states["user_id"].to_numpy(dtype=object)
    scale = 1 / (1 - share)
    for _ in range(ATTEMPTS):
        found = market.best(scale)
        rows = np.flatnonzero(found.actions > 0).tolist()
        strata = np.array(
            [f"{kinds[row]} / {market.settings.offers[found.actions[row] - 1].name}" for row in rows], dtype=np.object_
        )
        held = draw_hold_out(users[rows].tolist(), strata, share, seed)
        if market.within(np.where(held, 0, found.actions[rows])):
            break
        scale *= 0.998  # rounding within strata put too many on the side of the contacts
    else:
        raise UserError("no plan keeps to the limits beside the hold-out; give a larger budget or capacity")
    held_out, stratum = np.zeros(len(users), dtype=bool), np.full(len(users), "", dtype=object)
    held_out[rows], stratum[rows] = held, strata
    return Drawn(found.actions, held_out, stratum, size, baseline, share, found.gap)


def proof(drawn: Drawn, settings: HoldOutSettings) -> HoldOutSize:
    """What the hold-out that was drawn can prove.

    Raises:
        UserError: less than asked for, where such a campaign is to be refused.
    """
    users, held = int((drawn.actions > 0).sum()), int(drawn.held_out.sum())
    arguments = (settings.significance, settings.deviation)
    power = 0.0
    if 0 < held < users:
        power = float(power_of(users, np.array([held]), drawn.baseline, settings.least_effect, *arguments)[0])
    found = HoldOutSize(users, held, power, detectable(users, held, drawn.baseline, settings.power, *arguments))
    if found.power < settings.power - 0.005 and settings.too_small == "refuse":
        raise UserError(
            f"the campaign is too small for its proof: {users} users would be contacted or held out, {held} of them held out, which "
            f"sees an effect of {settings.least_effect:g} with a probability of {found.power:.2f}, not {settings.power:g} (the least "
            f"it sees so is {found.detectable:.3g}); contact more users, give a greater hold_out.least_effect, or hold_out.too_small: say"
        )
    return found


def _baseline(settings: HoldOutSettings, returns: Floats) -> float:
    if settings.baseline is not None:
        return settings.baseline
    if settings.deviation is not None:
        return 0.0
    if np.isnan(returns).all():
        raise UserError(
            "hold_out.baseline: cannot be told from the data, for the probability to return is unknown; give the rate of the outcome "
            "without contact"
        )
    return float(np.clip(np.nanmean(returns), 0.0, 1.0))


def _size(settings: HoldOutSettings, contacts: int, baseline: float) -> HoldOutSize:
    if settings.deviation is None and baseline + settings.least_effect > 1:
        raise UserError(
            f"hold_out.least_effect {settings.least_effect:g}: above a rate of {baseline:.3f} it passes 1; give less"
        )
    return hold_out_size(
        contacts, baseline, settings.least_effect, settings.power, settings.significance, settings.deviation
    )
