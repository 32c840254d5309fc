"""How the demo shop's users truly respond to a contact: who comes back without one, whom one brings, whom one drives away.

A user comes back within the horizon with probability p0 without a contact. It rises with the user's true activity and
falls with the time since the last event. A contact adds an effect to it, which differs by user, channel and what is offered:

- *persuadable* users were active once and are undecided now; items to their true taste persuade more;
- *sure things* come anyway, so a contact adds little; *lost causes* have been gone for too long;
- *driven away* are reluctant users, who would rather not be written to.

The average effect is the same for every ``heterogeneity``; at 0 everybody has it, and targeting cannot pay.
"""

from collections.abc import Sequence
from dataclasses import dataclass, field, replace

import numpy as np
import pyarrow.compute as pc
from numpy.typing import NDArray

from longtail.contracts.campaign import NOBODY
from longtail.contracts.columns import Columns
from longtail.contracts.errors import UserError
from longtail.synthetic.shop import AGE_BANDS, YEAR_SECONDS, YEAR_START, Shop

CHANNELS = ("mail", "app")  # of the contacts; action 0 is none
DAY = 86_400
LEAST, MOST = 0.01, 0.85  # of the probability to come back without a contact
LARGEST_EFFECT = 1.0 - MOST  # an average effect up to here can be everybody's
SURE, SMALL = 0.5, 0.025  # p0 from which a user comes anyway; an effect below which a contact changes nothing
TYPES = ("sure thing", "persuadable", "lost cause", "driven away")

Floats = NDArray[np.float64]
Codes = NDArray[np.int64]


@dataclass(frozen=True)
class Responses:
    """The true responses of the shop's users, in its order, at a moment. Actions: 0 is no contact, then ``CHANNELS``."""

    days_since_last: Floats  # [users], infinite without events
    activity: Floats  # [users], log-odds to come back that the user's true activity gives
    channel_liking: Floats  # [users, actions], 0 for no contact
    reluctance: Floats  # [users], 0 for who does not mind
    basket: Floats  # [users], mean value of coming back
    affinity: NDArray[np.float32]  # [users, items]
    heterogeneity: float
    mean_effect: float
    actions: tuple[str, ...] = field(default=(NOBODY, *CHANNELS))

    def without_contact(self) -> Floats:
        """Probability to come back within the horizon without a contact. [users]"""
        waited = np.minimum(self.days_since_last, 3 * 365)
        odds = self.activity - 1.1 * np.log1p(waited / 14.0)
        return np.clip(1.0 / (1.0 + np.exp(-odds)), LEAST, MOST)

    def effects(self, items: Codes | None = None) -> Floats:
        """What each action adds to the probability to come back. [users, actions]

        items: codes of what each user is offered, [users, k]; without, offers that fit no better than any item.
        """
        p0 = self.without_contact()  # [users]
        fits = np.full(len(p0), 0.5) if items is None else self.fits(np.arange(len(p0)), items)
        shape = self._shape(p0, fits)  # [users, actions]
        usual = self._shape(p0, np.full(len(p0), 0.5))[:, 1:].mean()
        relative = (1.0 - self.heterogeneity) + self.heterogeneity * shape / usual
        effect = np.clip(self.mean_effect * relative, -p0[:, None], 1.0 - p0[:, None])
        effect[:, 0] = 0.0
        return np.asarray(effect)

    def fits(self, users: Codes, items: Codes) -> Floats:
        """Mean share of the catalogue that the user likes less than what is offered, 0 to 1. users: [n], items: [n, k]"""
        offered = np.take_along_axis(self.affinity[users], items, axis=1)  # [n, k]
        less = [(self.affinity[users] < offered[:, [place]]).mean(axis=1) for place in range(items.shape[1])]
        return np.asarray(np.mean(less, axis=0), dtype=np.float64)

    def types(self, items: Codes | None = None) -> NDArray[np.str_]:
        """One of ``TYPES`` for each user, by the effect of the channel that suits best. [users]"""
        p0, effect = self.without_contact(), self.effects(items)[:, 1:]
        best = effect.max(axis=1)
        return np.select([best < -SMALL, best > SMALL, p0 >= SURE], [TYPES[3], TYPES[1], TYPES[0]], default=TYPES[2])

    def outcomes(
        self, rng: np.random.Generator, users: Codes, actions: Codes, items: Codes | None = None
    ) -> tuple[Floats, Floats]:
        """Whether each of ``users`` [n] came back under its action [n] and what that was worth; drawn. ([n], [n])

        Two calls with generators of one state draw the same for a user whose action is the same, so that campaigns can
        be compared on the same luck. items: [users of the shop, k].
        """
        luck, worth = rng.random(len(self.basket)), rng.gamma(4.0, 0.25, len(self.basket))  # [users of the shop]
        probability = self.without_contact()[users] + self.effects(items)[users, actions]
        came = (luck[users] < probability).astype(np.float64)
        return came, came * self.basket[users] * worth[users]

    def later(self, days: float, last_event_days: Floats) -> "Responses":
        """The same users after ``days``. last_event_days: days ago of an event in that time, [users], NaN without one."""
        waited = np.where(np.isnan(last_event_days), self.days_since_last + days, last_event_days)
        return replace(self, days_since_last=waited)

    def _shape(self, p0: Floats, fits: Floats) -> Floats:
        """Effects up to a factor. Largest for the undecided who have not been gone for long. [users, actions]"""
        undecided = (p0 * (1.0 - p0) ** 3 * 256 / 27) ** 2  # 1 at one quarter, its largest
        moved = (undecided * 2.0 * fits)[:, None] * self.channel_liking
        return np.asarray(moved - self.reluctance[:, None] * p0[:, None] * (self.channel_liking > 0))


