"""Shows, now and then, what is not ranked first, with the probability that it had: logs can then be judged and learnt from.

Three ways, each place by place: epsilon-greedy, Plackett-Luce (Plackett 1975) by Gumbel top-k (Kool, van Hoof & Welling 2019), and Thompson
sampling (Thompson 1933; Chapelle & Li 2011) where a policy was learnt that knows how sure it is.
A propensity is that of the item at its place, given the items before it; that of a whole list is their product.
"""

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from longtail.scoring.asked import Explore
from longtail.scoring.top import top_items

THOMPSON_DRAWS = 256  # from the posterior, for a question
THOMPSON_POOL = 2000  # items with the best scores, among which they decide
# items [n], draws, rng -> [draws, n]
Deviations = Callable[[NDArray[np.intp], int, np.random.Generator], NDArray[np.float64]]


@dataclass(frozen=True)
class Explored:
    """codes [k] of the items shown; propensities [k]; greedy [k]: whether each is the best of those that were left."""

    codes: NDArray[np.intp]
    propensities: NDArray[np.float64]
    greedy: NDArray[np.bool_]


def explored(
    explore: Explore,
    scores: NDArray[np.float32],
    allowed: NDArray[np.bool_],
    is_new: NDArray[np.bool_],
    k: int,
    rng: np.random.Generator,
) -> Explored:
    """Draws a list. scores, allowed, is_new [items]"""
    codes = np.flatnonzero(allowed)
    if explore.temperature is not None:
        return _plackett_luce(codes, scores, k, explore.temperature, rng)
    drawn_from = codes[is_new[codes]] if explore.new_items else codes
    return _epsilon_greedy(codes, scores, drawn_from, k, float(explore.epsilon or 0), rng)


def thompson(
    scores: NDArray[np.float32], allowed: NDArray[np.bool_], k: int, deviations: Deviations, rng: np.random.Generator
) -> Explored:
    """Draws a list: each place goes to the item that is best, of those left, in one of ``THOMPSON_DRAWS`` beliefs, chosen anew for each place.

    A propensity is the share of these beliefs in which the item is best of those left, so it is exactly that with which the list was
    drawn from them; of the posterior itself it is an unbiased estimate.
    """
    codes = np.flatnonzero(allowed)
    codes = codes[top_items(scores[codes], THOMPSON_POOL, np.zeros(0, np.int32))]
    beliefs = scores[codes].astype(np.float64) + deviations(codes, THOMPSON_DRAWS, rng)
    found = []
    for _ in range(min(k, len(codes))):
        best = beliefs.argmax(axis=1)  # [draws]
        place = int(rng.choice(best))
        found.append((int(codes[place]), float(np.mean(best == place)), not np.isfinite(beliefs[0, :place]).any()))
        beliefs[:, place] = -np.inf
    return _result(found)


def shares_of_beliefs(beliefs: NDArray[np.float64], shown: NDArray[np.integer]) -> NDArray[np.float64]:
    """With which propensities ``thompson`` shows the items of places ``shown`` [k], given beliefs [draws, n]. ``[k]``"""
    left, found = beliefs.copy(), []
    for place in shown.tolist():
        found.append(float(np.mean(left.argmax(axis=1) == place)))
        left[:, place] = -np.inf
    return np.array(found)


def _epsilon_greedy(
    codes: NDArray[np.intp],
    scores: NDArray[np.float32],
    drawn_from: NDArray[np.intp],
    k: int,
    epsilon: float,
    rng: np.random.Generator,
) -> Explored:
    ranked = codes[top_items(scores[codes], 2 * k, np.zeros(0, np.int32))]  # k of them are left whatever is drawn
    taken, found = set[int](), list[tuple[int, float, bool]]()
    ahead = iter(ranked.tolist())
    best = next(ahead, None)
    left = drawn_from
    while len(found) < min(k, len(codes)):
        while best in taken:
            best = next(ahead, None)
        share = epsilon if len(left) else 0.0
        item = int(rng.choice(left)) if rng.random() < share else best
        assert item is not None  # of 2 k ranked ones less than k are taken
        propensity = (1 - share) * (item == best) + (share / len(left) if item in left else 0.0)
        found.append((item, propensity, item == best))
        taken.add(item)
        left = left[left != item]
    return _result(found)


def _plackett_luce(
    codes: NDArray[np.intp], scores: NDArray[np.float32], k: int, temperature: float, rng: np.random.Generator
) -> Explored:
    own = scores[codes].astype(np.float64)
    logits = own / (temperature * (own.std() or 1.0)) if len(own) else own
    logits -= logits.max(initial=0)
    order = np.argsort(-(logits + rng.gumbel(size=len(logits))), kind="stable")[:k]
    weights, left = np.exp(logits), np.ones(len(logits), dtype=bool)
    found = []
    for place in order.tolist():
        best = int(np.where(left, own, -np.inf).argmax())
        found.append((int(codes[place]), float(weights[place] / weights[left].sum()), place == best))
        left[place] = False
    return _result(found)


def _result(found: list[tuple[int, float, bool]]) -> Explored:
    codes, propensities, greedy = zip(*found) if found else ((), (), ())
    return Explored(np.array(codes, np.intp), np.array(propensities, np.float64), np.array(greedy, np.bool_))
