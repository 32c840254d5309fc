"""What a contextual bandit learns of shown lists: how much each part of the student's score counts, and an offset for each item.

A shown item's reward is explained by the student's score, by each of its parts for each length of history, by whether the item is new, by its own
offset, and by what does not rank: the place where it stood, and how often users of that history choose at all. Without data the
student's ranking stays: the prior is a positive weight of its score, and zeros.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray
from scipy.special import logit

from longtail.policies.bayes import Events, Fitted, Link, Prior, fit
from longtail.policies.cases import Case
from longtail.scoring.bundle import LENGTH_BUCKETS, PARTS
from longtail.scoring.posterior import Posterior

Floats = NDArray[np.float64]
# prior of the student's standardised score, in logits (linear: in deviations of the reward)
SLOPE, SLOPE_PRECISION = 0.5, 4.0
LEVEL_PRECISION = 0.1  # of how often anything is chosen
PLACE_PRECISION = 1.0
PART_PRECISION = 16.0  # of a part's own weight, for one deviation of it
NEW_PRECISION = 4.0
ITEM_PRECISION = 4.0  # of an item's offset


@dataclass(frozen=True)
class Learned:
    """weights [LENGTH_BUCKETS, PARTS] and offsets [items] of scores; posterior: how sure they are, where that is known."""

    weights: Floats
    offsets: Floats
    posterior: Posterior | None = None

    def scores(self, case: Case) -> Floats:
        """Of the case's candidates. ``[n]``"""
        return np.asarray(case.parts[:, : len(PARTS)] @ self.weights[case.bucket] + self.offsets[case.codes])

    def mixed(self, base: "Base", share: float, cases: Sequence[Case]) -> "Learned":
        """A share of it, and the rest of the bundle that was learnt from, both in deviations of their scores of ``cases``.

        How sure it is stays: taking less of what was learnt does not make the rest more certain.
        """
        before = Learned(base.part_weights, base.offsets)
        of_base, own = (float(np.mean([one.scores(case).std() for case in cases])) or 1.0 for one in (before, self))
        unit, posterior = of_base / own, self.posterior
        if posterior is not None:
            posterior = replace(posterior, maps=unit * posterior.maps, scale=unit * posterior.scale)
        weights, offsets = (1 - share) * before.weights, (1 - share) * before.offsets
        return Learned(weights + share * unit * self.weights, offsets + share * unit * self.offsets, posterior)


@dataclass(frozen=True)
class Base:
    """The bundle that is learnt from: part_weights [LENGTH_BUCKETS, PARTS]; new [items]; offsets [items] that it has already."""

    part_weights: Floats
    new: Floats
    offsets: Floats


def learn_bandit(cases: Sequence[Case], base: Base, link: Link) -> Learned:
    """The posterior's mean, and the posterior. link: ``logistic`` for Thompson sampling, ``linear`` for LinUCB."""
    design = _Design.of(cases, base)
    rewards = np.concatenate([case.rewards for case in cases])
    items = np.concatenate([case.codes[case.shown] for case in cases])
    unit = 1.0 if link == "logistic" else float(rewards.std()) or 1.0
    usual = np.clip(rewards.mean(), 1e-4, 1 - 1e-4)
    level = float(logit(usual)) if link == "logistic" else float(usual)
    prior = design.prior(level, unit)
    fitted = fit(Events(design.rows(cases), items, rewards, len(base.new)), prior, link)
    return design.learned(fitted, prior.of_items)


