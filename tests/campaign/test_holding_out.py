"""Sizes against statsmodels and a simulation; the draw against what it promises."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from statsmodels.stats.power import NormalIndPower

from longtail.campaign.holding_out import detectable, draw_hold_out, hold_out_size, power_of
from longtail.contracts.errors import UserError


def test_power_of_means_is_that_of_statsmodels():
    for users, held, effect, deviation in ((1000, 200, 0.3, 1.5), (400, 40, 1.0, 2.0)):
        theirs = NormalIndPower().power(effect / deviation, users - held, 0.05, ratio=held / (users - held))
        assert power_of(users, np.array([held]), 0.0, effect, deviation=deviation)[0] == pytest.approx(theirs, abs=1e-9)


def test_power_of_rates_is_what_a_simulation_sees():
    rng = np.random.default_rng(0)
    users, held, base, effect, times = 3000, 900, 0.05, 0.03, 20_000
    ours = rng.binomial(users - held, base + effect, times) / (users - held)
    others = rng.binomial(held, base, times) / held
    error = np.sqrt(ours * (1 - ours) / (users - held) + others * (1 - others) / held)
    seen = (np.abs(ours - others) / error > 1.959964).mean()
    assert power_of(users, np.array([held]), base, effect)[0] == pytest.approx(seen, abs=0.015)


def test_the_size_is_the_smallest_that_has_the_power():
    found = hold_out_size(20_000, 0.05, 0.02)
    assert power_of(20_000, np.array([found.held_out]), 0.05, 0.02)[0] >= 0.8
    assert power_of(20_000, np.array([found.held_out - 1]), 0.05, 0.02)[0] < 0.8
    assert found.detectable == pytest.approx(0.02, abs=1e-4)


def test_a_campaign_that_is_too_small_holds_out_half_and_says_what_it_can_prove():
    found = hold_out_size(200, 0.05, 0.02)
    assert (found.held_out, found.power < 0.2) == (100, True)
    assert power_of(200, np.array([100]), 0.05, found.detectable)[0] == pytest.approx(0.8, abs=1e-6)


def test_what_no_increase_could_show_is_infinite():
    assert detectable(3, 1, 0.5) == float("inf")
    assert detectable(1, 0, 0.5) == float("inf")


def test_a_share_of_every_stratum_is_held_out():
    ids = [f"u{number}" for number in range(5000)]
    strata = np.array(["a", "b", "b", "c"])[np.arange(5000) % 4]
    held = draw_hold_out(ids, strata, 0.13, 1)
    for name in "abc":
        inside = strata == name
        assert abs(held[inside].sum() - 0.13 * inside.sum()) < 1


@settings(max_examples=30)
@given(st.permutations(range(60)), st.integers(0, 5))
def test_the_order_of_rows_does_not_matter(order, seed):
    ids, strata = [f"u{n}" for n in range(60)], [n % 3 for n in range(60)]
    held = draw_hold_out(ids, strata, 0.3, seed)
    moved = draw_hold_out([ids[n] for n in order], [strata[n] for n in order], 0.3, seed)
    assert (held[list(order)] == moved).all()


def test_other_strata_do_not_matter_and_another_user_changes_one_arm_at_most():
    ids = [f"u{n}" for n in range(100)]
    held = draw_hold_out(ids, ["a"] * 100, 0.2, 3)
    assert (draw_hold_out([*ids, "x", "y"], [*["a"] * 100, "b", "b"], 0.2, 3)[:100] == held).all()
    for stranger in ("x", "y", "z"):
        assert (draw_hold_out([*ids, stranger], ["a"] * 101, 0.2, 3)[:100] != held).sum() <= 1


def test_everybody_is_held_out_with_the_share_as_probability_also_alone_in_a_stratum():
    times = np.array([draw_hold_out(["a", "b", "c", "d"], [0, 1, 1, 1], 0.3, seed) for seed in range(1000)])
    assert times.mean(axis=0) == pytest.approx([0.3] * 4, abs=4 * np.sqrt(0.21 / 1000))


def test_a_user_twice_and_a_share_of_nothing_known_are_refused():
    with pytest.raises(UserError, match="'a': is there twice"):
        draw_hold_out(["a", "a"], [0, 0], 0.5, 0)
    with pytest.raises(UserError, match="between 0 and 1"):
        draw_hold_out(["a"], [0], 1.5, 0)
    with pytest.raises(UserError, match="stay between 0 and 1"):
        hold_out_size(100, 0.99, 0.02)
    with pytest.raises(UserError, match="above 0"):
        hold_out_size(100, 0.5, 0.0)
