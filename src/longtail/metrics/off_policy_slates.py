"""The value of a policy that fills several places at once, from a log of slates and their probabilities.

``Slates`` holds ratios of probabilities, which ways of showing slates give differently:

- *given those before*: the probability of the item at its place, given the items of the places before it. ``longtail``'s server
  writes these (``explore``). Their product is the slate's. They serve ``standard``, ``reward_interaction`` and ``cascade_dr``.
- *marginal*: the probability of the item at its place, whatever stands elsewhere. They serve ``independent`` and ``pseudo_inverse``.

Where places are filled independently the two are the same. The value is the expected sum of a slate's rewards.
"""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from longtail.contracts.errors import UserError
from longtail.metrics.off_policy import Estimate, Way, effective_sample_size
from longtail.metrics.off_policy_intervals import Level, Paid, Units, interval_of_rewards

Numbers = NDArray[np.float64]
ASSUMES = {  # estimator -> what must hold beside right probabilities
    "standard": "nothing",
    "reward-interaction": "a place's reward depends on the items at it and before it",
    "independent": "a place's reward depends on the item at it alone",
    "pseudo-inverse": "the slate's reward is a sum of effects of an item at a place",
    "cascade-dr": "as reward-interaction",
}


@dataclass(frozen=True)
class Slates:
    """reward ``[slates, places]``; ratio ``[slates, places]``: the policy's over the log's probability of the item at its place.

    user: whose slate it was, ``[slates]``.

    Raises:
        UserError: naming the slate, from 0, with a reward or ratio that cannot be.
    """

    reward: Numbers
    ratio: Numbers
    user: NDArray[np.generic] | None = None

    def __post_init__(self) -> None:
        if self.reward.shape != self.ratio.shape or self.reward.ndim != 2 or not self.reward.size:
            raise UserError(
                f"rewards are {self.reward.shape}, ratios of probabilities {self.ratio.shape}; give both as [slates, places]"
            )
        for name, wrong in (
            ("reward", ~np.isfinite(self.reward)),
            ("ratio", ~(np.isfinite(self.ratio) & (self.ratio >= 0))),
        ):
            if wrong.any():
                slate, place = np.argwhere(wrong)[0]
                raise UserError(f"slate {slate}, place {place}: the {name} is no number that can be; mend the log")


def standard(slates: Slates, way: Way | None = None) -> Estimate:
    """Every slate's reward, weighted by the ratio of the whole slates' probabilities: unbiased, and of great variance."""
    weight = _clipped(slates.ratio.prod(axis=1), way)
    return _estimate("standard", slates, weight * slates.reward.sum(axis=1), weight, way)


def independent(slates: Slates, way: Way | None = None) -> Estimate:
    """Every place's reward by that place's own ratio (Li et al. 2018, item-position click model)."""
    weight = _clipped(slates.ratio, way)
    return _estimate("independent", slates, (weight * slates.reward).sum(axis=1), weight, way)


def reward_interaction(slates: Slates, way: Way | None = None) -> Estimate:
    """Every place's reward by the ratio of all places up to it (McInerney et al. 2020)."""
    weight = _clipped(slates.ratio.cumprod(axis=1), way)
    return _estimate("reward-interaction", slates, (weight * slates.reward).sum(axis=1), weight[:, -1], way)


def pseudo_inverse(slates: Slates, way: Way | None = None) -> Estimate:
    """Swaminathan et al. 2017 where the log fills places independently: the weight is the sum of the ratios, less places - 1.

    For other logs ``pseudo_inverse_weights`` gives the weights.
    """
    weight = slates.ratio.sum(axis=1) - (slates.ratio.shape[1] - 1)
    return by_weights(slates, weight, way)


def by_weights(slates: Slates, weight: Numbers, way: Way | None = None) -> Estimate:
    """The mean of weights times a slate's reward; weights may be negative. weight ``[slates]``"""
    return _estimate("pseudo-inverse", slates, weight * slates.reward.sum(axis=1), weight, way)


def pseudo_inverse_weights(
    shown: NDArray[np.int64], possible: NDArray[np.int64], log: Numbers, policy: Numbers
) -> Numbers:
    """Weights of slates where all that the log may show can be enumerated (Swaminathan et al. 2017). ``[slates]``

    Args:
        shown: items of the log's slates, codes from 0. ``[slates, places]``
        possible: every slate that the log may show. ``[possible, places]``
        log, policy: the probability of each of these. ``[possible]``

    Raises:
        UserError: the policy shows an item at a place where the log never does.
    """
    n_items, places = int(max(possible.max(), shown.max())) + 1, possible.shape[1]
    marks = _indicators(possible, n_items)
    second = marks.T @ (marks * log[:, None])  # E[1 1'], [places x items, places x items]
    mean = policy @ marks
    lacking = (mean > 0) & (np.diag(second) == 0)
    if lacking.any():
        place, item = divmod(int(lacking.argmax()), n_items)
        raise UserError(
            f"item {item} at place {place}: the policy shows it, the log never does, so nothing is known of it"
        )
    assert places * n_items == len(mean)
    return np.asarray(_indicators(shown, n_items) @ (np.linalg.pinv(second, hermitian=True) @ mean), dtype=np.float64)


def cascade_dr(slates: Slates, of_shown: Numbers, of_policy: Numbers, way: Way | None = None) -> Estimate:
    """Doubly robust in a cascade (Kiyohara et al. 2022): the variance of ``reward_interaction`` cut by a model.

    Args:
        of_shown: reward that a model expects from this place on, given the items up to and at it. ``[slates, places]``
        of_policy: the same in expectation over what the policy shows at this place, given the items before. ``[slates, places]``
    """
    weight = _clipped(slates.ratio.cumprod(axis=1), way)
    before = np.concatenate([np.ones((len(weight), 1)), weight[:, :-1]], axis=1)
    paid = (weight * slates.reward).sum(axis=1)
    model = (before * of_policy - weight * of_shown).sum(axis=1)
    return _estimate("cascade-dr", slates, paid, weight[:, -1], way, model)


def _indicators(slates: NDArray[np.int64], n_items: int) -> Numbers:
    """A column for every item at every place. ``[slates, places x items]``"""
    rows, places = slates.shape
    marks = np.zeros((rows, places, n_items))
    marks[np.arange(rows)[:, None], np.arange(places)[None, :], slates] = 1.0
    return marks.reshape(rows, places * n_items)


def _clipped(weight: Numbers, way: Way | None) -> Numbers:
    return weight if way is None or way.clip is None else np.minimum(weight, way.clip)


def _estimate(
    method: str, slates: Slates, paid: Numbers, weight: Numbers, way: Way | None, model: Numbers | None = None
) -> Estimate:
    """paid: what slates earned, by their weights; model: what a model adds. ``[slates]``; weight may be of every place

    Clipping biases the value, and the interval leaves that out, which ``warnings`` says.
    """
    way = way or Way()
    units = Units.of(slates.user, len(paid))
    terms = paid if model is None else paid + model
    value = float(terms.mean())
    level = Level(way.confidence, way.samples, way.seed, way.reward_range)
    sums = slates.reward.sum(axis=1)
    ends = Paid.of(weight if weight.ndim == 1 else weight.mean(axis=1), sums, None)
    low, high = interval_of_rewards(value, terms, Paid(paid, ends.most, ends.least), units, level)
    said = () if way.clip is None else (f"weights are cut at {way.clip:g}: the interval leaves the bias of that out",)
    return Estimate(
        method,
        value,
        low,
        high,
        units.error(value, terms),
        effective_sample_size(weight.ravel()),
        len(terms),
        warnings=said,
    )
