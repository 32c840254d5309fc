"""Whom to contact with what: the assignment of at most one action a user that is worth most within a budget and capacities.

An integer program: variables x[user, action], one row a user, one row each for the budget and every capacity. Users with the same
worths, costs and rights are one class with a count, so that a plan by segments stays small. Few classes are solved by HiGHS to
the optimum. For many, few rows bind them together, so that their prices decide all users but those at the margin ("sifting"): the
linear program of the users nearest to the margin, the others at their best action, gives the next prices, until what the plan is
worth meets the bound of the prices (Lagrangian dual). A vertex of it has at most one broken class a row, which is rounded down.
"""

import os
import sys
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.optimize import Bounds, LinearConstraint, linprog, milp
from scipy.sparse import csr_array, vstack

from longtail.contracts.errors import UserError

NODES = 1_000  # of its search tree, after which the best plan is taken, with its gap
EXACT = 300  # variables, up to which the integer program is solved as it is
SAMPLE = 20_000  # users whose prices the search begins with
FINE = 50  # classes nearest to the margin whose integer program improves the rounded plan
CORE = 5_000  # classes nearest to the margin that it begins with
APART = 1e-5  # of its worth, by which each action is lifted at random, at most, before the search: see _by_prices
NEAR = 5e-5  # (more than APART) of the bound: where the program comes this near to it, before it is rounded, the search ends

Floats = NDArray[np.float64]


@dataclass(frozen=True)
class Chosen:
    """Action of every user [users] int64, 0 for none; what they are worth together, and what no plan can surpass."""

    actions: NDArray[np.int64]
    worth: float
    bound: float

    @property
    def gap(self) -> float:
        """Of the bound, how much a better plan could still bring at most."""
        return max(0.0, self.bound - self.worth) / self.bound if self.bound > 0 else 0.0


@dataclass(frozen=True)
class Shared:
    """Capacities that several actions share: member [groups, actions] bool, most contacts of each [groups]."""

    member: NDArray[np.bool_]
    most: Floats


@dataclass(frozen=True)
class _Classes:
    """Users alike: worth, cost [classes, actions] (worth -inf where not allowed), users of each [classes]; limits [rows]."""

    worth: Floats
    cost: Floats
    count: NDArray[np.int64]
    flat: Floats  # [rows - 1, actions], what a contact uses of each row but the budget
    limit: Floats  # [rows], the budget first

    def used(self, actions: NDArray[np.int64], number: NDArray[np.int64]) -> Floats:
        """[rows], by ``number`` users of each class at ``actions`` [classes]."""
        spent = float((np.take_along_axis(self.cost, actions[:, None], 1)[:, 0] * number).sum())
        each = np.bincount(actions, number, self.cost.shape[1])
        return np.concatenate([[spent], self.flat @ each])

    def reduced(self, prices: Floats) -> Floats:
        """Worth less what the action uses at these prices. ``[classes, actions]``"""
        return np.asarray(self.worth - prices[0] * self.cost - prices[1:] @ self.flat)


def choose_actions(
    worth: Floats,
    cost: Floats,
    allowed: NDArray[np.bool_],
    budget: float,
    capacity: Floats,
    shared: Shared | None = None,
) -> NDArray[np.int64]:
    """The action of every user, 0 for none: see ``plan_actions``."""
    return plan_actions(worth, cost, allowed, budget, capacity, shared).actions


def plan_actions(
    worth: Floats,
    cost: Floats,
    allowed: NDArray[np.bool_],
    budget: float,
    capacity: Floats,
    shared: Shared | None = None,
) -> Chosen:
    """The plan that is worth most within the budget and the capacities, beside the bound that no plan can surpass.

    worth, cost, allowed: [users, actions]; action 0 is no contact, worth 0, cost 0 and always allowed. budget, capacity [actions]
    may be infinite. An action that is worth nothing or less is not chosen. Among users alike those of lower rows come first.

    Raises:
        UserError: shapes that differ, numbers missing, a cost or limit below 0, or an action 0 that is worth or costs something.
    """
    _check(worth, cost, allowed, budget, capacity)
    classes, of_user = _alike(worth, cost, allowed, budget, capacity, shared)
    best = classes.worth.argmax(axis=1)
    if (classes.used(best, classes.count) <= classes.limit).all():
        number = _at(best, classes)
        bound = float((classes.worth.max(axis=1) * classes.count).sum())
    elif classes.worth.size <= EXACT:
        number, bound = _exactly(classes)
    else:
        number, bound = _by_prices(classes)
    actions = _spread(number, of_user)
    value = _worth(classes, number)
    return Chosen(actions, value, max(bound, value))


