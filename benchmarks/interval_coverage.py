"""How often the interval of a mean misses the truth, by kind of data, number of users and way of making the interval.

Users' values are drawn from known laws: NDCG@10 of one target that is found with a chance and then stands anywhere in the list, and the
paired difference of two such systems. ``used`` is what the evaluation prints (metrics/significance.py).

    python benchmarks/interval_coverage.py [--repetitions 4000] [--json coverage-benchmark.json]
"""

import argparse
import json
import os
import platform
import time
from pathlib import Path
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray
from scipy.special import ndtr, ndtri

from longtail.metrics.significance import mean_intervals

USERS = (20, 50, 100, 200, 1000)
SAMPLES, CONFIDENCE = 1000, 0.95
TAILS = np.array([(1 - CONFIDENCE) / 2, (1 + CONFIDENCE) / 2])
PLACES = np.arange(1, 11)
CHANCES = (1 / PLACES) / (1 / PLACES).sum()  # of the place of a hit
GAINS = 1 / np.log2(1 + PLACES)
Bounds = tuple[NDArray[np.float64], NDArray[np.float64]]  # low, high: each [repetitions]


class Law(NamedTuple):
    """What users' values are drawn from. rival: share of users for whom the rival finds the target; None for one system alone."""

    name: str
    student: float
    rival: float | None = None
    shared: float = 0.0  # share of users for whom both find, or miss, together, at the same place

    def draw(self, rng: np.random.Generator, shape: tuple[int, int]) -> tuple[NDArray[np.float64], float]:
        """Values [users, repetitions], and their true mean."""
        luck, place = rng.random(shape), GAINS[rng.choice(10, size=shape, p=CHANCES)]
        values = np.where(luck < self.student, place, 0.0)
        if self.rival is None:
            return values, self.student * float(CHANCES @ GAINS)
        together = rng.random(shape) < self.shared
        other = np.where(together, place, GAINS[rng.choice(10, size=shape, p=CHANCES)])
        values -= np.where(np.where(together, luck, rng.random(shape)) < self.rival, other, 0.0)
        return values, (self.student - self.rival) * float(CHANCES @ GAINS)


LAWS = (
    Law("mean, 2 % find it", 0.02),
    Law("mean, 12 % find it", 0.12),
    Law("mean, 45 % find it", 0.45),
    Law("difference of equals, 12 %", 0.12, 0.12, 0.5),
    Law("difference of equals, 45 %", 0.45, 0.45, 0.5),
    Law("difference, 10 % beside 15 %", 0.10, 0.15, 0.7),
    Law("difference, 5 % beside none", 0.05, 0.0),
)


def percentile(values: NDArray[np.float64], means: NDArray[np.float64]) -> Bounds:
    """As it was before. means [samples, repetitions]: of the resamplings."""
    low, high = np.quantile(means, TAILS, axis=0)
    return low, high


def bca(values: NDArray[np.float64], means: NDArray[np.float64]) -> Bounds:
    """Bias-corrected and accelerated percentiles (Efron 1987)."""
    centred = values - values.mean(axis=0)
    spread = np.square(centred).sum(axis=0)
    acceleration = (centred**3).sum(axis=0) / np.where(spread > 0, 6 * spread**1.5, 1.0)
    mean = values.mean(axis=0)
    below = (means < mean).mean(axis=0) + (means == mean).mean(axis=0) / 2
    bias = ndtri(np.clip(below, 1 / (len(means) + 1), len(means) / (len(means) + 1)))
    ordered = np.sort(means, axis=0)

    def bound(z: float) -> NDArray[np.float64]:
        share = ndtr(bias + (bias + z) / (1 - acceleration * (bias + z)))
        place = np.clip(np.round(share * (len(means) - 1)), 0, len(means) - 1).astype(int)
        return ordered[place, np.arange(means.shape[1])]

    low, high = (bound(float(z)) for z in ndtri(TAILS))
    return low, high


def used(values: NDArray[np.float64], lowest: float, seed: int) -> Bounds:
    found = mean_intervals(values, SAMPLES, CONFIDENCE, seed, lowest)
    return found.low, found.high


def measure(law: Law, users: int, repetitions: int, seed: int = 0) -> dict[str, float | int | str]:
    """Shares of the repetitions that miss the truth, and the median width of what is used over that of percentiles.

    One resampling serves all repetitions, which does not change what is expected of each.
    """
    rng = np.random.default_rng([seed, users])
    values, truth = law.draw(rng, (users, repetitions))
    weights = rng.multinomial(users, np.full(users, 1 / users), size=SAMPLES) / users
    means = weights @ values
    bounds = {
        "percentile": percentile(values, means),
        "BCa": bca(values, means),
        "used": used(values, 0.0 if law.rival is None else -1.0, seed),
    }
    row: dict[str, float | int | str] = {"law": law.name, "users": users}
    for name, (low, high) in bounds.items():
        row[name] = float(np.mean((low > truth) | (high < truth)))
        row[f"{name}: low too high"] = float(np.mean(low > truth))
    widths = {name: float(np.median(high - low)) for name, (low, high) in bounds.items()}
    row["width"] = widths["used"] / widths["percentile"] if widths["percentile"] else float("inf")
    return row


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--repetitions", type=int, default=4000)
    parser.add_argument("--json", type=Path, help="file to write")
    given = parser.parse_args()
    started = time.monotonic()
    rows = [measure(law, users, given.repetitions) for law in LAWS for users in USERS]
    print("| missed, % (low end too high, %) | users | percentile | BCa | used | width |\n|---|---|---|---|---|---|")
    for row in rows:
        cells = [f"{100 * row[n]:.1f} ({100 * row[f'{n}: low too high']:.1f})" for n in ("percentile", "BCa", "used")]  # type: ignore[operator]
        print(f"| {row['law']} | {row['users']} | {' | '.join(cells)} | {row['width']:.2f} |")
    print(
        f"{given.repetitions} repetitions, {time.monotonic() - started:.0f} s, {platform.machine()}, {os.cpu_count()} cores"
    )
    if given.json:
        given.json.write_text(json.dumps(rows, indent=1) + "\n")


if __name__ == "__main__":
    main()
