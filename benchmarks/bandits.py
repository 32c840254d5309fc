"""Regret of policies that learn between rounds, in the demo shop, whose truth is known.

    python benchmarks/bandits.py [--seeds 12] [--json bandits-benchmark.json] [--picture docs/images/bandits.png]

Newcomers: users' tastes say little of what they choose, and most hangs on the items, of which nothing is known before they are shown.
Known users: tastes say as much as the items do. Policies know each user's taste for an item's category, family and style, not how much it
counts, nor the item's own appeal. `fixed` ranks by taste and never learns; regret is in chosen items that the best lists would have had more.
"""

import argparse
import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
from scipy.special import expit
from script import run

from longtail.policies.simulation import NAMES, Course, World, regret
from longtail.synthetic.shop import generate_shop

USERS, ITEMS = 400, 150
LEVEL = -3.0  # logit of the chance of an item of mean appeal
COURSE = Course(rounds=40, arrivals=100, k=3)
WORLDS = {
    "newcomers": 0.3,
    "known users": 1.0,
}  # what a deviation of the taste for categories counts, of the item's own appeal


def world_of(taste: float, seed: int = 0, users: int = USERS, items: int = ITEMS) -> World:
    """The demo shop: the chance of a choice grows with the truth's affinity, popularity and tastes in one deviation each."""
    truth = generate_shop(seed, users, items).truth
    tastes = truth.tastes().astype(np.float64)
    tastes *= taste / tastes.std(axis=(0, 1)).max()
    popularity = truth.item_tastes[:, -1].astype(np.float64)
    appeal = (popularity - popularity.mean()) / popularity.std()
    known = tastes.sum(axis=2)
    return World(expit(LEVEL + known + appeal), tastes.astype(np.float32), known)


def measured(world: World, course: Course, seeds: Sequence[int]) -> list[dict[str, Any]]:
    """A row for each policy: regret after every round, of every seed."""
    return [
        {"policy": name, "regret": np.array([regret(world, course, name, seed) for seed in seeds])} for name in NAMES
    ]


def table(rows: Sequence[dict[str, Any]], course: Course) -> str:
    """Means and 95% intervals over seeds; the last column tells a policy that still loses from one that has learnt."""
    lines = ["| policy | regret | 95 % interval | worst seed | of it in the last quarter |", "|---|---|---|---|---|"]
    for row in rows:
        final, quarter = row["regret"][:, -1], row["regret"][:, 3 * course.rounds // 4 - 1]
        reach = 1.96 * final.std(ddof=1) / np.sqrt(len(final))
        late = (final - quarter).mean() / final.mean()
        lines.append(
            f"| {row['policy']} | {final.mean():,.0f} | {final.mean() - reach:,.0f} to {final.mean() + reach:,.0f} | {final.max():,.0f} | {late:.0%} |"
        )
    return "\n".join(lines)


def draw(found: dict[str, list[dict[str, Any]]], course: Course, path: Path) -> None:
    """Mean regret by round, a panel a world."""
    import matplotlib

    matplotlib.use("Agg")
    import matplotlib.pyplot as plt

    figure, axes = plt.subplots(1, len(found), figsize=(10, 4))
    for axis, (name, rows) in zip(axes, found.items()):
        for row in rows:
            axis.plot(np.arange(1, course.rounds + 1), row["regret"].mean(axis=0), label=row["policy"])
        axis.set(title=name, xlabel=f"rounds of {course.arrivals} users", ylabel="chosen items lost", ylim=(0, None))
        axis.set_ylim(
            0, 1.05 * max(row["regret"].mean(axis=0)[-1] for row in rows if row["policy"] not in ("random", "fixed"))
        )
    axes[0].legend(frameon=False)
    figure.tight_layout()
    figure.savefig(path, dpi=110)


def main(arguments: list[str] | None = None) -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--seeds", type=int, default=12)
    parser.add_argument("--json", type=Path, help="file to write")
    parser.add_argument("--picture", type=Path, help="file to write")
    given = parser.parse_args(arguments)
    found = {}
    for name, taste in WORLDS.items():
        found[name] = measured(world_of(taste), COURSE, range(given.seeds))
        print(
            f"{name}: {COURSE.rounds} rounds of {COURSE.arrivals} users, {COURSE.k} of {ITEMS} items each, {given.seeds} seeds\n"
        )
        print(table(found[name], COURSE) + "\n", flush=True)
    if given.json:
        kept = {name: [row | {"regret": row["regret"].tolist()} for row in rows] for name, rows in found.items()}
        given.json.write_text(json.dumps(kept, indent=1) + "\n")
    if given.picture:
        draw(found, COURSE, given.picture)
    return 0


if __name__ == "__main__":
    run(main)
