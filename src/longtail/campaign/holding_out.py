"""A random hold-out: how large it must be to prove an effect, and who is in it.

Users are drawn by a keyed hash of their id, so that the same seed draws the same users in any order of rows.
"""

import hashlib
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from scipy.stats import norm

from longtail.contracts.errors import UserError

UNIT = 2.0**-64


@dataclass(frozen=True)
class HoldOutSize:
    """A hold-out of ``held_out`` of ``users``: the power to see the least effect, and the least effect that has that power."""

    users: int
    held_out: int
    power: float
    detectable: float

    @property
    def share(self) -> float:
        return self.held_out / self.users if self.users else 0.0


def hold_out_size(
    users: int,
    baseline: float,
    least_effect: float,
    power: float = 0.8,
    significance: float = 0.05,
    deviation: float | None = None,
) -> HoldOutSize:
    """The smallest hold-out among ``users`` with which a two-sided test sees ``least_effect`` with this power.

    baseline: rate (or mean) of the outcome without contact. deviation: standard deviation of the outcome, where it is an amount; a
    rate's follows from it. Where no hold-out has the power, half of the users, whose ``power`` is lower then: what it can prove is
    its ``detectable``. Variances of both arms are not pooled, as ``measuring`` does; strata, which only help, are left out.

    Raises:
        UserError: numbers that no campaign has.
    """
    _check(baseline, least_effect, power, significance, deviation)

    def reached(held_out: NDArray[np.int64]) -> NDArray[np.float64]:
        return power_of(users, held_out, baseline, least_effect, significance, deviation)

    low, high = 1, max(1, users // 2)
    if reached(np.array([high]))[0] >= power:
        while low < high:  # power grows up to half of the users
            middle = (low + high) // 2
            low, high = (low, middle) if reached(np.array([middle]))[0] >= power else (middle + 1, high)
    held_out = min(high, users)
    found = float(reached(np.array([held_out]))[0]) if users >= 2 else 0.0
    return HoldOutSize(users, held_out, found, detectable(users, held_out, baseline, power, significance, deviation))


def power_of(
    users: int,
    held_out: NDArray[np.int64],
    baseline: float,
    effect: float,
    significance: float = 0.05,
    deviation: float | None = None,
) -> NDArray[np.float64]:
    """Power of a two-sided normal test of the difference of two means, for each size of the hold-out."""
    error = _error(users, held_out, baseline, effect, deviation)
    limit = norm.isf(significance / 2)
    shift = abs(effect) / error
    return np.asarray(norm.sf(limit - shift) + norm.cdf(-limit - shift))


def detectable(
    users: int,
    held_out: int,
    baseline: float,
    power: float = 0.8,
    significance: float = 0.05,
    deviation: float | None = None,
) -> float:
    """The least increase that this hold-out sees with this power; infinite where even the greatest is not."""
    if users < 2 or not 0 < held_out < users:
        return float("inf")
    low, high = 0.0, 1.0 - baseline if deviation is None else 1e3 * max(deviation, 1e-12)
    sizes = np.array([held_out])
    if power_of(users, sizes, baseline, high, significance, deviation)[0] < power:
        return float("inf")
    for _ in range(100):
        middle = (low + high) / 2
        enough = power_of(users, sizes, baseline, middle, significance, deviation)[0] >= power
        low, high = (low, middle) if enough else (middle, high)
    return high


def _error(
    users: int, held_out: NDArray[np.int64], baseline: float, effect: float, deviation: float | None
) -> NDArray[np.float64]:
    """Standard error of the difference."""
    with np.errstate(divide="ignore"):
        contacted = np.maximum(users - held_out, 0)
        if deviation is not None:
            variance = deviation**2 * (1 / contacted + 1 / held_out)
        else:
            after = min(max(baseline + effect, 0.0), 1.0)
            variance = after * (1 - after) / contacted + baseline * (1 - baseline) / held_out
        return np.maximum(np.sqrt(variance), 1e-300)


def _check(baseline: float, least_effect: float, power: float, significance: float, deviation: float | None) -> None:
    if not (0 < significance < power < 1):
        raise UserError(f"power {power} and significance {significance} must be between 0 and 1, power the greater")
    if not least_effect > 0:
        raise UserError(f"least_effect {least_effect}: must be above 0, the least increase that is worth the campaign")
    if deviation is None and not (baseline >= 0 and baseline + least_effect <= 1):
        raise UserError(
            f"baseline {baseline} and least_effect {least_effect}: a rate and its increase must stay between 0 and 1"
        )
    if deviation is not None and not deviation > 0:
        raise UserError(f"deviation {deviation}: must be above 0")


def draw_hold_out(
    user_ids: Sequence[str], strata: Iterable[object], share: float, seed: int | str
) -> NDArray[np.bool_]:
    """Who is held out: ``share`` of every stratum, rounded up or down by chance. ``[users]``

    Within a stratum users come in the order of a hash of their id under the seed, and the first are held out: so neither the order
    of rows nor the other strata matter, and another user in the stratum changes the arm of one user at most. How many these are
    is share x users, its fraction rounded up with that very probability (a hash of the stratum), so that every user is held out with
    the probability ``share``, also in a stratum of one.

    Raises:
        UserError: a share outside 0 to 1, or a user who stands there twice.
    """
    if not 0 <= share <= 1:
        raise UserError(f"share {share} of the hold-out: must be between 0 and 1")
    users = pd.DataFrame({"user": list(user_ids), "stratum": [str(stratum) for stratum in strata]})
    if (twice := users["user"].duplicated()).any():
        raise UserError(f"user {users['user'][twice].iloc[0]!r}: is there twice; a user is drawn once")
    users["key"] = keyed_hash(users["user"].tolist(), f"user/{seed}")
    place = users.sort_values(["key", "user"]).groupby("stratum").cumcount().reindex(users.index)
    sizes = users.groupby("stratum").size()
    luck = keyed_hash(sizes.index.tolist(), f"stratum/{seed}").astype(np.float64) * UNIT
    held_out = pd.Series(np.floor(share * sizes.to_numpy() + luck), index=sizes.index)
    return np.asarray(place.to_numpy() < users["stratum"].map(held_out).to_numpy())


def keyed_hash(texts: Sequence[str], key: str) -> NDArray[np.uint64]:
    """64 bits of BLAKE2b of every text under a key. ``[texts]``"""
    base = hashlib.blake2b(digest_size=8, key=hashlib.sha256(key.encode()).digest())

    def one(text: str) -> bytes:
        each = base.copy()
        each.update(text.encode())
        return each.digest()

    return np.frombuffer(b"".join(map(one, texts)), dtype=">u8").astype(np.uint64)
