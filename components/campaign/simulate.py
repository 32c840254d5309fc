"""Campaigns in a row on the demo shop, whose true responses are known: what does each way of targeting bring?

Every targeting meets the same users with the same luck, has the same number of messages in every round, and plans by the code
of real campaigns. Uplift knows only what it has seen: its first round is random, and in later ones a part of the users is
drawn at random, whose contacts are drawn too, so that it goes on learning from a randomised log.
"""

from collections.abc import Sequence
from dataclasses import dataclass, field, replace

import numpy as np
import pandas as pd
import pyarrow.compute as pc
from numpy.typing import NDArray
from tqdm import tqdm

from longtail.campaign.experiment import LEAST_USERS
from longtail.campaign.holding_out import draw_hold_out
from longtail.campaign.how import ReturnSettings, StateSettings, UpliftSettings
from longtail.campaign.planning import choose_actions
from longtail.campaign.returning import return_probability
from longtail.campaign.states import user_states
from longtail.components.campaign.targeting import TARGETINGS, Moment, worth
from longtail.contracts.campaign import NOBODY, LogColumns, StateColumns
from longtail.contracts.columns import DAY, Columns
from longtail.contracts.errors import UserError
from longtail.synthetic.responses import CHANNELS, Responses, true_responses
from longtail.synthetic.shop import YEAR_SECONDS, YEAR_START, Shop, generate_shop

MICROSECONDS = 1_000_000
END = (YEAR_START + YEAR_SECONDS) * MICROSECONDS  # of the shop's year, when the first campaign starts

Codes = NDArray[np.int64]
Floats = NDArray[np.float64]
Bools = NDArray[np.bool_]
OFFERED = 3  # items of a message


@dataclass(frozen=True)
class Simulation:
    """What is simulated. Shares are of all users; messages: of each round; explored: uplift's users whose contact is drawn."""

    users: int = 3000
    rounds: int = 6
    heterogeneity: float = 1.0
    mean_effect: float = 0.05
    messages: float = 0.2
    held_out: float = 0.1  # of those who would be contacted
    explored: float = 0.2
    horizon_days: float = 30.0
    learner: UpliftSettings = field(default_factory=lambda: UpliftSettings(learner="t"))


@dataclass(frozen=True)
class Scene:
    """A shop, and what its users are offered. items: codes, [users, k]"""

    shop: Shop
    items: Codes


@dataclass(frozen=True)
class _World:
    """One shop at the start of the first campaign."""

    shop: Shop
    responses: Responses
    events: pd.DataFrame  # user_id, timestamp in microseconds, value
    items: Codes
    seed: int

    @property
    def users(self) -> list[str]:
        return self.shop.users[Columns.USER].to_pylist()  # type: ignore[no-any-return]


def simulate(
    simulation: Simulation,
    seeds: Sequence[int],
    scene: Scene | None = None,
    targetings: Sequence[str] = TARGETINGS,
) -> pd.DataFrame:
    """One row a seed and targeting: messages, and what they brought over all rounds.

    scene: the shop, and what its users are offered; without, another generated shop for every seed, and its best sellers.

    ``activated`` and ``value``: who came back because of them, the sum of p1 - p0, and their baskets; known from the truth.
    ``activated_drawn`` and ``value_drawn``: of the users who came back, less who would have without a contact, with the same luck.

    Raises:
        UserError: too few messages in the first campaign to learn effects from, or parameters of the responses out of range.
    """
    each = round(simulation.messages * simulation.users) // len(CHANNELS)
    if "uplift" in targetings and each < LEAST_USERS:
        raise UserError(
            f"{simulation.users} users and {simulation.messages:.0%} messages are {each} contacts by each of {len(CHANNELS)} channels, "
            f"and uplift learns from {LEAST_USERS} or more; simulate more users (--users), or more messages (--messages)"
        )
    rows = []
    with tqdm(total=len(seeds) * len(targetings), desc="campaigns", unit="row", disable=None) as bar:
        for seed in seeds:
            world = _new_world(simulation, seed, scene or _generated(seed, simulation.users))
            for targeting in targetings:
                rows.append({"seed": seed, "targeting": targeting} | _campaigns(simulation, world, targeting))
                bar.update()
    return pd.DataFrame(rows)


