"""What pictures bring: a student with them, and one of the same texts, seed and settings without, on the same targets.

    python benchmarks/images.py --dataset …/hm-sample --work FOLDER [--on test] [--split global_time] [--seeds 2] [--set KEY=VALUE]

The dataset's ``image_features.parquet`` (item_id, image) becomes the column ``image`` of its items, in the work folder. Targets are
those of validation unless ``--on test`` is given: choose on the one, look at the other once. Prints NDCG@10 and Recall@10 of both
students and the difference with its 95 % interval over users: of all targets, and apart of those whose items have few training events.
"""

import argparse
import hashlib
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from numpy.typing import NDArray
from script import run

from longtail.components.distill.distill import distill
from longtail.components.finetune import finetune as teaching
from longtail.components.finetune.text_features import Reading
from longtail.components.preprocess.prepare import prepare
from longtail.contracts.artifacts import MANIFEST
from longtail.contracts.errors import UserError
from longtail.contracts.prepared import PreparedDataset, Split
from longtail.metrics.ranking import TargetRanks, ranking_metrics
from longtail.metrics.significance import mean_intervals
from longtail.pipelines.run_settings import RunSettings, load_settings
from longtail.scoring.bundle import load_bundle
from longtail.scoring.ranked import rank_all
from longtail.scoring.scorer import Scorer

METRICS = ("ndcg@10", "recall@10")
GROUPS = {"all": (0, None), "item never seen": (0, 0), "seen once or twice": (1, 2), "seen more often": (3, None)}
SAMPLES = 5000
KINDS = ("buy",)  # the events of hm-sample


def main(arguments: list[str] | None = None) -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--dataset", type=Path, required=True)
    parser.add_argument("--work", type=Path, required=True, help="folder of what was made; outside the repository")
    parser.add_argument("--split", choices=("leave_last_out", "global_time"), default="leave_last_out")
    parser.add_argument("--on", choices=("validation", "test"), default="validation")
    parser.add_argument("--seeds", type=int, default=1)
    parser.add_argument("--set", action="append", default=[], metavar="STAGE.KEY=VALUE")
    given = parser.parse_args(arguments)
    settings = load_settings(None, [*given.set, f"preprocess.split={given.split}", f"preprocess.events={list(KINDS)}"])
    arms = {name: _prepared(given.dataset, given.work, settings, name) for name in ("pictures", "text")}
    on = Split[given.on.upper()]
    values = [_measured(arms, given.work, settings, seed, on) for seed in range(given.seeds)]
    for group in values[0]:
        with_, without = (np.mean([found[group][arm] for found in values], axis=0) for arm in ("pictures", "text"))
        if not len(with_):
            continue
        means = mean_intervals(with_ - without, SAMPLES, 0.95, 0)
        for column, metric in enumerate(METRICS):
            print(
                f"{given.on} {group:20} {len(with_):6,} users  {metric:9}  text {without[:, column].mean():.4f}  with pictures "
                f"{with_[:, column].mean():.4f}  difference {means.mean[column]:+.4f} [{means.low[column]:+.4f}, "
                f"{means.high[column]:+.4f}]",
                flush=True,
            )
    return 0


def _prepared(dataset: Path, work: Path, settings: RunSettings, arm: str) -> Path:
    """The Prepared data set with pictures, or without."""
    output = work / settings.preprocess.split / arm / "prepared"
    if not (output / MANIFEST).is_file():
        for name in ("interactions", "items", "users", "image_features"):
            if not (dataset / f"{name}.parquet").is_file():
                raise UserError(f"--dataset {dataset}: holds no {name}.parquet")
        items = pq.read_table(dataset / "items.parquet", columns=["item_id", "title", "description", "attributes"])
        if arm == "pictures":
            features = pq.read_table(dataset / "image_features.parquet")
            row = {item: number for number, item in enumerate(features["item_id"].to_pylist())}
            places = pa.array([row.get(item) for item in items["item_id"].to_pylist()], pa.int64())
            items = items.append_column("image", features["image"].take(places))
        output.parent.mkdir(parents=True, exist_ok=True)
        table = output.with_name("items.parquet")
        pq.write_table(items, table)
        tables = (str(dataset / "interactions.parquet"), str(table), str(dataset / "users.parquet"))
        prepare(*tables, output, settings.preprocess)
    return output


def _measured(
    arms: dict[str, Path], work: Path, settings: RunSettings, seed: int, on: Split
) -> dict[str, dict[str, NDArray[np.float64]]]:
    """Metrics of each user who has such targets, ``{group: {arm: [users, METRICS]}}``."""
    ranks = {}
    with _texts_read_once():
        for arm, prepared in arms.items():
            made_from = f"{settings.finetune.canonical()}{settings.distill.canonical()}{seed}"
            folder = prepared.parent / hashlib.sha256(made_from.encode()).hexdigest()[:12]
            teacher, student = folder / "teacher", folder / "student"
            for output, stage in (
                (teacher, lambda: teaching.finetune(prepared, teacher, settings.finetune, seed)),  # noqa: B023
                (student, lambda: distill(prepared, teacher, student, settings.distill, seed)),  # noqa: B023
            ):
                if not (output / MANIFEST).is_file():
                    print(
                        f"{time.strftime('%H:%M:%S')} {arm}, seed {seed}: {output.name} …", file=sys.stderr, flush=True
                    )
                    stage()
            data = PreparedDataset(prepared)
            targets, _ = data.measurable_targets(on)
            ranks[arm] = rank_all({"student": Scorer(load_bundle(student))}, data, targets)["student"].ranks
    wanted = np.concatenate(targets.items)
    owners = np.repeat(np.arange(len(targets)), [len(items) for items in targets.items])
    return {
        group: {arm: _metrics(found, owners, wanted, data.train_counts, *bounds) for arm, found in ranks.items()}
        for group, bounds in GROUPS.items()
    }


def _metrics(
    found: TargetRanks,
    owners: NDArray[np.int64],
    wanted: NDArray[np.int32],
    counts: NDArray[np.int64],
    least: int,
    most: int | None,
) -> NDArray[np.float64]:
    """Of the targets whose items have that many training events. ``[users, METRICS]``

    owners, wanted [targets]: users and items, in the order in which the targets were given.
    """
    order = np.argsort(found.users, kind="stable")  # rank_all ranks users in an order of its own
    assert np.array_equal(found.users[order], owners)
    seen = counts[wanted]
    kept = (seen >= least) & (seen <= (most if most is not None else seen.max()))
    users, rows = np.unique(owners[kept], return_inverse=True)
    part = TargetRanks(found.ranks[order][kept], rows, len(users), found.tied[order][kept])
    metrics = ranking_metrics(part, (10,))
    return np.stack([metrics[name] for name in METRICS], axis=1)


@contextmanager
def _texts_read_once() -> Iterator[None]:
    """Both arms see the same text vectors: what is read for the one with pictures, which comes first, serves the other, too."""
    read, known = teaching.read_texts, list[Reading]()

    def once(data: PreparedDataset, *rest: Any) -> Reading:
        if not known:
            known.append(read(data, *rest))
        features = known[0].features
        if features.image_dim and data.images() is None:
            begin, end = features.text_dim, features.text_dim + features.image_dim
            values = np.concatenate([features.values[:, :begin], features.values[:, end:]], axis=1)
            return replace(known[0], features=replace(features, values=values, image_dim=0))
        return known[0]

    teaching.read_texts = once
    try:
        yield
    finally:
        teaching.read_texts = read


if __name__ == "__main__":
    run(main)
