"""By which margin can a data set judge a student? Baselines alone are measured, on the test targets of a Prepared data set.

The student's stand-in is what comes after an item plus words (next_item + tfidf, standardised), which needs no training and errs on other
users than the baselines do; for users without a history, what is popular among those who share their attributes. For each rival and segment: the standard error of the paired difference in per cent of the rival's value, and
the margin by which a student that is exactly as good passes four times in five.

    python benchmarks/margins.py --prepared FOLDER [FOLDER ...] [--json margins-benchmark.json]
"""

import argparse
import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.special import ndtri

from longtail.baselines.classic import MIXTURES, baselines
from longtail.components.evaluate.measure import groups_of, per_user
from longtail.contracts.prepared import PreparedDataset, Split
from longtail.scoring.query import Query
from longtail.scoring.ranked import rank_all

STAND_IN, NEWCOMERS = "stand-in", "stand-in for newcomers"
PRIOR_EVENTS = 50  # of each attribute, as popular as the whole
DISTANCE = float(ndtri(0.975) + ndtri(0.8))  # standard errors between no difference and the margin


class ByAttributes:
    """Log popularity, plus the mean over the user's attributes of how much more likely those who share one take an item."""

    def __init__(self, data: PreparedDataset) -> None:
        self._codes = {name: code for code, name in enumerate(data.facts["user_attributes"])}
        counts = np.zeros((len(self._codes), len(data.item_ids)))  # [attributes, items]
        train = data.splits == Split.TRAIN
        for user, item in zip(data.user_codes[train], data.item_codes[train]):
            counts[self._known(data.user_attributes[user]), item] += 1
        share = (data.train_counts + 0.5) / (data.train_counts + 0.5).sum()  # [items]
        self._popularity = np.log(share)
        events = counts.sum(axis=1, keepdims=True)
        self._lift = np.log((counts + PRIOR_EVENTS * share) / (events + PRIOR_EVENTS)) - self._popularity

    def score(self, queries: Sequence[Query]) -> NDArray[np.float32]:
        lifts = [self._lift[self._known(query.attributes)] for query in queries]
        return np.stack([self._popularity + (lift.mean(axis=0) if len(lift) else 0) for lift in lifts]).astype("f4")

    def _known(self, attributes: Sequence[str]) -> list[int]:
        return [self._codes[name] for name in attributes if name in self._codes]


def margins(folder: Path) -> list[dict[str, Any]]:
    """A row for each rival and segment of users."""
    data = PreparedDataset(folder)
    systems = baselines(data, np.zeros((len(data.item_ids), 1), np.float32))
    del systems["frozen_text"]
    systems[NEWCOMERS] = ByAttributes(data)
    mixtures = {name: parts for name, parts in MIXTURES.items() if "frozen_text" not in parts}
    targets, _ = data.measurable_targets(Split.TEST)
    ranked = rank_all(systems, data, targets, mixtures=mixtures | {STAND_IN: ("next_item", "tfidf")})
    values = per_user(ranked, (10,))
    rows = []
    for segment, users in groups_of(data.segment_rule.assign(targets.history_lengths)).items():
        metric = "expected_ndcg@10" if segment == "cold" else "ndcg@10"
        for name in (*systems, *mixtures):
            if name in (NEWCOMERS, "next_item", "tfidf") or len(users) < 2:
                continue
            stand_in = NEWCOMERS if segment == "cold" else STAND_IN
            rival, student = values[name][metric][users], values[stand_in][metric][users]
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
