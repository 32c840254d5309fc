"""The assignment of actions: against every possible plan, against an integer program of another library's making, and invariants."""

from itertools import product

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.optimize import LinearConstraint, milp

from longtail.campaign import planning
from longtail.campaign.planning import Shared, choose_actions, plan_actions
from longtail.contracts.errors import UserError


def problem(users, actions, seed, whole=False):
    """Worths of both signs, costs by action, some not allowed, a budget and capacities that bind."""
    rng = np.random.default_rng(seed)
    worth = rng.normal(0.3, 1.0, (users, actions))
    if whole:
        worth = np.round(worth, 1)  # many users alike
    cost = np.tile(rng.uniform(0.1, 1.0, actions), (users, 1))
    worth[:, 0] = cost[:, 0] = 0.0
    allowed = rng.random((users, actions)) < 0.8
    allowed[:, 0] = True
    capacity = np.array([np.inf, *np.floor(rng.uniform(0.1, 0.6, actions - 1) * users)])
    return worth, cost, allowed, 0.25 * users, capacity


def worth_of(actions, worth):
    return worth[np.arange(len(actions)), actions].sum()


def keeps(actions, cost, allowed, budget, capacity, shared=None):
    each = np.bincount(actions, minlength=len(capacity))
    rows = np.arange(len(actions))
    inside = cost[rows, actions].sum() <= budget + 1e-6 and (each <= capacity).all() and allowed[rows, actions].all()
    return inside and (shared is None or (shared.member @ each <= shared.most).all())


@pytest.mark.parametrize("seed", range(12))
def test_no_plan_of_all_possible_ones_is_worth_more(seed):
    worth, cost, allowed, budget, capacity = problem(6, 3, seed)
    shared = Shared(np.array([[False, True, True]]), np.array([3.0])) if seed % 2 else None
    best = max(
        worth_of(np.array(actions), worth)
        for actions in product(range(3), repeat=6)
        if keeps(np.array(actions), cost, allowed, budget, capacity, shared)
    )
    found = plan_actions(worth, cost, allowed, budget, capacity, shared)
    assert keeps(found.actions, cost, allowed, budget, capacity, shared)
    assert worth_of(found.actions, worth) == pytest.approx(best)
    assert found.worth == pytest.approx(best)


def optimum(worth, cost, allowed, budget, capacity):
    """By one integer program over all pairs, written without classes or prices."""
    users, actions = worth.shape
    one = np.kron(np.eye(users), np.ones(actions))
    each = np.kron(np.ones(users), np.eye(actions))
    upper = np.concatenate([np.ones(users), [budget], np.where(np.isfinite(capacity), capacity, users)])
    matrix = np.vstack([one, cost.ravel(), each])
    bounds = (np.zeros(worth.size), allowed.ravel().astype(float))
    found = milp(
        -worth.ravel(),
        constraints=LinearConstraint(matrix, ub=upper),
        integrality=np.ones(worth.size, int),
        bounds=bounds,
    )
    return -found.fun


@pytest.mark.parametrize("whole", [False, True])
@pytest.mark.parametrize("seed", range(3))
def test_a_plan_by_prices_is_the_optimum_within_its_own_gap(seed, whole):
    worth, cost, allowed, budget, capacity = problem(150, 4, seed, whole)
    best = optimum(worth, cost, allowed, budget, capacity)
    found = plan_actions(worth, cost, allowed, budget, capacity)
    assert keeps(found.actions, cost, allowed, budget, capacity)
    assert found.worth <= best + 1e-6 <= found.bound + 2e-6
    assert found.worth >= 0.998 * best
    assert found.worth == pytest.approx(worth_of(found.actions, worth))


def test_a_plan_of_many_users_meets_its_bound(monkeypatch):
    monkeypatch.setattr(planning, "CORE", 500)
    monkeypatch.setattr(planning, "SAMPLE", 500)
    worth, cost, allowed, budget, capacity = problem(20_000, 4, 5)
    found = plan_actions(worth, cost, allowed, budget, capacity)
    assert keeps(found.actions, cost, allowed, budget, capacity)
    assert found.gap < 1e-4


@settings(max_examples=40)
@given(st.integers(0, 10_000), st.integers(1, 40), st.integers(2, 4))
def test_every_plan_keeps_to_its_limits_and_below_its_bound(seed, users, actions):
    given_ = problem(users, actions, seed, whole=bool(seed % 2))
    found = plan_actions(*given_)
    assert keeps(found.actions, *given_[1:])
    assert 0 <= found.worth <= found.bound + 1e-9
    chosen = found.actions > 0
    assert (given_[0][np.arange(users), found.actions][chosen] > 0).all()


def test_without_limits_everybody_gets_the_best_action():
    worth, cost, allowed, *_ = problem(1000, 4, 1)
    found = plan_actions(worth, cost, allowed, np.inf, np.full(4, np.inf))
    assert worth_of(found.actions, worth) == pytest.approx(
        np.where(allowed, worth, -np.inf).max(axis=1).clip(min=0).sum()
    )
    assert found.gap == pytest.approx(0)


def test_of_users_alike_those_in_front_are_contacted():
    worth = np.array([[0.0, 2.0]] * 5)
    cost = np.array([[0.0, 1.0]] * 5)
    assert choose_actions(worth, cost, np.ones((5, 2), bool), 2.0, np.full(2, np.inf)).tolist() == [1, 1, 0, 0, 0]


def test_nobody_is_a_plan():
    found = plan_actions(np.zeros((0, 2)), np.zeros((0, 2)), np.ones((0, 2), bool), 1.0, np.full(2, np.inf))
    assert found.actions.tolist() == []


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"budget": -1.0}, "must be 0 or more"),
        ({"cost": np.array([[0.0, -1.0]])}, "must be 0 or more"),
        ({"worth": np.array([[0.0, np.nan]])}, "must be numbers"),
        ({"worth": np.array([[1.0, 1.0]])}, "action 0"),
        ({"capacity": np.zeros(3)}, "alike"),
    ],
)
def test_what_is_no_problem_is_refused(change, said):
    arguments = {
        "worth": np.array([[0.0, 1.0]]),
        "cost": np.array([[0.0, 1.0]]),
        "allowed": np.ones((1, 2), bool),
        "budget": 1.0,
        "capacity": np.full(2, np.inf),
    }
    with pytest.raises(UserError, match=said):
        choose_actions(**(arguments | change))


def test_offers_that_are_worth_the_same_to_everybody_need_no_program_of_all_users(monkeypatch):
    rng = np.random.default_rng(0)
    users, solved, sizes = 50_000, planning._solved, []
    of_anything = rng.gamma(0.5, 20, users)
    worth = np.column_stack([np.zeros(users), of_anything, of_anything])
    cost = np.tile([0.0, 0.02, 0.005], (users, 1))
    monkeypatch.setattr(
        planning, "_solved", lambda classes, limit: (sizes.append(len(classes.count)), solved(classes, limit))[1]
    )
    found = plan_actions(worth, cost, np.ones((users, 3), bool), 50.0, np.array([np.inf, np.inf, 3000.0]))
    assert max(sizes) <= planning.SAMPLE and found.gap < 2e-5
    contacts = np.bincount(found.actions, minlength=3)
    assert contacts[2] == 3000 and contacts[1] == 1750  # 50 less 3,000 x .005, by .02 each
    assert set(np.argsort(-of_anything)[:4700]) <= set(np.flatnonzero(found.actions))
