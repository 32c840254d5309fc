"""Newcomers and new items: users, and separately items, that training never saw.

    python benchmarks/cold_start.py --dataset shared/datasets/amazon-beauty --work cold --json cold.json

Users: 10 % of them lose all their events before preprocess, and are then asked for with 0 to 4 of their items revealed (and
with nothing but attributes, where there are any); the target is their last event. Their attributes stay in the users table.
Where items have attributes, they are also asked for with no item but a stated interest: the three attributes that stand out
in their events before the target, which is a guess at what they would have said.
Items: 10 % of them, with all their events, are taken out before preprocess and come back by add-items; the targets are the
last events of users that fell on such items, ranked among the whole catalogue and among the new items alone.
History is excluded from the ranking, ties count against a system, intervals are paired bootstraps over users. Stages that
are done are found again in --work. A dataset is a folder with interactions.parquet, items.parquet and maybe users.parquet.
"""

import argparse
import copy
import hashlib
import json
import math
import platform
import sys
import time
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq
import torch
from numpy.typing import NDArray

from longtail.baselines.classic import baselines
from longtail.components.distill.distill import distill
from longtail.components.evaluate.measure import PerUser, entries
from longtail.components.evaluate.settings import EvaluateSettings
from longtail.components.finetune.finetune import finetune
from longtail.components.preprocess.fingerprint import fingerprint
from longtail.components.preprocess.later_items import read_new_items
from longtail.components.preprocess.prepare import prepare
from longtail.contracts.artifacts import MANIFEST
from longtail.contracts.errors import UserError
from longtail.contracts.prepared import PreparedDataset, Split
from longtail.metrics.ranking import TargetRanks, rank_targets, ranking_metrics
from longtail.modeling.language_model import LanguageModel, encode_texts, load_language_model
from longtail.modeling.techniques.layer_pruning import keep_lowest_layers
from longtail.neighbours.new_items import add_items
from longtail.neighbours.tfidf import tfidf_vectors
from longtail.pipelines.run_settings import RunSettings, load_settings
from longtail.scoring.bundle import load_bundle
from longtail.scoring.query import Query, System, queries_of
from longtail.scoring.scorer import Scorer
from longtail.system.machine import available_cores

SHARE = 0.1  # of users, or items, that are held out
REVEALED = (0, 1, 2, 3, 4)
BATCH = 256
STATED = 3  # attributes of a stated interest
QUICK = [
    "finetune.adaptation.steps=10",
    "finetune.adaptation.batch=64",
    "finetune.training.dim=64",
    "finetune.training.blocks=1",
    "finetune.training.epochs=2",
    "distill.training.dim=64",
    "distill.training.epochs=1",
]
SHOWN = ("student", "popularity", "item_cf", "tfidf", "frozen_text")

Table = dict[str, dict[str, dict[str, Any]]]  # column -> system -> entry


