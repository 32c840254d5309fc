"""Simulated campaigns: uplift wins where users respond differently, does not where they respond alike, and nobody looks ahead."""

from functools import cache

import numpy as np
import pandas as pd
import pytest

from longtail.campaign.experiment import LEAST_USERS
from longtail.components.campaign import simulate as simulation
from longtail.components.campaign.simulate import Scene, Simulation, simulate
from longtail.components.campaign.simulated import figures
from longtail.components.campaign.targeting import TARGETINGS
from longtail.contracts.errors import UserError
from longtail.synthetic.shop import generate_shop

pytestmark = pytest.mark.slow  # they simulate campaigns

SMALL = {"users": 1500, "rounds": 3}


@cache
def rows(heterogeneity: float) -> pd.DataFrame:
    small = Simulation(heterogeneity=heterogeneity, messages=0.2, **SMALL)
    return simulate(small, range(4), targetings=("random", "uplift"))


def test_uplift_wins_where_responses_differ() -> None:
    for measure in ("activated", "value"):
        found = figures(rows(1.0), measure)["uplift"].above_random
        assert found.low > 0, (measure, found)


def test_uplift_does_not_win_where_responses_are_alike() -> None:
    found = figures(rows(0.0), "activated")
    for each in found.values():
        assert each.brought == pytest.approx(
            (50.0, 50.0, 50.0)
        )  # 1,000 messages at five points each, whoever gets them
    drawn = figures(rows(0.0), "activated_drawn")["uplift"].above_random
    assert drawn.low < 0 < drawn.high
    assert abs(drawn.mean) < 20  # less than a third of what it gains above


def test_what_is_drawn_agrees_with_what_is_expected() -> None:
    """Who came back, less who would have, is the sum of p1 - p0 but for the luck of single users."""
    found = rows(1.0)
    difference = (found.activated_drawn - found.activated) / np.sqrt(found.messages)
    assert abs(difference.mean()) < 3 * 0.4 / np.sqrt(len(found))  # a message's luck has a deviation of at most .4


def test_uplift_is_above_every_other_targeting() -> None:
    everybody = simulate(Simulation(), range(5))
    assert list(everybody.targeting.unique()) == list(TARGETINGS)
    rates = (everybody.activated / everybody.messages).groupby([everybody.seed, everybody.targeting]).sum().unstack()
    for rival in set(TARGETINGS) - {"uplift"}:
        above = rates["uplift"] - rates[rival]
        assert above.mean() > 3 * above.std() / np.sqrt(len(above)), rival


def test_targetings_have_the_same_messages_and_the_first_round_of_uplift_is_random() -> None:
    once = Simulation(users=1200, rounds=1)
    found = simulate(once, [3], targetings=("random", "uplift")).set_index("targeting")
    assert found.messages["uplift"] == 240
    assert found.messages["random"] == pytest.approx(240, abs=12)  # the hold-out is drawn
    actions = [_first_actions(once, targeting) for targeting in ("uplift", "random")]
    effects = _world(once).responses.effects(_world(once).items)
    for chosen in actions:  # a tenth of a point: neither knows anything
        contacted = effects[np.arange(1200), chosen][chosen > 0].mean()
        assert contacted == pytest.approx(effects[:, 1:].mean(), abs=0.015)


def _world(once: Simulation) -> "simulation._World":
    return simulation._new_world(once, 3, simulation._generated(3, once.users))


def _first_actions(once: Simulation, targeting: str) -> np.ndarray:
    world = _world(once)
    moment = simulation._moment(once, world, targeting, simulation.END, [])
    drawn = simulation._drawn_by_chance(once, world, targeting, 0)
    return simulation._actions(once, world, targeting, moment, drawn, 0)


def test_the_randomised_log_has_the_drawn_users_and_what_was_known_before() -> None:
    once = Simulation(users=1200)
    world = _world(once)
    moment = simulation._moment(once, world, "uplift", simulation.END, [])
    drawn = simulation._drawn_by_chance(once, world, "uplift", 1)
    assert 0.15 < drawn.mean() < 0.25
    actions = simulation._actions(once, world, "random", moment, drawn, 1)
    came = np.ones(1200)
    log, features = simulation._logged(moment, drawn, actions, simulation.END, came)
    assert len(log) == len(features) == drawn.sum()
    shares = log.treatment.value_counts(normalize=True)
    assert shares["none"] == pytest.approx(0.8, abs=0.01)
    assert shares["mail"] == pytest.approx(shares["app"], abs=0.01)
    assert not {"user_id", "outcome", "treatment"} & set(features)


def test_who_came_back_has_a_newer_event_in_the_next_round() -> None:
    once = Simulation(users=1200)
    world = _world(once)
    came = np.zeros(1200)
    came[:7] = 1.0
    after = simulation._after(world, simulation.END, (came, 5 * came), 30.0, 0)
    fresh = after.events[after.events.timestamp >= simulation.END]
    assert list(fresh.user_id) == world.users[:7]
    assert fresh.timestamp.max() < simulation.END + 30 * simulation.DAY
    assert (after.responses.days_since_last[:7] <= 30).all()
    np.testing.assert_allclose(after.responses.days_since_last[7:], world.responses.days_since_last[7:] + 30)
    now = simulation._moment(once, after, "random", simulation.END + 30 * simulation.DAY, []).states
    np.testing.assert_allclose(now.days_since_last[:7], after.responses.days_since_last[:7], atol=1e-6)


def test_the_same_seed_gives_the_same_rows() -> None:
    small = Simulation(users=1000, rounds=2)
    one, two = (simulate(small, [1], targetings=("random", "uplift")) for _ in range(2))
    pd.testing.assert_frame_equal(one, two)


def test_better_offers_bring_more() -> None:
    shop = generate_shop(0, users=1200)
    order = np.argsort(shop.truth.affinity(), axis=1)
    liked, disliked = (
        simulate(Simulation(users=1200, rounds=1), [0], Scene(shop, items), ("random",)).activated.item()
        for items in (order[:, -3:], order[:, :3])
    )
    assert liked > 1.5 * disliked


def test_too_few_messages_to_learn_from_are_refused() -> None:
    with pytest.raises(
        UserError, match=rf"900 users and 10% messages are 45 contacts by each .* {LEAST_USERS} or more"
    ):
        simulate(Simulation(users=900, messages=0.1), [0])
