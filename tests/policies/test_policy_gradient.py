"""The gradient is that of the objective by finite differences, and torch's of the surrogate of Chen et al.; climbing finds what is chosen."""

from dataclasses import replace

import numpy as np
import pytest
import torch

from longtail.policies.bandit import Base
from longtail.policies.cases import Case
from longtail.policies.policy_gradient import Climb, Moved, Usual, batch_of, fine_tune, gradient, objective
from longtail.scoring.asked import Explore
from longtail.scoring.bundle import LENGTH_BUCKETS, PARTS

ITEMS = 9
FREE = Climb(top_k=3, cap=np.inf)


def case(rng, n=7, k=3):
    shown = rng.permutation(n)[:k]
    return Case(
        user=f"u{rng.integers(50)}",
        codes=np.sort(rng.permutation(ITEMS)[:n]),
        parts=rng.normal(size=(n, len(PARTS) + 2)).astype(np.float32),
        bucket=int(rng.integers(LENGTH_BUCKETS)),
        shown=shown,
        propensities=rng.uniform(0.05, 0.9, k),
        rewards=rng.integers(0, 2, k).astype(float),
        explore=Explore(temperature=0.7),
        allowed=(n, 0),
        spread=1.0,
    )


@pytest.fixture
def given():
    rng = np.random.default_rng(0)
    base = Base(rng.normal(size=(LENGTH_BUCKETS, len(PARTS))), np.zeros(ITEMS), 0.1 * rng.normal(size=ITEMS))
    cases = [case(rng), case(rng, n=5, k=2), case(rng), case(rng, n=9, k=3)]
    moved = Moved(0.3 * rng.normal(size=(LENGTH_BUCKETS, len(PARTS))), 0.3 * rng.normal(size=ITEMS))
    batch = batch_of(cases, base, np.array([1.0, 2.0, 0.5, 1.0]), Usual.of(cases), FREE)
    return replace(batch, parts=batch.parts.astype(float), base=batch.base.astype(float)), moved


def test_uncapped_it_is_the_objectives_by_finite_differences(given):
    batch, moved = given
    found, _ = gradient(batch, moved, FREE)
    for name in ("parts", "offsets"):
        at = getattr(moved, name)
        expected = np.zeros_like(at)
        for place in np.ndindex(at.shape):
            sides = []
            for sign in (1, -1):
                there = at.copy()
                there[place] += sign * 1e-5
                sides.append(objective(batch, replace(moved, **{name: there}), FREE))
            expected[place] = (sides[0] - sides[1]) / 2e-5
        np.testing.assert_allclose(getattr(found, name), expected, atol=1e-5)


@pytest.mark.parametrize("cap", [np.inf, 1.0])
def test_capped_it_is_autograds_of_the_surrogate(given, cap):
    batch, moved = given
    climb = replace(FREE, cap=cap)
    parts, offsets = (torch.tensor(getattr(moved, name), requires_grad=True) for name in ("parts", "offsets"))
    total, weight = torch.zeros(()), 0.0
    for row in range(len(batch.base)):
        kept = batch.codes[row] >= 0
        scores = torch.tensor(batch.base[row][kept].astype(float))
        scores = scores + torch.tensor(batch.parts[row][kept].astype(float)) @ parts[batch.buckets[row]]
        scores = (scores + offsets[batch.codes[row][kept]]) / batch.spread[row]
        left = torch.ones(int(kept.sum()), dtype=torch.bool)
        for place, item in enumerate(batch.shown[row].tolist()):
            if item < 0:
                continue
            log_pi = scores[item] - torch.logsumexp(scores[left.clone()], 0)
            pi = log_pi.exp().item()
            w = min(pi / batch.chances[row, place], cap)
            total = total + w * 3 * (1 - pi) ** 2 * (batch.rewards[row, place] - batch.usual[row, place]) * log_pi
            weight += w
            left[item] = False
    total.backward()
    found, weights = gradient(batch, moved, climb)
    np.testing.assert_allclose(found.parts, parts.grad, atol=1e-6)
    np.testing.assert_allclose(found.offsets, offsets.grad, atol=1e-6)
    assert weights == pytest.approx(weight)


def test_climbing_lifts_what_is_chosen_and_leaves_what_was_not_shown():
    rng = np.random.default_rng(1)
    base = Base(np.ones((LENGTH_BUCKETS, len(PARTS))), np.zeros(ITEMS), np.zeros(ITEMS))
    cases = []
    for _ in range(300):
        one = case(rng, n=8, k=1)  # item 8 is never among them
        one = replace(one, codes=np.arange(8), propensities=np.array([1 / 8]), shown=rng.integers(8, size=1))
        cases.append(replace(one, rewards=(one.shown == 2).astype(float)))
    found = fine_tune(cases, base, Climb(top_k=1, steps=60))
    assert found.offsets.argmax() == 2
    assert found.offsets[8] == 0
    assert found.offsets[2] > 0.5 + np.delete(found.offsets, 2).max()


def test_what_is_usual_by_hand():
    """Four lists of two, of which the first is chosen each time; means are drawn to .5 as by 20 more items."""
    rng = np.random.default_rng(2)
    cases = [replace(case(rng, k=2), bucket=bucket, rewards=np.array([1.0, 0.0])) for bucket in (1, 1, 2, 2)]
    found = Usual.of(cases)
    assert found.mean == 0.5
    assert found.by_place[:2] == pytest.approx([(4 + 10) / 24 / 0.5, 10 / 24 / 0.5])
    assert found.by_bucket == pytest.approx([1] * LENGTH_BUCKETS)
    assert found.at(np.array([1]), 2) == pytest.approx(np.array([[14 / 24, 10 / 24]]))
