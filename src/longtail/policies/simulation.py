"""Policies that show items, see what is chosen of them, and learn between rounds, where the truth is known: their regret.

A round is a batch of users who come at random. Each is shown ``k`` items, and chooses each with the probability that the world knows. Between
rounds a policy learns from all that was shown so far. The regret of a list is how many chosen items, in expectation, the best list of that user
would have had more; a policy that learns loses less and less.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal, get_args

import numpy as np
from numpy.typing import NDArray

from longtail.policies.bayes import Events, Fitted, Link, Prior, fit

Floats = NDArray[np.float64]
Name = Literal["random", "fixed", "greedy", "epsilon-greedy", "linucb", "thompson"]
NAMES: tuple[Name, ...] = get_args(Name)
LEARN: dict[Name, Link] = {
    "greedy": "logistic",
    "epsilon-greedy": "logistic",
    "linucb": "linear",
    "thompson": "logistic",
}


@dataclass(frozen=True)
class World:
    """chances [users, items] with which a shown item is chosen; features [users, items, n] that policies know of the pair; fixed
    [users, items]: scores of the policy that does not learn."""

    chances: Floats
    features: NDArray[np.float32]
    fixed: Floats


@dataclass(frozen=True)
class Course:
    """rounds of ``arrivals`` users; k items each; epsilon: share of places that epsilon-greedy fills at random; width: standard deviations
    that LinUCB adds to the mean; level: chance of a choice that policies expect of an item before they saw any; of_features, of_items: standard deviations of the
    priors of weights and of items' offsets, in logits."""

    rounds: int
    arrivals: int
    k: int
    epsilon: float = 0.1
    width: float = 1.0
    level: float = 0.05
    of_features: float = 1.0
    of_items: float = 1.0


def regret(world: World, course: Course, name: Name, seed: int) -> Floats:
    """Cumulative regret after each round, in chosen items. Users, choices and draws follow from the seed. ``[rounds]``"""
    rng, arriving = np.random.default_rng([seed, NAMES.index(name)]), np.random.default_rng(seed)
    ranked = np.sort(world.chances, axis=1)[:, ::-1][:, : course.k].sum(axis=1)  # of the best list of each user
    seen: list[tuple[NDArray[np.intp], NDArray[np.intp], Floats]] = []
    lost, fitted = [], None
    for _ in range(course.rounds):
        users = arriving.integers(len(world.chances), size=course.arrivals)
        if name in LEARN:
            fitted = _learnt(world, course, LEARN[name], seen)
        lists = np.stack([_shown(world, course, name, int(user), fitted, rng) for user in users])  # [arrivals, k]
        chances = world.chances[users[:, None], lists]
        chosen = (rng.random(lists.shape) < chances).astype(np.float64)
        seen.append((np.repeat(users, course.k), lists.ravel(), chosen.ravel()))
        lost.append(float(ranked[users].sum() - chances.sum()))
    return np.cumsum(lost)


def _learnt(
    world: World, course: Course, link: Link, seen: Sequence[tuple[NDArray[np.intp], NDArray[np.intp], Floats]]
) -> Fitted:
    width = world.features.shape[2]
    users, items, rewards = (
        np.concatenate([part[place] for part in seen]) if seen else np.zeros(0, kind)
        for place, kind in enumerate((np.intp, np.intp, np.float64))
    )
    rows = np.column_stack([np.ones(len(users)), world.features[users, items].astype(np.float64)])
    level = course.level
    # a linear model's deviations are those of the chance: a logit's times the slope of the logistic function there
    unit, mean = (1.0, np.log(level / (1 - level))) if link == "logistic" else (np.sqrt(level * (1 - level)), level)
    deviations = np.append(1.0, np.full(width, course.of_features)) * unit
    prior = Prior(np.append(mean, np.zeros(width)), deviations**-2.0, (course.of_items * unit) ** -2.0)
    return fit(Events(rows, items, rewards, world.chances.shape[1]), prior, link)


def _shown(
    world: World, course: Course, name: Name, user: int, fitted: Fitted | None, rng: np.random.Generator
) -> NDArray[np.intp]:
    """The items of one list. ``[k]``"""
    n_items = world.chances.shape[1]
    if name == "random":
        return rng.permutation(n_items)[: course.k]
    scores = world.fixed[user] if fitted is None else _scores(world, course, name, user, fitted, rng)
    best = np.argsort(-(scores + 1e-9 * rng.random(n_items)), kind="stable")  # ties are drawn
    if name != "epsilon-greedy":
        return best[: course.k]
    found: list[int] = []
    for _ in range(course.k):
        left = best[~np.isin(best, found)]
        found.append(int(rng.choice(left) if rng.random() < course.epsilon else left[0]))
    return np.array(found, dtype=np.intp)


def _scores(world: World, course: Course, name: Name, user: int, fitted: Fitted, rng: np.random.Generator) -> Floats:
    items = np.arange(world.chances.shape[1])
    rows = np.column_stack([np.ones(len(items)), world.features[user].astype(np.float64)])
    if name == "thompson":
        weights, offsets = fitted.draw(rng)
        return np.asarray(rows @ weights + offsets)
    means = fitted.means(rows, items)
    return means + course.width * fitted.deviations(rows, items) if name == "linucb" else means
