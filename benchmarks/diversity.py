"""What varied lists cost: NDCG@10 against diversity, coverage and the share of long-tail items.

    python benchmarks/diversity.py --prepared out/prepared --bundle out/bundle --json diversity.json --picture diversity.png

Lists of validation users (`--split test` for the report, after a choice was made), whole histories. Three ways of shaping: MMR and
DPP as the server does them (request keys `diversity`, `diversity_by`, `diversity_on`), and taking part of log popularity off the scores. Diversity is 1 - mean cosine of the pretrained text vectors of a list's pairs.
"""

import argparse
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray
from script import run

from longtail.contracts.errors import UserError
from longtail.contracts.prepared import PreparedDataset, Split
from longtail.metrics.beyond import coverage, intra_list_diversity, long_tail_items, long_tail_share
from longtail.metrics.significance import mean_intervals
from longtail.scoring.bundle import TEXT_VECTORS, load_bundle
from longtail.scoring.query import queries_of
from longtail.scoring.relevance import load_text_vectors
from longtail.scoring.rows import unit_vectors
from longtail.scoring.scorer import Scorer
from longtail.scoring.shaping import (
    POOL,
    Alike,
    Dpp,
    Mmr,
    Order,
    by_attributes,
    by_both,
    by_vectors,
    relevance,
    shaped,
)
from longtail.scoring.top import top_items

K = 10
DIVERSITY = (0.1, 0.2, 0.3, 0.4, 0.5, 0.7)
POPULARITY = (0.05, 0.1, 0.2, 0.3, 0.5, 0.8)  # of log popularity in deviations, in deviations of the user's scores
BATCH = 64
MARKERS = {"MMR": "o", "DPP": "s", "MMR, attributes": "x", "MMR, both": "d", "less popularity": "^"}  # of the picture

Kind = Callable[[NDArray[np.float32], float, Alike], Order]
Shape = Callable[[NDArray[np.float32], NDArray[np.int32]], NDArray[np.intp]]  # scores, excluded -> item codes


class Way(NamedTuple):
    method: str
    strength: float
    shape: Shape


def ways(matrix: Any, attributes: list[list[str]], log_popularity: NDArray[np.float32]) -> list[Way]:
    def vectors(pool: NDArray[np.intp]) -> Alike:
        return by_vectors(matrix[pool])

    def both(pool: NDArray[np.intp]) -> Alike:
        return by_both(matrix[pool], [attributes[item] for item in pool])

    def shared(pool: NDArray[np.intp]) -> Alike:
        return by_attributes([attributes[item] for item in pool])

    def pooled(kind: Kind, strength: float, alike: Callable[[NDArray[np.intp]], Alike] = vectors) -> Shape:
        def shape(scores: NDArray[np.float32], excluded: NDArray[np.int32]) -> NDArray[np.intp]:
            pool = top_items(scores, POOL, excluded)
            order = kind(relevance(scores[pool]), strength, alike(pool))
            return pool[shaped(order, len(pool), K).chosen]

        return shape

    def without(share: float) -> Shape:
        return lambda scores, excluded: top_items(scores - share * scores.std() * log_popularity, K, excluded)

    return [
        Way("none", 0.0, lambda scores, excluded: top_items(scores, K, excluded)),
        *(Way("MMR", diversity, pooled(Mmr, diversity)) for diversity in DIVERSITY),
        *(Way("DPP", diversity, pooled(Dpp, Dpp.weight(diversity))) for diversity in DIVERSITY),
        *(Way("MMR, attributes", diversity, pooled(Mmr, diversity, shared)) for diversity in DIVERSITY),
        *(Way("MMR, both", diversity, pooled(Mmr, diversity, both)) for diversity in DIVERSITY),
        *(Way("less popularity", share, without(share)) for share in POPULARITY),
    ]


def ndcg(lists: NDArray[np.int64], targets: list[NDArray[np.int32]]) -> NDArray[np.float64]:
    """``[users]``"""
    discounts = 1 / np.log2(np.arange(2, K + 2))
    gains = np.array([np.isin(row, wanted) @ discounts for row, wanted in zip(lists, targets)])
    return gains / np.array([discounts[: len(set(wanted))].sum() for wanted in targets])