def true_responses(
    shop: Shop, seed: int = 0, heterogeneity: float = 1.0, mean_effect: float = 0.05, basket: float = 40.0
) -> Responses:
    """True responses of a shop's users at the end of its year. The same arguments give the same responses.

    heterogeneity: 0, the same effect and basket for everybody, to 1. mean_effect: of a contact with items that fit like any,
    on the probability to come back. basket: mean value of coming back, in the shop's money.

    Raises:
        UserError: a parameter outside its range.
    """
    _check("heterogeneity", heterogeneity, 0.0, 1.0)
    _check("mean effect", mean_effect, 0.0, LARGEST_EFFECT)
    rng = np.random.default_rng([seed, 1])
    users = shop.users.num_rows
    events, last = _history(shop)
    age = _codes(shop, "age_band", AGE_BANDS)  # [users], -1 where left blank
    rate = rng.normal(0.0, 0.5, users)  # what the log does not show
    channel = np.zeros((users, 1 + len(CHANNELS)))
    channel[:, 1] = np.array([0.2, 0.3, 0.8, 1.4, 1.6])[age]  # mail, by age band; the blank like the oldest
    channel[:, 2] = np.array([1.6, 1.4, 0.8, 0.3, 0.2])[age]
    private = _codes(shop, "gender", ("female", "male"))  # -1: undisclosed, or left blank
    reluctance = np.where(private < 0, 0.5, 0.0) + 0.04 * rng.random(users)
    spread = heterogeneity * (0.15 * (age - 2.0) + rng.normal(0.0, 0.3, users))
    return Responses(
        days_since_last=(YEAR_START + YEAR_SECONDS - last) / DAY,
        activity=-0.8 + 1.2 * np.log1p(events) + rate - 0.6 * (events == 0),
        channel_liking=channel,
        reluctance=reluctance,
        basket=basket * np.exp(spread) / np.exp(spread).mean(),
        affinity=shop.truth.affinity(),
        heterogeneity=heterogeneity,
        mean_effect=mean_effect,
    )


def _history(shop: Shop) -> tuple[Codes, Floats]:
    """Events, and seconds of the last one (minus infinity without any), of every user. ([users], [users])"""
    user = pc.index_in(shop.interactions[Columns.USER], shop.users[Columns.USER].combine_chunks()).to_numpy()
    count = shop.users.num_rows
    last = np.full(count, -np.inf)
    np.maximum.at(last, user, shop.interactions[Columns.TIMESTAMP].to_numpy().astype(np.float64))
    return np.bincount(user, minlength=count), last


def _codes(shop: Shop, column: str, names: Sequence[str]) -> Codes:
    places = {name: code for code, name in enumerate(names)}
    return np.array([places.get(name, -1) for name in shop.users[column].to_pylist()], dtype=np.int64)


def _check(name: str, value: float, least: float, most: float) -> None:
    if not least <= value <= most:
        raise UserError(f"{name}: is {value:g}; give a number from {least:g} to {most:g}")