def _check(worth: Floats, cost: Floats, allowed: NDArray[np.bool_], budget: float, capacity: Floats) -> None:
    if not worth.shape == cost.shape == allowed.shape or capacity.shape != worth.shape[1:]:
        raise UserError(
            f"worth {worth.shape}, cost {cost.shape}, allowed {allowed.shape} must be [users, actions] alike, "
            f"capacity {capacity.shape} [actions]"
        )
    if not (np.isfinite(worth[allowed]).all() and np.isfinite(cost).all()):
        raise UserError("worth and cost of every action that is allowed must be numbers; leave out the users without")
    if (cost < 0).any() or np.isnan(budget) or budget < 0 or not (capacity >= 0).all():
        raise UserError("costs, the budget and capacities must be 0 or more")
    if (worth[:, 0] != 0).any() or (cost[:, 0] != 0).any() or not allowed[:, 0].all():
        raise UserError("action 0 is no contact: worth 0, cost 0, allowed for every user")


def _alike(
    worth: Floats,
    cost: Floats,
    allowed: NDArray[np.bool_],
    budget: float,
    capacity: Floats,
    shared: Shared | None,
) -> tuple[_Classes, NDArray[np.int64]]:
    """The classes of users, and the class of every user [users]."""
    wanted = np.where(allowed & (worth > 0), worth, -np.inf)
    wanted[:, 0] = 0.0
    rows = np.ascontiguousarray(np.hstack([wanted, cost]))
    if not len(rows):
        rows = np.zeros((0, 2 * len(capacity)))
    keys = rows.view(np.dtype((np.void, rows.dtype.itemsize * rows.shape[1]))).ravel()
    _, first, of_user, count = np.unique(keys, return_index=True, return_inverse=True, return_counts=True)
    limited = np.flatnonzero(np.isfinite(capacity[1:])) + 1
    flat, limit = np.eye(len(capacity))[limited], capacity[limited]
    if shared is not None:
        flat, limit = np.vstack([flat, shared.member.astype(float)]), np.concatenate([limit, shared.most])
    limits = np.concatenate([[budget], limit])
    return _Classes(wanted[first], cost[first], count.astype(np.int64), flat, limits), of_user.astype(np.int64)


def _at(actions: NDArray[np.int64], classes: _Classes) -> NDArray[np.int64]:
    """All users of each class at its action. ``[classes, actions]``"""
    number = np.zeros(classes.worth.shape, dtype=np.int64)
    number[np.arange(len(actions)), actions] = classes.count
    return number


@dataclass(frozen=True)
class _Program:
    """A linear program over the pairs (class, action) that may be: maximise ``worth @ x``, ``matrix @ x <= limit``."""

    row: NDArray[np.int64]
    action: NDArray[np.int64]
    worth: Floats
    matrix: csr_array
    limit: Floats
    most: Floats


def _program(classes: _Classes, limit: Floats) -> _Program:
    row, action = np.nonzero(classes.worth > 0)
    n, variables = len(classes.count), len(row)
    finite = np.isfinite(limit)
    use = np.vstack([classes.cost[row, action], classes.flat[:, action]])[finite]
    one = csr_array((np.ones(variables), (row, np.arange(variables))), shape=(n, variables))
    matrix = csr_array(vstack([csr_array(use), one]))
    return _Program(
        row,
        action,
        classes.worth[row, action],
        matrix,
        np.concatenate([limit[finite], classes.count]),
        classes.count[row].astype(float),
    )


