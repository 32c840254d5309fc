"""Policy-gradient fine-tuning of a student's ranking: REINFORCE off-policy with top-K correction (Chen et al. 2019, WSDM).

What moves is small: how much each part of the score counts for each length of history, and an offset for each item that was shown.
So the result is an ordinary bundle. The policy draws an item with the softmax of the scores among those not shown yet; one of K such
draws holds item a with probability ``alpha = 1 - (1 - pi(a)) ** K``, and what is learnt is ``sum of reward * alpha / propensity``,
whose gradient is ``w * lambda_K * reward * grad log pi(a)`` with ``w = pi / propensity`` and ``lambda_K = K (1 - pi) ** (K - 1)``. Weights are
capped and self-normalised, and the reward that is usual for the place and the length of history is taken off: where it was shown, and to
whom, is not what an item is liked for.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from longtail.policies.bandit import Base, Learned
from longtail.policies.cases import Case
from longtail.scoring.bundle import LENGTH_BUCKETS, PARTS

Floats = NDArray[np.float64]
ADAM = (0.9, 0.999, 1e-8)  # decays of the gradient's mean and of its square's, and what keeps from a division by 0
AT_ONCE = 2048  # lists whose candidates are weighed at one time
FEW = 20  # events that count as much as the mean of all
FLOOR = 1e-12  # of what is left to draw from


@dataclass(frozen=True)
class Climb:
    """How the gradient is followed. top_k: K of the correction; cap: greatest importance weight; steps of ``rate`` (Adam) over all lists;
    penalty: of squared changes, in the units of the mean reward; temperature: of the softmax where a list was not drawn by one, in
    deviations of the student's scores."""

    top_k: int
    cap: float = 10.0
    steps: int = 60
    rate: float = 0.05
    penalty: float = 0.3
    temperature: float = 0.5


@dataclass(frozen=True)
class Batch:
    """Lists of one shape. parts [lists, n, PARTS], divided by ``scale``; base [lists, n]: the student's scores; codes [lists, n], -1: none;
    shown, chances, rewards [lists, k], shown -1: none; usual [lists, k]: reward of such a place for such a user; spread [lists]: what scores are divided by before the softmax."""

    parts: NDArray[np.floating]
    base: NDArray[np.floating]
    codes: NDArray[np.int64]
    buckets: NDArray[np.int64]
    shown: NDArray[np.int64]
    chances: Floats
    rewards: Floats
    usual: Floats
    spread: Floats


@dataclass(frozen=True)
class Moved:
    """parts [LENGTH_BUCKETS, PARTS]: added to the weights of standardised parts; offsets [items]: added to scores."""

    parts: Floats
    offsets: Floats


@dataclass(frozen=True)
class Usual:
    """Mean rewards: of all shown items, of each length of history over that [LENGTH_BUCKETS], of each place over that [k]."""

    mean: float
    by_bucket: Floats
    by_place: Floats

    @classmethod
    def of(cls, cases: Sequence[Case]) -> "Usual":
        rewards = np.concatenate([case.rewards for case in cases])
        buckets = np.repeat([case.bucket for case in cases], [len(case.shown) for case in cases])
        places = np.concatenate([np.arange(len(case.shown)) for case in cases])
        mean = float(rewards.mean())
        return cls(mean, *(_over(rewards, groups, mean) for groups in (buckets, places)))

    def at(self, buckets: NDArray[np.integer], k: int) -> Floats:
        """``[lists, k]``"""
        return np.asarray(self.mean * self.by_bucket[buckets][:, None] * self.by_place[None, :k])


def _over(rewards: Floats, groups: NDArray[np.integer], mean: float) -> Floats:
    """Mean reward of each group over that of all; of few events it is drawn to 1. ``[groups]``"""
    size = max(LENGTH_BUCKETS, int(groups.max()) + 1)
    events, sums = np.bincount(groups, minlength=size), np.bincount(groups, rewards, size)
    return np.asarray((sums + FEW * mean) / ((events + FEW) * mean)) if mean else np.ones(size)


def fine_tune(cases: Sequence[Case], base: Base, climb: Climb) -> Learned:
    """The student's weights and offsets, moved up the gradient from where they are."""
    scale = _scale(cases)
    usual = Usual.of(cases)
    batches = [
        batch_of(cases[begin : begin + AT_ONCE], base, scale, usual, climb) for begin in range(0, len(cases), AT_ONCE)
    ]
    shown = np.zeros(len(base.new), dtype=bool)
    for case in cases:
        shown[case.codes[case.shown]] = True
    here = np.zeros(LENGTH_BUCKETS * len(PARTS) + len(base.new))
    mean, square = np.zeros((2, len(here)))
    for step in range(1, climb.steps + 1):
        moved = _moved(here)
        found = [gradient(batch, moved, climb) for batch in batches]
        total = sum(weight for _, weight in found) or 1.0
        up = np.sum([np.append(one.parts, one.offsets) for one, _ in found], axis=0) / total
        up -= climb.penalty * usual.mean * here
        up[LENGTH_BUCKETS * len(PARTS) :][~shown] = 0.0
        mean = ADAM[0] * mean + (1 - ADAM[0]) * up
        square = ADAM[1] * square + (1 - ADAM[1]) * up**2
        here = here + climb.rate * (mean / (1 - ADAM[0] ** step)) / (np.sqrt(square / (1 - ADAM[1] ** step)) + ADAM[2])
    moved = _moved(here)
    return Learned(base.part_weights + moved.parts / scale, base.offsets + moved.offsets)