class Data:
    """The tables of a dataset, and where results of one set of data, settings and seed are kept."""

    def __init__(self, dataset: Path, work: Path, settings: RunSettings) -> None:
        self.settings = settings
        self.paths = {name: dataset / f"{name}.parquet" for name in ("interactions", "items", "users")}
        for name in ("interactions", "items"):
            if not self.paths[name].is_file():
                raise UserError(f"--dataset {dataset}: holds no {name}.parquet")
        self.users = str(self.paths["users"]) if self.paths["users"].is_file() else None
        self.digest = fingerprint([str(path) for path in self.paths.values() if path.is_file()])
        key = hashlib.sha256(json.dumps([self.digest, settings.canonical(), SHARE]).encode()).hexdigest()[:16]
        self.work = work / key
        self.work.mkdir(parents=True, exist_ok=True)

    def whole(self) -> PreparedDataset:
        return self.prepared("whole", self.paths["interactions"], self.paths["items"])

    def prepared(self, name: str, interactions: Path, items: Path) -> PreparedDataset:
        path = self.work / name
        self.once(path, lambda: prepare(str(interactions), str(items), self.users, path, self.settings.preprocess))
        return PreparedDataset(path)

    def without(self, name: str, table: str, column: str, values: Sequence[str]) -> Path:
        """A copy of a table without the rows that have one of the values."""
        path = self.work / f"{name}_{table}.parquet"
        rows = pq.read_table(self.paths[table])
        column = self.settings.preprocess.columns.get(column, column)
        held = pc.is_in(rows.column(column).cast(pa.string()), pa.array(values, pa.string()))
        pq.write_table(rows.filter(pc.invert(held)), path)
        return path

    def trained(self, name: str, prepared: PreparedDataset) -> tuple[Path, Path]:
        """Teacher and student of a prepared data set."""
        teacher, student, seed = self.work / f"{name}_teacher", self.work / f"{name}_student", self.settings.seed
        source = prepared.artifact.path
        self.once(teacher, lambda: finetune(source, teacher, self.settings.finetune, seed))
        self.once(student, lambda: distill(source, teacher, student, self.settings.distill, seed))
        return teacher, student

    @staticmethod
    def once(path: Path, stage: Callable[[], object]) -> None:
        if not (path / MANIFEST).is_file():
            print(f"{time.strftime('%H:%M:%S')} {path.name} …", file=sys.stderr, flush=True)
            stage()


def new_users(data: Data) -> dict[str, Any]:
    """Users that training never saw."""
    whole = data.whole()
    held = _held_out(len(whole.user_ids), data.settings.seed)
    interactions = data.without("users", "interactions", "user_id", [whole.user_ids[user] for user in held])
    seen = data.prepared("users_prepared", interactions, data.paths["items"])
    _, student = data.trained("users", seen)
    assert seen.item_ids == whole.item_ids
    systems = {"student": Scorer(load_bundle(student))} | baselines(seen, frozen_vectors(data, whole))
    targets = whole.targets(Split.TEST)
    rows = np.flatnonzero(np.isin(targets.users, held) & (targets.history_lengths >= max(REVEALED)))
    chosen = targets.of(rows)
    table: Table = {
        str(k): _measured(systems, queries_of(whole, chosen, k), chosen.items, whole.exclude_history, data)
        for k in REVEALED
    }
    interests = _stated_interests(whole, chosen.histories)
    if any(interests):
        queries = [
            Query(query.history, query.attributes, interest)
            for query, interest in zip(queries_of(whole, chosen, 0), interests)
        ]
        asked = {name: systems[name] for name in ("student", "popularity")} | _searches(data, whole, interests)
        table["0, an interest"] = _measured(asked, queries, chosen.items, whole.exclude_history, data)
    if whole.facts["user_attributes"]:
        unknown = [Query(query.history) for query in queries_of(whole, chosen, 0)]
        table["0, no attributes"] = _measured(systems, unknown, chosen.items, whole.exclude_history, data)
    return {"held_out": len(held), "measured": len(rows), "by_revealed_items": table}


