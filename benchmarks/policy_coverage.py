"""How often the interval of a policy's value misses the truth, by kind of log, number of rounds and way of making the interval.

Rewards are 0 or 1 with a chance of each action; the log's policy favours some actions, the evaluated one others, so that weights differ
and most terms are zero. ``used`` is what ``longtail policy evaluate`` prints (metrics/off_policy_intervals.py).

    python benchmarks/policy_coverage.py [--repetitions 500] [--json policy-coverage.json]
"""

import argparse
import json
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray
from scipy.stats import norm

from longtail.metrics import off_policy_intervals
from longtail.metrics.off_policy_intervals import Level, Paid, Units, interval_of_rewards
from longtail.metrics.significance import studentised_quantile

Numbers = NDArray[np.float64]
Bounds = tuple[Numbers, Numbers]  # low, high: each [repetitions]
ROUNDS = (300, 1000)
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


@dataclass(frozen=True)
class Runs:
    """terms, paid (their part that is weight times reward), weight ``[rounds, repetitions]``; most: the greatest term there can be."""

    terms: Numbers
    paid: Numbers
    weight: Numbers
    most: float


def normal(runs: Runs) -> Bounds:
    mean, error = runs.terms.mean(axis=0), runs.terms.std(axis=0, ddof=1) / np.sqrt(len(runs.terms))
    return mean - Z * error, mean + Z * error


def percentile(runs: Runs) -> Bounds:
    rng, n = np.random.default_rng(1), len(runs.terms)
    means = np.stack([np.bincount(rng.integers(n, size=n), minlength=n) @ runs.terms / n for _ in range(SAMPLES)])
    low, high = np.quantile(means, [(1 - CONFIDENCE) / 2, (1 + CONFIDENCE) / 2], axis=0)
    return low, high


def studentised(runs: Runs) -> Bounds:
    """Symmetric; as far as rewards can be where all terms are alike."""
    terms = runs.terms
    centred = terms - terms.mean(axis=0)
    known = np.ptp(terms, axis=0) > 1e-12
    half = np.full(terms.shape[1], np.inf)
    quantile = studentised_quantile(centred[:, known], SAMPLES, CONFIDENCE, 1)
    half[known] = quantile * np.sqrt(np.square(centred[:, known]).sum(axis=0)) / len(terms)
    return np.maximum(terms.mean(axis=0) - half, 0.0), np.minimum(terms.mean(axis=0) + half, 1.0)


def bernstein(runs: Runs) -> Bounds:
    """Maurer & Pontil 2009, with the range of the terms known: each side at half the chance."""
    n, mean, spread = len(runs.terms), runs.terms.mean(axis=0), runs.terms.var(axis=0, ddof=1)
    tail = np.log(4 / (1 - CONFIDENCE))
    half = np.sqrt(2 * spread * tail / n) + 7 * runs.most * tail / (3 * (n - 1))
    return mean - half, mean + half


def poisson(runs: Runs) -> Bounds:
    """What is used where few rounds are rewarded, everywhere."""
    return _by_interval(runs, np.inf)


def used(runs: Runs) -> Bounds:
    return _by_interval(runs, off_policy_intervals.FEW_REWARDED)


def _by_interval(runs: Runs, few: float) -> Bounds:
    n, level = len(runs.terms), Level(CONFIDENCE, SAMPLES, 1, (0.0, 1.0))
    before, off_policy_intervals.FEW_REWARDED = off_policy_intervals.FEW_REWARDED, few
    columns = zip(runs.terms.T, runs.paid.T, runs.weight.T)
    found = [
        interval_of_rewards(float(one.mean()), one, Paid(paid, weight, 0 * weight), Units.of(None, n), level)
        for one, paid, weight in columns
    ]
    off_policy_intervals.FEW_REWARDED = before
    low, high = np.array(found).T
    return low, high


WAYS: dict[str, Callable[[Runs], Bounds]] = {
    "normal": normal,
    "percentile": percentile,
    "studentised": studentised,
    "bernstein": bernstein,
    "poisson": poisson,
    "used": used,
}


def runs_of(law: Law, rounds: int, repetitions: int, seed: int) -> tuple[dict[str, Runs], float]:
    """Of IPS, SNIPS and DR with a model that expects the mean of all actions; and the truth."""
    rng = np.random.default_rng(seed)
    chance, log, new = law.make()
    action = rng.choice(ACTIONS, size=(rounds, repetitions), p=log)
    reward = (rng.random(action.shape) < chance[action]).astype(np.float64)
    weight = (new / log)[action]
    paid, scaled = weight * reward, weight / weight.mean(axis=0)
    snips = (scaled * reward).mean(axis=0)
    most = float((new / log).max())
    return {
        "ips": Runs(paid, paid, weight, most),
        "snips": Runs(snips + scaled * (reward - snips), scaled * reward, scaled, most),
        "dr": Runs(law.mean_reward + weight * (reward - law.mean_reward), paid, weight, most),
    }, float(chance @ new)


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--repetitions", type=int, default=500)
    parser.add_argument("--json", type=Path)
    given = parser.parse_args()
    rows = []
    print(f"{'share of intervals that miss, in % (nominal 5); below/above: the truth lies there':<60}")
    print(f"{'':<32}{'rounds':>7}{'of':>7}" + "".join(f"{name:>14}" for name in WAYS) + "   width of used / normal")
    for law in LAWS:
        for rounds in ROUNDS:
            found, truth = runs_of(law, rounds, given.repetitions, rounds)
            for estimator, runs in found.items():
                cells, widths = {}, {}
                for name, way in WAYS.items():
                    low, high = way(runs)
                    cells[name] = (float(np.mean(truth < low)), float(np.mean(truth > high)))
                    widths[name] = float(np.median(high - low))
                rows.append(
                    {"law": law.name, "rounds": rounds, "estimator": estimator, "misses": cells, "widths": widths}
                )
                shown = [f"{100 * sum(cells[n]):.1f} ({100 * cells[n][1]:.1f})" for n in WAYS]
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