def _generated(seed: int, users: int) -> Scene:
    shop = generate_shop(seed, users=users)
    item = pc.index_in(shop.interactions[Columns.ITEM], shop.items[Columns.ITEM].combine_chunks()).to_numpy()
    counts = np.bincount(item, minlength=shop.items.num_rows)  # [items]
    best = np.argsort(-counts, kind="stable")[:OFFERED]
    return Scene(shop, np.tile(best, (users, 1)))


def _priced(shop: Shop) -> pd.Series:
    """Value of every event of the log: the price of what was bought, missing for other events. [events]"""
    bought = shop.interactions.to_pandas().merge(
        shop.items.select([Columns.ITEM, "price"]).to_pandas(), on=Columns.ITEM, how="left"
    )
    prices: pd.Series = bought["price"].where(bought[Columns.EVENT] == "purchase")
    return prices


def _new_world(simulation: Simulation, seed: int, scene: Scene) -> _World:
    shop = scene.shop
    responses = true_responses(shop, seed, simulation.heterogeneity, simulation.mean_effect)
    events = pd.DataFrame(
        {
            Columns.USER: shop.interactions[Columns.USER].to_pandas(),
            Columns.TIMESTAMP: shop.interactions[Columns.TIMESTAMP].to_numpy() * MICROSECONDS,
            Columns.VALUE: _priced(shop),
        }
    )
    return _World(shop, responses, events, scene.items, seed)


def _campaigns(simulation: Simulation, world: _World, targeting: str) -> dict[str, float]:
    """What all rounds of one targeting brought."""
    brought: dict[str, float] = {}
    logs: list[tuple[pd.DataFrame, pd.DataFrame]] = []  # a log, and the features of its rows
    for number in range(simulation.rounds):
        at = END + round(number * simulation.horizon_days * DAY)
        moment = _moment(simulation, world, targeting, at, logs)
        drawn = _drawn_by_chance(simulation, world, targeting, number)
        actions = _actions(simulation, world, targeting, moment, drawn, number)
        came, gains, value = _responses(world, actions, number)
        for name, gain in gains.items():
            brought[name] = brought.get(name, 0.0) + gain
        logs.append(_logged(moment, drawn, actions, at, came))
        world = _after(world, at, (came, value), simulation.horizon_days, number)
    return brought


def _moment(
    simulation: Simulation, world: _World, targeting: str, at: int, logs: list[tuple[pd.DataFrame, pd.DataFrame]]
) -> Moment:
    rule = StateSettings()
    states = user_states(world.events, world.users, at, rule)
    if targeting == "propensity":
        horizon = ReturnSettings(horizon_days=simulation.horizon_days)
        returning = return_probability(world.events, states, at, horizon, rule, world.seed)
        states[StateColumns.RETURNS] = returning.probability
    attributes = world.shop.users.to_pandas().fillna("unknown")
    about = states.merge(attributes, on=Columns.USER, validate="1:1")
    known = [pd.concat(parts, ignore_index=True) for parts in zip(*logs)] or [pd.DataFrame(), pd.DataFrame()]
    return Moment(states, about, *known)


def _drawn_by_chance(simulation: Simulation, world: _World, targeting: str, number: int) -> Bools:
    """Users whose contact is drawn at random: all in uplift's first round, some in later ones, none of other targetings. [users]"""
    everybody = np.ones(len(world.users), dtype=bool)
    if targeting != "uplift" or number == 0:
        return everybody & (targeting == "uplift")
    return draw_hold_out(world.users, everybody, simulation.explored, _seed(world, number, 1))