def new_items(data: Data) -> dict[str, Any]:
    """Items that training never saw, added by their text."""
    whole = data.whole()
    held = _held_out(len(whole.item_ids), data.settings.seed)
    names = [whole.item_ids[item] for item in held]
    seen = data.prepared(
        "items_prepared",
        data.without("items", "interactions", "item_id", names),
        data.without("items", "items", "item_id", names),
    )
    _, student = data.trained("items", seen)
    others = [item for item in whole.item_ids if item not in set(names)]
    table = data.without("added", "items", "item_id", others)
    extended = data.work / "items_extended"
    data.once(extended, lambda: add_items(student, read_new_items(str(table), data.settings.preprocess), extended))
    bundle = load_bundle(extended)
    places = {item: code for code, item in enumerate(bundle.item_ids)}
    code = np.array([places[item] for item in whole.item_ids], dtype=np.int32)  # of the whole data -> of the bundle
    order = np.argsort(code)
    catalogue = copy.copy(seen)  # what baselines see: the bundle's catalogue with the events of training
    catalogue.item_ids, catalogue.item_texts = bundle.item_ids, [whole.item_texts[item] for item in order]
    catalogue.train_counts = bundle.train_counts
    systems = {"student": Scorer(bundle)} | baselines(catalogue, frozen_vectors(data, whole)[order])
    targets = whole.targets(Split.TEST)
    new = [items[np.isin(items, held)] for items in targets.items]
    rows = np.array([row for row, items in enumerate(new) if len(items)], dtype=np.int64)
    if len(rows) == 0:
        raise UserError("no last event fell on a held-out item, so nothing can be measured; take a larger dataset")
    queries = [Query(code[query.history], query.attributes) for query in queries_of(whole, targets.of(rows), None)]
    wanted = [code[new[row]] for row in rows]
    events = int(np.isin(whole.item_codes, held).sum())
    result = {
        among: _measured(systems, queries, wanted, whole.exclude_history, data, codes)
        for among, codes in (("whole catalogue", None), ("new items", np.sort(code[held])))
    }
    result["new items"]["chance"] = _chance(len(held))
    return {"held_out": len(held), "events": events, "measured": len(rows), "ranked_among": result}


class Search:
    """Cosine of a stated interest's vector and the items' [items, dim]; who states none gets zeros."""

    def __init__(self, items: Any, interests: Mapping[str, Any]) -> None:
        self._items, self._interests = items, interests

    def score(self, queries: Sequence[Query]) -> NDArray[np.float32]:
        scores = np.zeros((len(queries), self._items.shape[0]), dtype=np.float32)
        for row, query in enumerate(queries):
            if query.interests:
                scores[row] = self._items @ self._interests[query.interests]
        return scores


def _searches(data: Data, whole: PreparedDataset, interests: Sequence[str | None]) -> dict[str, System]:
    """What finds items by a stated interest without having been trained."""
    asked = sorted({interest for interest in interests if interest})
    frozen, _ = encode_texts(_frozen_model(data), asked, torch.device("cpu"), False, cache_from=0)
    words = tfidf_vectors([*whole.item_texts, *asked])
    items, rows = words[: len(whole.item_ids)], words[len(whole.item_ids) :].toarray()
    return {
        "frozen_text": Search(frozen_vectors(data, whole), dict(zip(asked, frozen))),
        "tfidf": Search(items, dict(zip(asked, rows))),
    }


def _stated_interests(whole: PreparedDataset, histories: Sequence[NDArray[np.int32]]) -> list[str | None]:
    """Of each history the attributes with the greatest share * log(share / share in all training events)."""
    usual = Counter(name for items in whole.train_sequences() for item in items for name in whole.item_attributes[item])
    events = usual.total()
    found: list[str | None] = []
    for history in histories:
        own = Counter(name for item in history for name in whole.item_attributes[item])
        weight = {name: n * math.log(n / own.total() * events / max(usual[name], 1)) for name, n in own.items()}
        found.append(", ".join(sorted(weight, key=lambda name: (-weight[name], name))[:STATED]) or None)
    return found


def _frozen_model(data: Data) -> LanguageModel:
    settings = data.settings.finetune
    model = load_language_model(settings.language_model, settings.pooling, settings.max_tokens)
    keep_lowest_layers(model, settings.language_model_layers)
    return model


def frozen_vectors(data: Data, whole: PreparedDataset) -> NDArray[np.float32]:
    """Unit vectors of the unadapted language model; an item without text has zeros. ``[items, text_dim]``"""
    path = data.work / "frozen.npy"
    if not path.is_file():
        vectors, _ = encode_texts(_frozen_model(data), whole.item_texts, torch.device("cpu"), False, cache_from=0)
        vectors[[not text for text in whole.item_texts]] = 0.0
        np.save(path, vectors)
    return np.asarray(np.load(path), dtype=np.float32)