def _milp(*arguments: Any, **options: Any) -> Any:
    """``milp`` without the lines of its own that HiGHS (of scipy 1.17) writes to this process' standard output whatever it is told."""
    sys.stdout.flush()
    kept, nowhere = os.dup(1), os.open(os.devnull, os.O_WRONLY)
    try:
        os.dup2(nowhere, 1)
        return milp(*arguments, **options)
    finally:
        os.dup2(kept, 1)
        os.close(kept)
        os.close(nowhere)


def _exactly(classes: _Classes) -> tuple[NDArray[np.int64], float]:
    """The optimum of the integer program. ``[classes, actions]``, and the bound"""
    program = _program(classes, classes.limit)
    found = _milp(
        -program.worth,
        constraints=LinearConstraint(program.matrix, ub=program.limit),
        integrality=np.ones(len(program.worth), dtype=np.int64),
        bounds=Bounds(0, program.most),
        options={"mip_rel_gap": 0.0, "node_limit": NODES},
    )
    if found.x is None or found.mip_dual_bound is None:
        raise RuntimeError(f"HiGHS found no plan: {found.message}")  # no contact is always one
    number = np.zeros(classes.worth.shape, dtype=np.int64)
    number[program.row, program.action] = np.rint(found.x).astype(np.int64)
    return number, -float(found.mip_dual_bound)


def _by_prices(classes: _Classes) -> tuple[NDArray[np.int64], float]:
    """A plan near the optimum. ``[classes, actions]``, and the bound

    Where actions are worth the same to everybody, all who are chosen hesitate alike between them, and no prices tell who gets which: so
    worths are set apart first, by next to nothing. The bound, of worths that were only lifted, is one for the true ones, too.
    """
    lift = np.random.default_rng(0).random(classes.worth.shape)
    classes = replace(classes, worth=classes.worth * (1 + APART * lift))
    prices = _prices_of_sample(classes)
    best, value, bound, size = np.zeros(classes.worth.shape, dtype=np.int64), 0.0, _dual(classes, prices), CORE
    while True:
        found = _at_the_margin(classes, prices, size)
        if found is not None:  # else those away from the margin already take more than there is
            plan, before_rounding, inner = found
            if (lower := _dual(classes, inner)) < bound:  # else the margin was too narrow to show better prices
                bound, prices = lower, inner
            if (worth := _worth(classes, plan)) > value:
                best, value = plan, worth
            if bound - before_rounding <= NEAR * bound:
                break
        if size >= len(classes.count):
            break  # that was the program of all users
        size *= 2
    finer = _at_the_margin(classes, prices, FINE, exactly=True)
    return (finer[0] if finer is not None and _worth(classes, finer[0]) > value else best), bound


def _worth(classes: _Classes, number: Floats | NDArray[np.int64]) -> float:
    return float(np.where(number > 0, classes.worth, 0.0).ravel() @ number.ravel())


def _dual(classes: _Classes, prices: Floats) -> float:
    """What no plan can surpass: every class at its best action at these prices, and the worth of all limits."""
    rent = np.where(prices > 0, prices, 0.0) @ np.where(prices > 0, classes.limit, 0.0)
    return float(classes.reduced(prices).max(axis=1) @ classes.count + rent)


def _prices_of_sample(classes: _Classes) -> Floats:
    """Prices of the linear program of evenly chosen users, who share the limits in proportion."""
    ends = np.cumsum(classes.count)
    users = np.unique(np.linspace(0, ends[-1] - 1, SAMPLE).astype(np.int64))
    rows, count = np.unique(np.searchsorted(ends, users, side="right"), return_counts=True)
    sample = replace(_rows(classes, rows), count=count)
    return _solved(sample, classes.limit * (len(users) / ends[-1]))[1]


def _rows(classes: _Classes, rows: NDArray[np.int64]) -> _Classes:
    return _Classes(classes.worth[rows], classes.cost[rows], classes.count[rows], classes.flat, classes.limit)