def measured(arguments: argparse.Namespace) -> list[dict[str, Any]]:
    data, bundle = PreparedDataset(arguments.prepared), load_bundle(arguments.bundle)
    if bundle.item_ids != data.item_ids:
        raise UserError(f"--bundle {arguments.bundle}: was made from another catalogue than --prepared")
    targets, _ = data.measurable_targets(Split[arguments.split.upper()])
    rows = np.random.default_rng(0).permutation(len(targets))[: arguments.users or None]
    targets = targets.of(np.sort(rows))
    scorer, queries = Scorer(bundle), queries_of(data, targets)
    text = unit_vectors(load_text_vectors(bundle.path / TEXT_VECTORS))
    candidates = ways(bundle.tensors.item_matrix, bundle.item_attributes, bundle.tensors.log_popularity)
    lists = np.full((len(candidates), len(queries), K), -1, dtype=np.int64)
    for begin in range(0, len(queries), BATCH):
        piece = queries[begin : begin + BATCH]
        for user, (query, scores) in enumerate(zip(piece, scorer.score(piece)), start=begin):
            excluded = query.history if data.exclude_history else query.history[:0]
            for number, way in enumerate(candidates):
                found = way.shape(scores, excluded)
                lists[number, user, : len(found)] = found
        print(f"{begin + len(piece):,} of {len(queries):,} users", end="\r", flush=True)
    is_long_tail = long_tail_items(data.train_counts)
    plain = ndcg(lists[0], targets.items)
    result = []
    for way, found in zip(candidates, lists):
        values = ndcg(found, targets.items)
        difference = mean_intervals((values - plain)[:, None], 1000, 0.95, 0)
        result.append(
            {
                "way": way.method,
                "strength": way.strength,
                "ndcg@10": float(values.mean()),
                "difference": [float((values - plain).mean()), float(difference.low[0]), float(difference.high[0])],
                "diversity": float(np.nanmean(intra_list_diversity(found, text))),
                "coverage": coverage(found, len(data.item_ids)),
                "long_tail_share": float(np.nanmean(long_tail_share(found, is_long_tail))),
            }
        )
    return result


def picture(found: list[dict[str, Any]], path: Path) -> None:
    """NDCG against diversity, and against the share of long-tail items; a line each way."""
    import matplotlib.pyplot as plt

    figure, axes = plt.subplots(1, 2, figsize=(10, 4), layout="constrained")
    for axis, key, label in zip(axes, ("diversity", "long_tail_share"), ("diversity", "share of long-tail items")):
        for method, marker in MARKERS.items():
            line = [entry for entry in found if entry["way"] in ("none", method)]
            axis.plot([entry[key] for entry in line], [entry["ndcg@10"] for entry in line], marker=marker, label=method)
        axis.axhline(0.99 * found[0]["ndcg@10"], color="grey", linewidth=0.8, linestyle="--", label="1 % given up")
        axis.set(xlabel=label, ylabel="NDCG@10")
    axes[0].legend()
    figure.savefig(path, dpi=120)


def main(arguments: list[str] | None = None) -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--prepared", type=Path, required=True)
    parser.add_argument("--bundle", type=Path, required=True)
    parser.add_argument("--split", choices=["validation", "test"], default="validation")
    parser.add_argument("--users", type=int, default=4000, help="a random sample; 0 takes all")
    parser.add_argument("--json", type=Path)
    parser.add_argument("--picture", type=Path, help="PNG of the frontier")
    given = parser.parse_args(arguments)
    found = measured(given)
    print(
        "| way | strength | NDCG@10 | difference | diversity | coverage | long-tail items |\n|---|---|---|---|---|---|---|"
    )
    for entry in found:
        mean, low, high = entry["difference"]
        print(
            f"| {entry['way']} | {entry['strength']:g} | {entry['ndcg@10']:.4f} | {mean:+.4f} ({low:+.4f} to {high:+.4f}) "
            f"| {entry['diversity']:.3f} | {entry['coverage']:.3f} | {entry['long_tail_share']:.3f} |"
        )
    if given.json:
        given.json.write_text(json.dumps(found, indent=1) + "\n")
    if given.picture:
        picture(found, given.picture)
    return 0


if __name__ == "__main__":
    run(main)
