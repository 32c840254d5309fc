"""Open Bandit, men: what Thompson sampling is worth by the random log, and random choice by Thompson sampling's log.

Both policies ran at once and each has a log, so the truth is known as well as 10,000 rounds tell: its mean click rate, with an interval.
Random choice shows each of 34 items with 1/34. Thompson sampling's probabilities in the *random* log's rounds are in neither file. Its own
log shows what they do not depend on: rounds of the same minutes have the same probability of an item at a position, whoever the user is, and
it changes every few minutes, as it learns. What is evaluated is therefore its mean policy of the week: the shares with which its log shows
each item at each position (no click is looked at). ``by day`` takes the shares of each day instead: it differs where clicks go with the time.

    python benchmarks/activation_open_bandit.py ../shared/datasets
"""

import json
import sys
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from longtail.metrics.off_policy import Estimate, Way, weights
from longtail.policies.asked import Asked, uniform
from longtail.policies.evaluating import Evaluation, evaluate, own_value
from longtail.policies.logs import LogTable, read_log

FOLDER, DAY_CHARACTERS, CLIP, MINUTE = "open-bandit-men", 10, 10.0, 60
CONTEXT = ("user_feature_*",)
WAY = Way(seed=0, samples=2000)
Numbers = NDArray[np.float64]


def run(datasets: Path) -> tuple[str, dict[str, Any]]:
    """The printed table, and the same as a document."""
    random, thompson = (
        read_log(str(datasets / FOLDER / f"{name}.parquet"), None, CONTEXT, ["timestamp"]) for name in ("random", "bts")
    )
    assert random.actions == thompson.actions
    week = mean_policy(thompson, random, np.zeros(len(thompson.rows), int), np.zeros(len(random.rows), int))
    by_day = mean_policy(thompson, random, days(thompson), days(random))
    directions = [
        (
            "Thompson sampling, by the random log",
            random.logged,
            given_all(random, week),
            own_value(thompson.logged, WAY),
        ),
        ("the same, by day", random.logged, given_all(random, by_day), own_value(thompson.logged, WAY)),
        (
            "random choice, by Thompson sampling's log",
            thompson.logged,
            uniform(thompson),
            own_value(random.logged, WAY),
        ),
    ]
    text, document = [], {}
    for name, logged, asked, truth in directions:
        found = evaluate(logged, asked, WAY)
        clipped = evaluate(logged, asked, Way(seed=0, samples=2000, clip=CLIP), ("ips",)).estimates[0]
        text.append(shown(name, found, clipped, truth))
        document[name] = {
            "truth": asdict(truth),
            "estimates": [asdict(estimate) for estimate in found.estimates],
            f"ips, weights cut at {CLIP:g}": asdict(clipped),
            "warnings": found.warnings,
        }
    alike, unlike = same_probability(datasets / FOLDER / "bts.parquet")
    text.append(
        f"Thompson sampling's log, of rounds within {MINUTE} s with one item at one position: the same probability in {alike:.0%} where users' "
        f"features agree, {unlike:.0%} where they differ\nthe mean policy's shares are drawn: they move ips by {drawn(thompson, random):.2f} "
        "in 1,000 (standard deviation over resampled logs)"
    )
    return "\n\n".join(text), document


def same_probability(path: Path) -> tuple[float, float]:
    """Share of pairs of following rounds that have the same propensity: users' features alike, and unlike."""
    log = pd.read_parquet(path)
    log["time"] = pd.to_datetime(log["timestamp"], format="ISO8601")
    log["user"] = log.filter(like="user_feature").astype(str).agg("|".join, axis=1)
    log = log.sort_values(["item_id", "position", "time"], kind="stable")
    groups = log.groupby(["item_id", "position"])
    near = groups["time"].diff().dt.total_seconds() <= MINUTE
    same, user = groups["propensity_score"].diff() == 0, log["user"] == groups["user"].shift()
    return float(same[near & user].mean()), float(same[near & ~user].mean())


def drawn(thompson: LogTable, random: LogTable, samples: int = 200) -> float:
    """Standard deviation of the value, in 1,000 rounds, over resamplings of the log that the shares come from."""
    rng, values = np.random.default_rng(0), []
    zeros = np.zeros(len(random.rows), int)
    for _ in range(samples):
        rows = rng.integers(len(thompson.rows), size=len(thompson.rows))
        logged = replace(
            thompson.logged,
            action=thompson.logged.action[rows],
            position=None if thompson.logged.position is None else thompson.logged.position[rows],
        )
        policy = mean_policy(replace(thompson, logged=logged), random, np.zeros(len(rows), int), zeros)
        values.append(float((weights(random.logged, policy) * random.logged.reward).mean()))
    return 1000 * float(np.std(values))


def days(log: LogTable) -> NDArray[np.int64]:
    return np.unique([text[:DAY_CHARACTERS] for text in log.keys["timestamp"]], return_inverse=True)[1].reshape(-1)


def mean_policy(shown: LogTable, asked: LogTable, of_shown: NDArray[np.int64], of_asked: NDArray[np.int64]) -> Numbers:
    """Shares with which a log shows items at a position, within groups of rounds, for the rounds of another. ``[rounds, actions]``"""
    assert shown.logged.position is not None and asked.logged.position is not None
    counts = np.zeros((int(of_shown.max()) + 1, int(shown.logged.position.max()) + 1, len(shown.actions)))
    np.add.at(counts, (of_shown, shown.logged.position, shown.logged.action), 1.0)
    shares = counts / np.maximum(counts.sum(axis=2, keepdims=True), 1)
    return np.asarray(shares[of_asked, asked.logged.position])


def given_all(log: LogTable, probabilities: Numbers) -> Asked:
    taken = probabilities[np.arange(len(log.rows)), log.logged.action]
    return Asked(log.actions, taken, probabilities)


def shown(name: str, found: Evaluation, clipped: Estimate, truth: Estimate) -> str:
    lines = [
        f"{name}: clicks in 1,000 rounds",
        f"  {'':<20}{'value':>7}{'95 % interval':>17}{'truth inside':>14}{'effective rounds':>18}",
        f"  {'truth (own log)':<20}{1000 * truth.value:>7.2f}{_bounds(truth):>17}{'':>14}{truth.ess:>18,.0f}",
    ]
    for label, one in [*((e.method, e) for e in found.estimates), (f"ips, cut at {CLIP:g}", clipped)]:
        chosen = "" if one.parameter is None else f" ({one.parameter:.3g})"
        inside = "yes" if one.low <= truth.value <= one.high else "no"
        lines.append(f"  {label + chosen:<20}{1000 * one.value:>7.2f}{_bounds(one):>17}{inside:>14}{one.ess:>18,.0f}")
    return "\n".join([*lines, *(f"  ! {warning}" for warning in found.warnings)])


def _bounds(one: Estimate) -> str:
    return f"{1000 * one.low:.2f} to {1000 * one.high:.2f}"


if __name__ == "__main__":
    table, figures = run(Path(sys.argv[1] if len(sys.argv) > 1 else "../shared/datasets"))
    print(table)
    if len(sys.argv) > 2:
        Path(sys.argv[2]).write_text(json.dumps(figures, indent=2) + "\n")
