"""Scores systems for one split and keeps every user's NDCG@10 and Recall@10; a stage of quality.py.

    python benchmarks/quality_scores.py REQUEST.json OUTPUT

REQUEST: {"prepared": folder, "split": "validation" or "test", "bundles": {name: [folder, terms]}, "floors": null or
{"text_vectors": file, "ease_l2": number or null to choose it}}. OUTPUT: a folder with ``users.npz`` (segments [users], and
``system|column|metric``, where the column is ``whole`` or k = 0..4 revealed items) and ``facts.json``.
"""

import json
import sys
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from safetensors.numpy import load_file

from longtail.baselines.classic import EASE_MOST_ITEMS, MIXTURES, baselines, ease
from longtail.components.evaluate.measure import per_user
from longtail.contracts.prepared import PreparedDataset, Split, Targets
from longtail.scoring.bundle import LENGTH_BUCKETS, Tensors, load_bundle
from longtail.scoring.int8 import Int8Rows
from longtail.scoring.query import System
from longtail.scoring.ranked import rank_all
from longtail.scoring.scorer import Scorer

REVEALED = (0, 1, 2, 3, 4)
METRICS = ("ndcg@10", "recall@10")
EASE_L2 = (10.0, 50.0, 200.0, 1000.0)
Arrays = dict[str, NDArray[Any]]


def main(request_file: str, output: str) -> None:
    request = json.loads(Path(request_file).read_text())
    data = PreparedDataset(request["prepared"])
    split = Split[request["split"].upper()]
    targets, in_history = data.measurable_targets(split)
    systems: dict[str, System] = {
        name: _scorer(Path(folder), terms) for name, (folder, terms) in request["bundles"].items()
    }
    arrays: Arrays = {"segments": data.segment_rule.assign(targets.history_lengths)}
    facts: dict[str, Any] = {"users": len(targets), "targets_in_history": in_history}
    if floors := request["floors"]:
        systems |= baselines(data, load_file(floors["text_vectors"])["frozen"])
        if len(data.item_ids) <= EASE_MOST_ITEMS:
            facts["ease_l2"] = floors["ease_l2"] or _best_l2(data, targets)
            systems["ease"] = ease(data.train_sequences(), len(data.item_ids), facts["ease_l2"])
    arrays |= _scores(systems, data, targets)
    folder = Path(output)
    folder.mkdir(exist_ok=True)
    np.savez_compressed(folder / "users.npz", **arrays)  # type: ignore[arg-type]
    (folder / "facts.json").write_text(json.dumps(facts))


def _scorer(folder: Path, terms: str) -> Scorer:
    """A bundle as it is (``all``), without terms (``no_sparse``, ``dense`` or ``sparse`` alone), or with an ``int8`` item matrix."""
    bundle = load_bundle(folder)
    zeros = np.zeros(LENGTH_BUCKETS, np.float32)
    tensors: Tensors = bundle.tensors
    changes: dict[str, dict[str, Any]] = {
        "all": {},
        "no_sparse": {"neighbour_weight": zeros},
        "dense": {
            "dense_weight": zeros + 1,
            "neighbour_weight": zeros,
            "popularity_weight": zeros,
            "trait_weight": zeros,
        },
        "sparse": {"dense_weight": zeros, "popularity_weight": zeros, "trait_weight": zeros},
    }
    if terms == "int8":
        matrix = tensors.item_matrix
        tensors = replace(tensors, item_matrix=matrix if isinstance(matrix, Int8Rows) else Int8Rows.of(matrix))
    else:
        tensors = replace(tensors, **changes[terms])
    return Scorer(replace(bundle, tensors=tensors))


def _scores(systems: dict[str, System], data: PreparedDataset, targets: Targets) -> Arrays:
    """Every user's metrics: whole histories of all users, and histories cut to k items of those who have enough."""
    rows = np.flatnonzero(targets.history_lengths >= max(REVEALED))
    chosen = targets.of(rows)
    columns: list[tuple[str, Targets, int | None]] = [("whole", targets, None)]
    columns += [(str(k), chosen, k) for k in REVEALED if len(rows)]
    return {
        f"{name}|{column}|{metric}": values[metric]
        for column, asked, last in columns
        for name, values in per_user(rank_all(systems, data, asked, last, MIXTURES), (10,)).items()
        for metric in METRICS
    }


def _best_l2(data: PreparedDataset, targets: Targets) -> float:
    """EASE's L2 with the greatest NDCG@10 on the given (validation) targets."""
    scores = {}
    for value in EASE_L2:
        system = ease(data.train_sequences(), len(data.item_ids), value)
        scores[value] = per_user(rank_all({"ease": system}, data, targets), (10,))["ease"]["ndcg@10"].mean()
    return max(EASE_L2, key=lambda value: scores[value])


if __name__ == "__main__":
    main(*sys.argv[1:])
