"""How often the interval of a policy's value misses the truth, by kind of log, number of rounds and way of making the interval.

Rewards are 0 or 1 with a chance of each action; the log's policy favours some actions, the evaluated one others, so that weights differ
and most terms are zero. ``used`` is what ``longtail policy evaluate`` prints (metrics/off_policy_intervals.py).

    python benchmarks/policy_coverage.py [--repetitions 2000] [--json policy-coverage.json]
"""

import argparse
import json
from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray
from scipy.stats import chi2, norm

from longtail.metrics.significance import studentised_quantile

Numbers = NDArray[np.float64]
Bounds = tuple[Numbers, Numbers]  # low, high: each [repetitions]
ROUNDS = (300, 1000, 5000)
SAMPLES, CONFIDENCE, ACTIONS = 500, 0.95, 10
Z = float(norm.ppf(0.5 + CONFIDENCE / 2))


class Law(NamedTuple):
    """mean_reward: chance of a reward, that of actions differs by the factor 4. skew: of the log's probabilities; 0: all alike."""

    name: str
    mean_reward: float
    skew: float

    def make(self) -> tuple[Numbers, Numbers, Numbers]:
        """Chance of a reward, the log's and the evaluated policy's probability of each action."""
        chance = np.linspace(0.4, 1.6, ACTIONS) * self.mean_reward
        log, new = np.exp(-self.skew * np.arange(ACTIONS)), np.exp(0.2 * np.arange(ACTIONS))
        return chance, log / log.sum(), new / new.sum()


LAWS = (
    Law("0.5 % rewarded, even log", 0.005, 0.0),
    Law("0.5 % rewarded, skewed log", 0.005, 0.3),
    Law("5 % rewarded, even log", 0.05, 0.0),
    Law("5 % rewarded, skewed log", 0.05, 0.3),
    Law("30 % rewarded, skewed log", 0.3, 0.3),
    Law("30 % rewarded, very skewed log", 0.3, 0.5),
)


def normal(terms: Numbers, most: float) -> Bounds:
    mean, error = terms.mean(axis=0), terms.std(axis=0, ddof=1) / np.sqrt(len(terms))
    return mean - Z * error, mean + Z * error


def percentile(terms: Numbers, most: float) -> Bounds:
    rng, n = np.random.default_rng(1), len(terms)
    means = np.stack([np.bincount(rng.integers(n, size=n), minlength=n) @ terms / n for _ in range(SAMPLES)])
    low, high = np.quantile(means, [(1 - CONFIDENCE) / 2, (1 + CONFIDENCE) / 2], axis=0)
    return low, high


def bernstein(terms: Numbers, most: float) -> Bounds:
    """Maurer & Pontil 2009, with the range of the terms known: each side at half the chance."""
    n, mean, spread = len(terms), terms.mean(axis=0), terms.var(axis=0, ddof=1)
    tail = np.log(4 / (1 - CONFIDENCE))
    half = np.sqrt(2 * spread * tail / n) + 7 * most * tail / (3 * (n - 1))
    return mean - half, mean + half


def gamma(terms: Numbers, most: float) -> Bounds:
    """Fay & Feuer 1997, of a weighted sum of Poisson counts; for terms that are not negative."""
    n, tail = len(terms), (1 - CONFIDENCE) / 2
    mean, spread = terms.mean(axis=0), np.square(terms / n).sum(axis=0)
    seen = np.where(mean > 0, mean, 1.0)
    low = np.where(mean > 0, spread / (2 * seen) * chi2.ppf(tail, 2 * seen**2 / np.where(spread > 0, spread, 1)), 0)
    above, more = mean + most / n, spread + (most / n) ** 2
    return low, more / (2 * above) * chi2.ppf(1 - tail, 2 * above**2 / more)


def used(terms: Numbers, most: float) -> Bounds:
    """The symmetric studentised bootstrap; all rewards there can be where terms are all alike."""
    centred = terms - terms.mean(axis=0)
    alike = np.ptp(terms, axis=0) == 0
    half = np.full(terms.shape[1], np.inf)
    quantile = studentised_quantile(centred[:, ~alike], SAMPLES, CONFIDENCE, 1)
    half[~alike] = quantile * np.sqrt(np.square(centred[:, ~alike]).sum(axis=0)) / len(terms)
    return np.maximum(terms.mean(axis=0) - half, 0.0), np.minimum(terms.mean(axis=0) + half, 1.0)


WAYS: dict[str, Callable[[Numbers, float], Bounds]] = {
    "normal": normal,
    "percentile": percentile,
    "bernstein": bernstein,
    "gamma": gamma,
    "used": used,
}


def terms_of(law: Law, rounds: int, repetitions: int, seed: int) -> tuple[dict[str, Numbers], float, float]:
    """Terms of IPS, SNIPS and DR with a model that expects the mean of all actions ``[rounds, repetitions]``; truth; greatest weight."""
    rng = np.random.default_rng(seed)
    chance, log, new = law.make()
    action = rng.choice(ACTIONS, size=(rounds, repetitions), p=log)
    reward = (rng.random(action.shape) < chance[action]).astype(np.float64)
    weight = (new / log)[action]
    mean = weight.mean(axis=0)
    snips = (weight * reward).mean(axis=0) / mean
    return (
        {
            "ips": weight * reward,
            "snips": snips + weight * (reward - snips) / mean,
            "dr": law.mean_reward + weight * (reward - law.mean_reward),
        },
        float(chance @ new),
        float((new / log).max()),
    )


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--repetitions", type=int, default=2000)
    parser.add_argument("--json", type=Path)
    given = parser.parse_args()
    rows = []
    print(f"{'share of intervals that miss, in % (nominal 5); below/above: the truth lies there':<60}")
    print(f"{'':<32}{'rounds':>7}{'of':>7}" + "".join(f"{name:>14}" for name in WAYS) + "   width of used / normal")
    for law in LAWS:
        for rounds in ROUNDS:
            found, truth, most = terms_of(law, rounds, given.repetitions, rounds)
            for estimator, terms in found.items():
                cells, widths = {}, {}
                for name, way in WAYS.items():
                    if name == "gamma" and (terms < 0).any():
                        continue
                    low, high = way(terms, most)
                    cells[name] = (float(np.mean(truth < low)), float(np.mean(truth > high)))
                    widths[name] = float(np.median(high - low))
                rows.append(
                    {"law": law.name, "rounds": rounds, "estimator": estimator, "misses": cells, "widths": widths}
                )
                shown = [f"{100 * sum(cells[n]):.1f} ({100 * cells[n][1]:.1f})" if n in cells else "" for n in WAYS]
                ratio = widths["used"] / widths["normal"]
                print(
                    f"{law.name:<32}{rounds:>7}{estimator:>7}"
                    + "".join(f"{cell:>14}" for cell in shown)
                    + f"{ratio:>8.2f}",
                    flush=True,
                )
    if given.json:
        given.json.write_text(json.dumps(rows, indent=2) + "\n")
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
