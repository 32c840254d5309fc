"""By which margin can a data set judge a student? Baselines alone are measured, on the test targets of a Prepared data set.

The student's stand-in is what comes after an item plus words (next_item + tfidf, standardised), which needs no training and errs on other
users than the baselines do. For each rival and segment: the standard error of the paired difference in per cent of the rival's value, and
the margin by which a student that is exactly as good passes four times in five.

    python benchmarks/margins.py --prepared FOLDER [FOLDER ...] [--json margins-benchmark.json]
"""

import argparse
import json
from pathlib import Path
from typing import Any

import numpy as np
from scipy.special import ndtri

from longtail.baselines.classic import MIXTURES, baselines
from longtail.components.evaluate.measure import groups_of, per_user
from longtail.contracts.prepared import PreparedDataset, Split
from longtail.scoring.ranked import rank_all

STAND_IN = "stand-in"
DISTANCE = float(ndtri(0.975) + ndtri(0.8))  # standard errors between no difference and the margin


def margins(folder: Path) -> list[dict[str, Any]]:
    """A row for each rival and segment of users."""
    data = PreparedDataset(folder)
    systems = baselines(data, np.zeros((len(data.item_ids), 1), np.float32))
    del systems["frozen_text"]
    mixtures = {name: parts for name, parts in MIXTURES.items() if "frozen_text" not in parts}
    targets, _ = data.measurable_targets(Split.TEST)
    ranked = rank_all(systems, data, targets, mixtures=mixtures | {STAND_IN: ("next_item", "tfidf")})
    values = per_user(ranked, (10,))
    rows = []
    for segment, users in groups_of(data.segment_rule.assign(targets.history_lengths)).items():
        metric = "expected_ndcg@10" if segment == "cold" else "ndcg@10"
        for name in (*systems, *mixtures):
            if name in (STAND_IN, "next_item", "tfidf") or len(users) < 2:
                continue
            rival, student = values[name][metric][users], values[STAND_IN][metric][users]
            error = float(np.std(student - rival, ddof=1) / np.sqrt(len(users)))
            if rival.mean() > 0:
                share = 100 * error / float(rival.mean())
                found = {"data": folder.name, "segment": segment, "rival": name, "users": len(users), "metric": metric}
                rows.append(found | {"value": float(rival.mean()), "error_percent": share, "margin": DISTANCE * share})
    return rows


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--prepared", type=Path, nargs="+", required=True)
    parser.add_argument("--json", type=Path, help="file to write")
    given = parser.parse_args()
    rows = [row for folder in given.prepared for row in margins(folder)]
    print("| data | segment | rival | users | value | error, % | margin, % |\n|---|---|---|---|---|---|---|")
    for row in rows:
        print(
            f"| {row['data']} | {row['segment']} | {row['rival']} | {row['users']:,} | {row['value']:.4f} | "
            f"{row['error_percent']:.1f} | {row['margin']:.1f} |"
        )
    if given.json:
        given.json.write_text(json.dumps(rows, indent=1) + "\n")


if __name__ == "__main__":
    main()