def _actions(simulation: Simulation, world: _World, targeting: str, moment: Moment, drawn: Bools, number: int) -> Codes:
    """The action of every user after the hold-out. [users]"""
    seed = _seed(world, number, 2)
    users = len(drawn)
    actions = _random_actions(drawn, simulation.messages, np.random.default_rng(seed))
    budget = round(simulation.messages * np.count_nonzero(~drawn) / (1.0 - simulation.held_out))
    if budget:
        worths = np.zeros((users, 1 + len(CHANNELS)))
        worths[:, 1:] = worth(targeting, moment, CHANNELS, simulation.learner, seed)
        cost = np.ones_like(worths)
        cost[:, 0] = 0.0
        allowed = np.ones_like(worths, dtype=bool)
        allowed[drawn, 1:] = False
        chosen = choose_actions(worths, cost, allowed, float(budget), np.full(1 + len(CHANNELS), users))
        strata = moment.states[StateColumns.STATE] + [f" {action}" for action in chosen]
        held = draw_hold_out(world.users, strata, simulation.held_out, _seed(world, number, 3))
        actions = np.where(drawn, actions, np.where(held, 0, chosen))
    return actions


def _random_actions(drawn: Bools, share: float, rng: np.random.Generator) -> Codes:
    """A share of those drawn by chance get a message, each channel alike. [users]"""
    actions = np.zeros(len(drawn), dtype=np.int64)
    among = rng.permutation(np.flatnonzero(drawn))
    contacted = among[: round(share * len(among))]
    actions[contacted] = 1 + np.arange(len(contacted)) % len(CHANNELS)
    return actions


def _responses(world: _World, actions: Codes, number: int) -> tuple[Floats, dict[str, float], Floats]:
    """Who came back [users], what the contacts brought, and the value of who came back [users]."""
    users = np.arange(len(actions))
    luck = _seed(world, number, 4)
    came, value = world.responses.outcomes(np.random.default_rng(luck), users, actions, world.items)
    without, value_without = world.responses.outcomes(np.random.default_rng(luck), users, 0 * actions, world.items)
    effect = world.responses.effects(world.items)[users, actions]  # 0 without a contact
    gains = {
        "messages": float(np.count_nonzero(actions)),
        "activated": float(effect.sum()),
        "activated_drawn": float((came - without).sum()),
        "value": float((effect * world.responses.basket).sum()),
        "value_drawn": float((value - value_without).sum()),
    }
    return came, gains, value


def _logged(moment: Moment, drawn: Bools, actions: Codes, at: int, came: Floats) -> tuple[pd.DataFrame, pd.DataFrame]:
    """The randomised log of a round, and the features of its rows."""
    rows = pd.DataFrame(
        {
            LogColumns.USER: moment.about[Columns.USER],
            LogColumns.TREATMENT: np.array([NOBODY, *CHANNELS])[actions],
            LogColumns.TIME: at,
            LogColumns.OUTCOME: came,
        }
    )
    return rows[drawn], moment.about[drawn].drop(columns=Columns.USER)


def _after(world: _World, at: int, outcome: tuple[Floats, Floats], days: float, number: int) -> _World:
    """The world at the next campaign: who came back has a newer last event."""
    came, value = outcome
    waited = days * np.random.default_rng(_seed(world, number, 5)).random(len(came))  # days before the next campaign
    back = came > 0
    events = pd.DataFrame(
        {
            Columns.USER: np.array(world.users)[back],
            Columns.TIMESTAMP: at + np.round((days - waited[back]) * DAY).astype(np.int64),
            Columns.VALUE: value[back],
        }
    )
    return replace(
        world,
        responses=world.responses.later(days, np.where(back, waited, np.nan)),
        events=pd.concat([world.events, events], ignore_index=True),
    )


def _seed(world: _World, number: int, purpose: int) -> int:
    """The same for every targeting, so that they meet the same luck."""
    return int(np.random.SeedSequence([world.seed, number, purpose]).generate_state(1)[0])