@dataclass(frozen=True)
class _Design:
    """Columns of a shown item: LENGTH_BUCKETS levels, places after the first, the student's score, a part's deviation for each
    bucket, newness. scale [PARTS] and of_score: deviations over what was shown; seen [LENGTH_BUCKETS, PARTS]: of which there is any."""

    base: Base
    places: int
    scale: Floats
    of_score: float
    seen: NDArray[np.bool_]

    @classmethod
    def of(cls, cases: Sequence[Case], base: Base) -> "_Design":
        parts = np.concatenate([case.parts[case.shown] for case in cases]).astype(np.float64)
        buckets = np.repeat([case.bucket for case in cases], [len(case.shown) for case in cases])
        scores = _scores(parts, buckets, base)
        deviations = parts[:, : len(PARTS)].std(axis=0)
        seen = np.zeros((LENGTH_BUCKETS, len(PARTS)), dtype=bool)
        np.logical_or.at(seen, buckets, parts[:, : len(PARTS)] != 0)
        places = max(len(case.shown) for case in cases)
        return cls(base, places, np.where(deviations > 0, deviations, 1.0), float(scores.std()) or 1.0, seen)

    @property
    def _ends(self) -> list[int]:
        """Where each group of columns ends: levels, places, score, parts, newness."""
        return [int(end) for end in np.cumsum([LENGTH_BUCKETS, self.places - 1, 1, LENGTH_BUCKETS * len(PARTS), 1])]

    def rows(self, cases: Sequence[Case]) -> Floats:
        """``[shown, columns]``"""
        parts = np.concatenate([case.parts[case.shown] for case in cases]).astype(np.float64)
        buckets = np.repeat([case.bucket for case in cases], [len(case.shown) for case in cases])
        places = np.concatenate([np.arange(len(case.shown)) for case in cases])
        n, (levels, after, score, own, _) = len(parts), self._ends
        rows = np.zeros((n, self._ends[-1]))
        rows[np.arange(n), buckets] = 1.0
        later = np.flatnonzero(places)
        rows[later, levels + places[later] - 1] = 1.0
        rows[:, after] = _scores(parts, buckets, self.base) / self.of_score
        columns = score + buckets[:, None] * len(PARTS) + np.arange(len(PARTS))
        rows[np.arange(n)[:, None], columns] = parts[:, : len(PARTS)] / self.scale
        rows[:, own] = parts[:, len(PARTS)]
        return rows

    def prior(self, level: float, unit: float) -> Prior:
        levels, after, score, own, end = self._ends
        mean, precision = np.zeros(end), np.zeros(end)
        mean[:levels], precision[:levels] = level, LEVEL_PRECISION
        precision[levels:after] = PLACE_PRECISION
        mean[after:score], precision[after:score] = SLOPE * unit, SLOPE_PRECISION
        precision[score:own], precision[own:] = PART_PRECISION, NEW_PRECISION
        return Prior(mean, precision / unit**2, ITEM_PRECISION / unit**2)

    def learned(self, fitted: Fitted, of_items: float) -> Learned:
        maps = self._maps()
        means = maps @ fitted.weights  # [LENGTH_BUCKETS, PARTS + 2]
        beside = np.stack([self.base.new, self.base.offsets])
        offsets = fitted.offsets + means[0, len(PARTS) :] @ beside  # the two have one weight for all buckets
        posterior = Posterior(
            fitted.factor, fitted.coupling, fitted.precision, beside, maps, np.array([of_items]), np.ones(1)
        )
        return Learned(means[:, : len(PARTS)], offsets, posterior)

    def _maps(self) -> Floats:
        """What the columns mean for the weights of parts, newness and earlier offsets. ``[LENGTH_BUCKETS, PARTS + 2, columns]``"""
        _, after, score, own, end = self._ends
        maps = np.zeros((LENGTH_BUCKETS, len(PARTS) + 2, end))
        maps[:, : len(PARTS), after] = self.base.part_weights / self.of_score
        maps[:, len(PARTS) + 1, after] = 1 / self.of_score
        for bucket in range(LENGTH_BUCKETS):
            for part in np.flatnonzero(self.seen[bucket]):
                maps[bucket, part, score + bucket * len(PARTS) + part] = 1 / self.scale[part]
        maps[:, len(PARTS), own] = 1.0
        return maps


def _scores(parts: Floats, buckets: NDArray[np.integer], base: Base) -> Floats:
    """The student's. parts [n, PARTS + 2]. ``[n]``"""
    own: Floats = np.einsum("nf,nf->n", parts[:, : len(PARTS)], base.part_weights[buckets]) + parts[:, len(PARTS) + 1]
    return own
