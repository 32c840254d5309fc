"""What a campaign changed: those contacted against those held out, within strata, with intervals.

Arms are drawn within strata, so strata are compared and weighted by their users (post-stratification); the outcome may be adjusted by
what was known before the contact (CUPED, Deng et al. 2013), which takes variance away and leaves the expectation as it is.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy import stats

from longtail.contracts.artifacts import finite
from longtail.contracts.errors import UserError

LEAST = 10  # users of each arm of a stratum; smaller strata are joined: the share held out is the same in all
SRM_LIMIT = 0.001  # of the sample ratio's p-value, below which no verdict is given

Floats = NDArray[np.float64]


@dataclass(frozen=True)
class Effect:
    """The mean increase by a contact with its interval and two-sided p-value; without: the mean of those held out."""

    effect: float
    low: float
    high: float
    p_value: float
    contacted: int
    held_out: int
    without: float

    def as_json(self) -> dict[str, Any]:
        return {name: finite(value) for name, value in vars(self).items()}


def effect_of(
    outcome: Floats,
    contacted: NDArray[np.bool_],
    strata: Sequence[object],
    before: Floats | None = None,
    confidence: float = 0.95,
) -> Effect:
    """Stratified difference of means, ``sum_s n_s / n (mean contacted - mean held out)``.

    outcome, contacted, strata: [users]; before: a value known before the contact, by which the outcome is adjusted. The interval is of
    Student's t with Welch and Satterthwaite's degrees of freedom.

    Raises:
        UserError: an arm has fewer than two users.
    """
    for arm, name in ((contacted, "was contacted"), (~contacted, "was held out")):
        if np.count_nonzero(arm) < 2:
            raise UserError(
                f"{np.count_nonzero(arm)} of {len(arm)} users {name}: an arm is missing, so there is no effect to measure"
            )
    codes = joined(strata, contacted)
    values = outcome if before is None else adjusted(outcome, before, codes, contacted)
    difference, variance, parts = 0.0, 0.0, 0.0
    without = 0.0
    for code in np.unique(codes):
        inside = codes == code
        weight = inside.mean()
        ours, others = values[inside & contacted], values[inside & ~contacted]
        difference += weight * (ours.mean() - others.mean())
        without += weight * others.mean()
        for arm in (ours, others):
            error = weight**2 * arm.var(ddof=1) / len(arm)
            variance += error
            parts += error**2 / (len(arm) - 1)
    if variance == 0:  # all outcomes of each arm alike: nothing says how sure that is
        return Effect(
            float(difference), np.nan, np.nan, np.nan, int(contacted.sum()), int((~contacted).sum()), float(without)
        )
    freedom, error = variance**2 / parts, np.sqrt(variance)
    half = stats.t.isf((1 - confidence) / 2, freedom) * error
    p_value = 2 * stats.t.sf(abs(difference) / error, freedom)
    return Effect(
        effect=float(difference),
        low=float(difference - half),
        high=float(difference + half),
        p_value=float(p_value),
        contacted=int(contacted.sum()),
        held_out=int((~contacted).sum()),
        without=float(without),
    )


def joined(strata: Sequence[object], contacted: NDArray[np.bool_]) -> NDArray[np.int64]:
    """Codes of strata [users] in which both arms have ``LEAST`` users; smaller ones are one stratum, with the next larger one if need be."""
    _, codes = np.unique(np.array([str(one) for one in strata], dtype=object).astype(str), return_inverse=True)
    codes = codes.reshape(-1).astype(np.int64)
    least = np.minimum(np.bincount(codes, contacted), np.bincount(codes, ~contacted))
    order = np.argsort(least, kind="stable")
    small = least < LEAST
    if small.any() and not small.all():
        group = np.isin(codes, np.flatnonzero(small))
        if min(contacted[group].sum(), (~contacted[group]).sum()) < LEAST:
            small[order[np.count_nonzero(small)]] = True
    rest = np.where(small, len(least), np.arange(len(least)))
    return np.asarray(rest[codes])


def adjusted(outcome: Floats, before: Floats, codes: NDArray[np.int64], contacted: NDArray[np.bool_]) -> Floats:
    """``outcome - theta (before - its mean in the stratum)``, theta the regression within strata and arms. ``[users]``

    Centred in the stratum, so that the mean of both arms together stays as it was.
    """
    cells = codes * 2 + contacted
    x, y = before - _means(before, cells), outcome - _means(outcome, cells)
    spread = x @ x
    theta = (x @ y) / spread if spread > 0 else 0.0
    return np.asarray(outcome - theta * (before - _means(before, codes)))


def _means(values: Floats, codes: NDArray[np.int64]) -> Floats:
    return np.asarray((np.bincount(codes, values) / np.maximum(np.bincount(codes), 1))[codes])


def sample_ratio(contacted: int, held_out: int, share: float) -> float:
    """p-value of Pearson's chi-square test that ``share`` of these users were held out."""
    users = contacted + held_out
    return float(stats.chisquare([contacted, held_out], [users * (1 - share), users * share]).pvalue)


def holm(p_values: Sequence[float]) -> list[float]:
    """Holm's (1979) adjusted p-values, in the order given; those missing stay missing and count as no test.

    >>> holm([0.01, 0.04, 0.03])
    [0.03, 0.06, 0.06]
    """
    known = [place for place, p in enumerate(p_values) if np.isfinite(p)]
    found = [float("nan")] * len(p_values)
    highest = 0.0
    for rank, place in enumerate(sorted(known, key=lambda place: p_values[place])):
        highest = max(highest, min(1.0, (len(known) - rank) * p_values[place]))
        found[place] = highest
    return found


def per_activated(spent: float, effect: Effect) -> dict[str, float | None]:
    """Cost of one user whom the contacts activated, with bounds; None where the effect may be none, so that there is no bound."""

    def cost(rate: float) -> float | None:
        return spent / (rate * effect.contacted) if np.isfinite(rate) and rate > 0 else None

    return {"cost": cost(effect.effect), "low": cost(effect.high), "high": cost(effect.low)}