def _held_out(count: int, seed: int) -> NDArray[np.int64]:
    return np.sort(np.random.default_rng([seed, count]).choice(count, max(1, round(SHARE * count)), replace=False))


def _measured(
    systems: Mapping[str, System],
    queries: Sequence[Query],
    targets: Sequence[NDArray[np.int32]],
    exclude_history: bool,
    data: Data,
    among: NDArray[np.integer] | None = None,
) -> dict[str, dict[str, Any]]:
    """Entries as in evaluation.json. among: sorted codes of the items that are ranked; all where None."""
    values: PerUser = {}
    for name, system in systems.items():
        ranks = []
        for begin in range(0, len(queries), BATCH):
            batch = queries[begin : begin + BATCH]
            wanted, scores = targets[begin : begin + BATCH], system.score(batch)
            if exclude_history:
                for row, query in enumerate(batch):
                    scores[row, query.history] = -np.inf
            if among is not None:
                scores, wanted = scores[:, among], [np.searchsorted(among, items) for items in wanted]
            ranks.append(rank_targets(scores, wanted))
        values[name] = ranking_metrics(TargetRanks.joined(ranks), (10,))
    return entries(values, np.arange(len(queries)), EvaluateSettings(), data.settings.seed)


def _chance(count: int) -> dict[str, Any]:
    """What a random order of ``count`` items is expected to reach for one target."""
    shown = min(10, count)
    return {"recall@10": shown / count, "ndcg@10": float((1 / np.log2(np.arange(2, shown + 2))).sum()) / count}


def tables(results: Mapping[str, Any]) -> str:
    """Markdown: NDCG@10 / Recall@10, and the interval of student minus system."""
    parts = []
    for title, found, column in (
        ("New users", results["users"], "by_revealed_items"),
        ("New items", results["items"], "ranked_among"),
    ):
        parts.append(f"\n{title}: {found['held_out']} held out, {found['measured']} users measured\n")
        parts.append(f"| {column.replace('_', ' ')} | system | NDCG@10 | Recall@10 | student minus it (NDCG@10) |")
        parts.append("|---|---|---|---|---|")
        for name, systems in found[column].items():
            for system in (*SHOWN, "chance"):
                if system not in systems:
                    continue
                entry = systems[system]
                low, high = entry.get("student_minus", {}).get("ndcg@10_interval", (None, None))
                interval = "" if low is None else f"{low:+.4f} to {high:+.4f}"
                parts.append(f"| {name} | {system} | {entry['ndcg@10']:.4f} | {entry['recall@10']:.4f} | {interval} |")
    return "\n".join(parts)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--dataset", type=Path, required=True)
    parser.add_argument("--profile", choices=("quick", "full"), default="full", help="quick only shows that it works")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--set", action="append", default=[], metavar="STAGE.KEY=VALUE", help="over the profile's")
    parser.add_argument("--work", type=Path, default=Path("runs/cold-start"))
    parser.add_argument("--json", type=Path, help="file to write")
    given = parser.parse_args()
    try:
        overrides = [*(QUICK if given.profile == "quick" else ()), *given.set, f"seed={given.seed}"]
        data = Data(given.dataset, given.work, load_settings(None, overrides))
        started = time.monotonic()
        results = {
            "users": new_users(data),
            "items": new_items(data),
            "command": " ".join(sys.argv),
            "machine": f"{platform.machine()}, {available_cores()} cores",
            "date": time.strftime("%Y-%m-%d"),
            "dataset": data.digest,
            "settings": data.settings.model_dump(mode="json"),
        }
        results["seconds"] = round(time.monotonic() - started, 1)
    except UserError as error:
        sys.exit(f"error: {error}")
    print(tables(results))
    if given.json:
        given.json.write_text(json.dumps(results, indent=1) + "\n")


if __name__ == "__main__":
    main()