def _solved(classes: _Classes, limit: Floats) -> tuple[Floats, Floats]:
    """A vertex of the linear program: users at each action [classes, actions], and the price of every limit [rows]."""
    program = _program(classes, limit)
    found = linprog(  # type: ignore[call-overload]  # its stubs know no csr_array
        -program.worth,
        A_ub=program.matrix,
        b_ub=program.limit,
        method="highs-ds",
    )
    if found.x is None:
        raise RuntimeError(f"HiGHS found no plan: {found.message}")  # no contact is always one
    number = np.zeros(classes.worth.shape)
    number[program.row, program.action] = found.x
    prices = np.zeros(len(limit))
    finite = np.isfinite(limit)
    prices[finite] = np.maximum(0.0, -found.ineqlin.marginals[: np.count_nonzero(finite)])
    return number, prices


def _at_the_margin(
    classes: _Classes, prices: Floats, size: int, exactly: bool = False
) -> tuple[NDArray[np.int64], float, Floats] | None:
    """All classes at their best action at these prices but the ``size`` that hesitate most, which share the rest of the limits.

    Returns the plan [classes, actions], what it was worth before it was rounded, and the prices of the rest; None where there is none.
    """
    reduced = classes.reduced(prices)
    action = reduced.argmax(axis=1)
    order = _by_hesitation(reduced)
    core, rest = order[:size], order[size:]
    left = classes.limit - _rows(classes, rest).used(action[rest], classes.count[rest])
    if (left < 0).any():
        return None
    number = np.zeros(classes.worth.shape, dtype=np.int64)
    number[rest, action[rest]] = classes.count[rest]
    inner = replace(_rows(classes, core), limit=left)
    if exactly:
        number[core] = _exactly(inner)[0]
        return number, 0.0, prices
    vertex, prices = _solved(inner, left)
    number[core] = _whole(inner, vertex, left)
    return number, _worth(_rows(classes, rest), number[rest]) + _worth(inner, vertex), prices


def _by_hesitation(reduced: Floats) -> NDArray[np.int64]:
    """Classes, those that hesitate most first, in turn of every two actions between which they do: of one pair differences may be
    far smaller than of another, and prices are to be found for both. ``[classes]``"""
    two = np.argpartition(reduced, -2, axis=1)[:, -2:]
    values = np.take_along_axis(reduced, two, 1)
    apart = np.abs(values[:, 1] - values[:, 0])
    pair = np.sort(two, axis=1) @ np.array([reduced.shape[1], 1])
    order = np.lexsort((apart, pair))
    starts = np.searchsorted(pair[order], pair[order])
    turn = np.arange(len(order)) - starts
    return np.asarray(order[np.argsort(turn, kind="stable")])


def _whole(classes: _Classes, vertex: Floats, left: Floats) -> NDArray[np.int64]:
    """The vertex rounded down, and the users whom that leaves over at the best action that still fits."""
    number = np.floor(vertex + 1e-7).astype(np.int64)
    use = np.vstack([np.zeros(number.shape[1]), classes.flat])
    spent = np.concatenate([[(classes.cost * number).sum()], classes.flat @ number.sum(axis=0)])
    broken = np.flatnonzero((vertex - number > 1e-7).any(axis=1))
    for row in broken[np.argsort(-classes.worth[broken].max(axis=1), kind="stable")]:
        for action in np.argsort(-classes.worth[row], kind="stable"):
            use[0] = classes.cost[row]
            free = classes.count[row] - number[row, 1:].sum()
            if classes.worth[row, action] > 0 and free and (spent + use[:, action] <= left).all():
                number[row, action] += 1
                spent = spent + use[:, action]
    return number


def _spread(number: NDArray[np.int64], of_user: NDArray[np.int64]) -> NDArray[np.int64]:
    """The action of every user, from how many of its class get each: users of lower rows get the higher actions. ``[users]``"""
    order = np.argsort(of_user, kind="stable")
    start = np.searchsorted(of_user[order], np.arange(len(number)))
    place = np.arange(len(of_user)) - start[of_user[order]]  # of a user in its class
    ends = np.cumsum(number[:, 1:], axis=1)  # [classes, actions - 1]
    actions = np.zeros(len(of_user), dtype=np.int64)
    reached = (place[:, None] >= ends[of_user[order]]).sum(axis=1)  # actions that others of the class fill
    actions[order] = np.where(reached < ends.shape[1], reached + 1, 0)
    return actions