def _moved(here: Floats) -> Moved:
    count = LENGTH_BUCKETS * len(PARTS)
    return Moved(here[:count].reshape(LENGTH_BUCKETS, len(PARTS)), here[count:])


def _scale(cases: Sequence[Case]) -> Floats:
    """Deviation of each part over what was shown, for one deviation of the student's scores. ``[PARTS]``"""
    deviations = np.concatenate([case.parts[case.shown, : len(PARTS)] for case in cases]).astype(np.float64).std(axis=0)
    return np.where(deviations > 0, deviations, 1.0)


def batch_of(cases: Sequence[Case], base: Base, scale: Floats, usual: "Usual", climb: Climb) -> Batch:
    """The cases side by side."""
    n, k = max(len(case.codes) for case in cases), max(len(case.shown) for case in cases)
    parts, scores = np.zeros((len(cases), n, len(PARTS)), np.float32), np.full((len(cases), n), -np.inf, np.float32)
    codes, shown = np.full((len(cases), n), -1), np.full((len(cases), k), -1)
    chances, rewards, spread = np.ones((len(cases), k)), np.zeros((len(cases), k)), np.ones(len(cases))
    for row, case in enumerate(cases):
        own, listed = len(case.codes), len(case.shown)
        student = case.parts[:, : len(PARTS)] @ base.part_weights[case.bucket] + base.offsets[case.codes]
        parts[row, :own], scores[row, :own], codes[row, :own] = case.parts[:, : len(PARTS)] / scale, student, case.codes
        shown[row, :listed], chances[row, :listed], rewards[row, :listed] = case.shown, case.propensities, case.rewards
        temperature = climb.temperature if case.explore.temperature is None else case.explore.temperature
        spread[row] = temperature * (float(student.std()) * case.spread or 1.0)
    buckets = np.array([case.bucket for case in cases])
    return Batch(parts, scores, codes, buckets, shown, chances, rewards, usual.at(buckets, k), spread)


def gradient(batch: Batch, moved: Moved, climb: Climb) -> tuple[Moved, float]:
    """Sum over the shown items of ``min(w, cap) * lambda_K * (reward - usual) * grad log pi``, and the sum of capped weights."""
    shares, left = _policy(batch, moved)
    rows = np.arange(len(shares))[:, None]
    there, shown = batch.shown >= 0, np.maximum(batch.shown, 0)
    pi = np.where(there, shares[rows, shown] / left, 0.0)  # [lists, k]
    weights = np.minimum(pi / batch.chances, climb.cap) * there
    lifted = climb.top_k * (1 - np.minimum(pi, 1.0)) ** (climb.top_k - 1)
    pull = weights * lifted * (batch.rewards - batch.usual)  # [lists, k]
    # d log pi_j / d logit_i = [i shown at j] - [i not shown before j] * share_i / left_j
    each = pull / left
    down = -shares * each.sum(axis=1, keepdims=True).astype(shares.dtype)
    later = each.sum(axis=1, keepdims=True) - np.cumsum(
        each, axis=1
    )  # of the places behind j, where i is not there any more
    np.add.at(down, (rows, shown), np.where(there, pull + shares[rows, shown] * later, 0.0))
    down /= batch.spread[:, None]
    by_list = (down[:, None, :] @ batch.parts)[:, 0]
    of_parts = np.zeros((LENGTH_BUCKETS, len(PARTS)))
    np.add.at(of_parts, batch.buckets, by_list)
    known = batch.codes >= 0
    of_items = np.bincount(batch.codes[known], down[known], len(moved.offsets)).astype(np.float64)
    return Moved(of_parts, of_items), float(weights.sum())


def objective(batch: Batch, moved: Moved, climb: Climb) -> float:
    """``sum of (reward - usual) * alpha / propensity``: what ``gradient`` climbs where no weight is capped."""
    shares, left = _policy(batch, moved)
    rows, there = np.arange(len(shares))[:, None], batch.shown >= 0
    pi = np.where(there, shares[rows, np.maximum(batch.shown, 0)] / left, 0.0)
    alpha = 1 - (1 - pi) ** climb.top_k
    return float(((batch.rewards - batch.usual) * alpha / batch.chances * there).sum())


def _policy(batch: Batch, moved: Moved) -> tuple[NDArray[np.floating], Floats]:
    """Softmax over all candidates [lists, n], and what of it is left before each place [lists, k]."""
    added = (batch.parts @ moved.parts[batch.buckets].astype(batch.parts.dtype)[:, :, None])[:, :, 0]
    added += moved.offsets.astype(batch.parts.dtype)[np.maximum(batch.codes, 0)]
    logits = (batch.base + added) / batch.spread.astype(batch.parts.dtype)[:, None]
    logits -= logits.max(axis=1, keepdims=True)
    shares = np.exp(logits, out=logits)
    shares /= shares.sum(axis=1, keepdims=True)
    shown = np.where(batch.shown >= 0, shares[np.arange(len(shares))[:, None], np.maximum(batch.shown, 0)], 0.0)
    before = np.cumsum(shown, axis=1) - shown
    return shares, np.maximum(1 - before.astype(np.float64), FLOOR)
