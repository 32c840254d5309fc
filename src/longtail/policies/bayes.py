"""Bayesian regression of rewards on what is known of user and item, with an offset for each item: linear, or logistic by Laplace.

``eta = rows . weights + offsets[item]``, with normal priors. Linear: the reward is normal around ``eta``; logistic: it comes with
probability ``1 / (1 + exp(-eta))``, and the posterior is the normal distribution at its mode with the curvature there (Laplace; Chapelle
& Li 2011 for Thompson sampling). Both take the offsets out of every system of equations (``scoring.posterior``), so the cost is linear in items.
"""

from dataclasses import dataclass
from typing import Literal

import numpy as np
from numpy.typing import NDArray
from scipy import sparse
from scipy.special import expit

from longtail.contracts.errors import UserError

Floats = NDArray[np.float64]
Link = Literal["linear", "logistic"]
STEPS = 100  # of Newton's method at most; a dozen are usual
CLOSE = 1e-8  # greatest step that ends it
HALVINGS = 30  # of a step, before it is taken as none


@dataclass(frozen=True)
class Events:
    """rows [n, small]: what is known of each event; items [n]: codes; rewards [n]; n_items: of the catalogue."""

    rows: Floats
    items: NDArray[np.integer]
    rewards: Floats
    n_items: int

    def of(self, chosen: NDArray[np.bool_]) -> "Events":
        return Events(self.rows[chosen], self.items[chosen], self.rewards[chosen], self.n_items)


@dataclass(frozen=True)
class Prior:
    """precision [small] of the weights around ``mean`` [small], and of each item's offset around 0; infinite: no offsets."""

    mean: Floats
    precision: Floats
    of_items: float


@dataclass(frozen=True)
class Fitted:
    """weights [small], offsets [items], and of their joint distribution: factor, coupling, precision (``scoring.posterior``)."""

    weights: Floats
    offsets: Floats
    factor: Floats
    coupling: Floats
    precision: Floats

    def means(self, rows: Floats, items: NDArray[np.integer]) -> Floats:
        """``eta`` of each event. ``[n]``"""
        return np.asarray(rows @ self.weights + self.offsets[items])

    def deviations(self, rows: Floats, items: NDArray[np.integer]) -> Floats:
        """Standard deviation of ``eta``. ``[n]``"""
        precision = self.precision[items]
        seen = rows - (self.coupling[:, items] / precision).T
        return np.asarray(np.sqrt(np.square(seen @ self.factor).sum(axis=1) + 1 / precision))

    def draw(self, rng: np.random.Generator) -> tuple[Floats, Floats]:
        """Weights [small] and offsets [items] of one draw from the posterior."""
        moved = self.factor @ rng.normal(size=len(self.weights))
        offsets = self.offsets - moved @ self.coupling / self.precision
        return self.weights + moved, offsets + rng.normal(size=len(offsets)) / np.sqrt(self.precision)


def fit(events: Events, prior: Prior, link: Link) -> Fitted:
    """
    Raises:
        UserError: rewards that are not finite, or, for a logistic link, not 0 or 1.
    """
    if not np.isfinite(events.rewards).all():
        raise UserError("rewards: some are not finite numbers; correct the log")
    if link == "logistic":
        if not np.isin(events.rewards, (0.0, 1.0)).all():
            raise UserError(
                "rewards: a logistic model takes 0 and 1; give such rewards, or take the linear one (linucb)"
            )
        return _logistic(events, prior)
    variance = max(float(events.rewards.var()), 1e-12) if len(events.rewards) else 1.0
    found = _linear(events, prior, variance)
    residuals = events.rewards - found.means(events.rows, events.items)
    return _linear(events, prior, max(float(np.mean(residuals**2)), 1e-3 * variance)) if len(residuals) else found


def _linear(events: Events, prior: Prior, variance: float) -> Fitted:
    curvature = np.full(len(events.rewards), 1 / variance)
    here, offsets = prior.mean, np.zeros(events.n_items)
    slope = (events.rewards - events.rows @ here) / variance
    return _stepped(events, prior, here, offsets, slope, curvature)


def _logistic(events: Events, prior: Prior) -> Fitted:
    weights, offsets = prior.mean.copy(), np.zeros(events.n_items)
    value = _log_posterior(events, prior, weights, offsets)
    for _ in range(STEPS):
        chances = expit(events.rows @ weights + offsets[events.items])
        slope, curvature = events.rewards - chances, chances * (1 - chances)
        aim = _stepped(events, prior, weights, offsets, slope, curvature)
        to_weights, to_offsets, share = aim.weights - weights, aim.offsets - offsets, 1.0
        for _ in range(HALVINGS):
            there = weights + share * to_weights, offsets + share * to_offsets
            reached = _log_posterior(events, prior, *there)
            if reached >= value:
                break
            share /= 2
        else:
            break  # rounding: no step leads up any more
        step = share * max(np.abs(to_weights).max(initial=0.0), np.abs(to_offsets).max(initial=0.0))
        (weights, offsets), value = there, reached
        if step < CLOSE:
            break
    chances = expit(events.rows @ weights + offsets[events.items])
    around = _stepped(events, prior, weights, offsets, events.rewards - chances, chances * (1 - chances))
    return Fitted(weights, offsets, around.factor, around.coupling, around.precision)


def _stepped(
    events: Events, prior: Prior, weights: Floats, offsets: Floats, slope: Floats, curvature: Floats
) -> Fitted:
    """Newton's step from here, and the curvature here. slope, curvature [n]: of each event's log likelihood by ``eta``, the latter negated."""
    places = (events.items, np.arange(len(events.items)))
    of_items = sparse.csr_array((curvature, places), shape=(events.n_items, len(events.items)))  # [items, n]
    full = np.diag(prior.precision) + (events.rows * curvature[:, None]).T @ events.rows
    coupling = np.asarray(of_items @ events.rows).T  # [small, items]
    precision = prior.of_items + np.asarray(of_items.sum(axis=1)).ravel()
    up = events.rows.T @ slope - prior.precision * (weights - prior.mean)
    up_items = np.bincount(events.items, slope, events.n_items).astype(np.float64)
    if np.isfinite(prior.of_items):
        up_items -= prior.of_items * offsets
    covariance = np.linalg.inv(full - (coupling / precision) @ coupling.T)
    moved = covariance @ (up - coupling @ (up_items / precision))
    moved_items = (up_items - moved @ coupling) / precision
    factor = np.linalg.cholesky((covariance + covariance.T) / 2).astype(np.float64)
    return Fitted(weights + moved, offsets + moved_items, factor, coupling, precision)


def _log_posterior(events: Events, prior: Prior, weights: Floats, offsets: Floats) -> float:
    eta = events.rows @ weights + offsets[events.items]
    own = prior.of_items * np.square(offsets).sum() if np.isfinite(prior.of_items) else 0.0
    gone = (prior.precision * np.square(weights - prior.mean)).sum() + own
    return float((events.rewards * eta - np.logaddexp(0, eta)).sum() - gone / 2)
