"""Stage 4: measures student, teacher and baselines per user segment, with intervals, and decides the gate.

Files of the artifact: evaluation.json, per_user.parquet, report.html, and golden.json (users whose answers deploy compares
with the served ones).
"""

import json
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from numpy.typing import NDArray
from safetensors.numpy import load_file

from longtail.baselines.classic import MIXTURES, baselines
from longtail.components.evaluate.gate import decide
from longtail.components.evaluate.leakage import check_target_time
from longtail.components.evaluate.measure import PerUser, beyond, entries, per_user
from longtail.components.evaluate.report import render_report
from longtail.components.evaluate.rescoring import Champion
from longtail.components.evaluate.settings import EvaluateSettings
from longtail.contracts.artifacts import EVALUATION, TEACHER, read_artifact, write_artifact
from longtail.contracts.errors import UserError
from longtail.contracts.prepared import PreparedDataset, Split, Targets
from longtail.contracts.segments import ALL, SEGMENTS
from longtail.metrics.beyond import long_tail_items
from longtail.registry.champion import champion_folder
from longtail.scoring.bundle import load_bundle
from longtail.scoring.query import System
from longtail.scoring.ranked import Ranked, rank_all
from longtail.scoring.recommender import Asked, Recommender
from longtail.scoring.scorer import Scorer

GOLDEN_PER_SEGMENT = 4


def evaluate(
    prepared: str | Path,
    teacher: str | Path,
    bundle: str | Path,
    output: str | Path,
    settings: EvaluateSettings,
    seed: int = 0,
    champion: str | None = None,
) -> bool:
    """Write the Evaluation artifact to ``output``; returns whether the gate passed.

    champion: the Student bundle that is in service (a folder, or an address, see ``registry.champion``) or the registry that
        names it; compared on today's targets.

    Raises:
        UserError: where a model saw more than the training split, or nothing is left to measure.
    """
    with champion_folder(champion or "") as folder:
        return _evaluate(prepared, teacher, bundle, output, settings, seed, folder)


def _evaluate(
    prepared: str | Path,
    teacher: str | Path,
    bundle: str | Path,
    output: str | Path,
    settings: EvaluateSettings,
    seed: int,
    champion: Path | None,
) -> bool:
    data = PreparedDataset(prepared)
    taught = read_artifact(teacher, TEACHER)
    student = Scorer(load_bundle(bundle))
    teacher_scorer = Scorer(load_bundle(taught.file("scorer")))
    _check_cutoffs(settings, len(data.item_ids))
    for model in (student.bundle, teacher_scorer.bundle):
        if model.item_ids != data.item_ids:
            raise UserError(
                f"{model.path}: its catalogue is not that of {data.artifact.path}; train it again on this data"
            )
    digests = {"student": student.bundle.facts["train_digest"], "teacher": taught.facts["train_digest"]}
    leakage = check_target_time(data, digests)
    frozen = load_file(taught.file("text_vectors.safetensors"))["frozen"]
    systems: dict[str, System] = {"student": student, "teacher": teacher_scorer} | baselines(data, frozen)
    if champion:
        systems["champion"] = Champion(champion, data)
    targets, in_history = data.measurable_targets(Split.TEST)

    ranked = rank_all(systems, data, targets, mixtures=MIXTURES)
    values = per_user(ranked, settings.cutoffs)
    segments = data.segment_rule.assign(targets.history_lengths)
    groups = {ALL: np.arange(len(targets))} | {name: np.flatnonzero(segments == name) for name in SEGMENTS}
    by_group = {group: entries(values, rows, settings, seed) for group, rows in groups.items()}
    is_long_tail = long_tail_items(data.train_counts)
    gate = decide(by_group[ALL], settings)
    revealed, revealed_users = _revealed(systems, data, targets, settings, seed)
    evaluation: dict[str, Any] = {
        "protocol": data.facts["protocol"],
        "exclude_history": data.exclude_history,
        "cutoffs": list(settings.cutoffs),
        "confidence": settings.confidence,
        "bootstrap_samples": settings.bootstrap_samples,
        "systems": {
            name: {group: by_group[group][name] for group in groups}
            | {
                "beyond": {
                    group: beyond(ranked[name].lists[rows], frozen, is_long_tail) for group, rows in groups.items()
                }
            }
            for name in ranked
        },
        "revealed": revealed,
        "revealed_users": revealed_users,
        "gate": gate,
        "data": _facts(data, targets, in_history),
        "leakage_check": leakage,
        "settings": settings.model_dump(mode="json"),
        "seed": seed,
    }
    facts = {"gate_passed": gate["passed"], "train_digest": data.train_digest(), "seed": seed}
    with write_artifact(output, EVALUATION, facts) as folder:
        (folder / "evaluation.json").write_text(json.dumps(evaluation, indent=1, allow_nan=False) + "\n")
        pq.write_table(_per_user_table(data, targets, segments, ranked, values), folder / "per_user.parquet")
        (folder / "report.html").write_text(render_report(evaluation))
        (folder / "golden.json").write_text(
            json.dumps(golden(Recommender(student.bundle), data, targets, segments), indent=1) + "\n"
        )
    return bool(gate["passed"])


def _check_cutoffs(settings: EvaluateSettings, n_items: int) -> None:
    if not 1 <= min(settings.cutoffs) <= max(10, *settings.cutoffs) <= n_items:
        raise UserError(
            f"evaluate.cutoffs: are {list(settings.cutoffs)}, and 10 is always measured, but the catalogue holds {n_items} "
            f"items; every cutoff must lie between 1 and {n_items}"
        )


def _revealed(
    systems: dict[str, System], data: PreparedDataset, targets: Targets, settings: EvaluateSettings, seed: int
) -> tuple[dict[str, Any], int]:
    """The same users and targets with the history cut to its last k items, for every k."""
    rows = np.flatnonzero(targets.history_lengths >= max(settings.revealed, default=0))
    chosen = Targets(targets.users[rows], [targets.histories[r] for r in rows], [targets.items[r] for r in rows])
    revealed: dict[str, Any] = {}
    for k in settings.revealed if len(rows) else ():
        found = per_user(rank_all(systems, data, chosen, last=k, mixtures=MIXTURES), settings.cutoffs)
        revealed[str(k)] = entries(found, np.arange(len(rows)), settings, seed)
    return revealed, len(rows)


def _facts(data: PreparedDataset, targets: Targets, in_history: int) -> dict[str, Any]:
    return {
        "users": len(data.user_ids),
        "items": len(data.item_ids),
        "events": len(data.splits),
        "train_events": int((data.splits == Split.TRAIN).sum()),
        "rejected": data.facts["rejected"],
        "segment_rule": data.facts["segment_rule"],
        "targets_in_history": in_history,
        "test_users": len(targets),
        "users_without_target": len(data.user_ids) - len(targets),
    }


def _per_user_table(
    data: PreparedDataset,
    targets: Targets,
    segments: NDArray[np.str_],
    ranked: dict[str, Ranked],
    values: PerUser,
) -> pa.Table:
    """user_id, segment, history_length; for each system the best target's rank, ndcg@10 and recall@10."""
    columns: dict[str, Any] = {
        "user_id": [data.user_ids[user] for user in targets.users],
        "segment": segments.tolist(),
        "history_length": targets.history_lengths,
    }
    for name in ranked:
        columns[f"{name}_rank"] = ranked[name].ranks.best()
        columns |= {f"{name}_{metric}": values[name][metric] for metric in ("ndcg@10", "recall@10")}
    return pa.table(columns)


def golden(
    student: Recommender, data: PreparedDataset, targets: Targets, segments: NDArray[np.str_]
) -> list[dict[str, Any]]:
    """The first users of every segment with the student's answers; who has no cold user asks some without history."""
    rows = np.concatenate([np.flatnonzero(segments == name)[:GOLDEN_PER_SEGMENT] for name in SEGMENTS])
    asked = [
        Asked([data.item_ids[item] for item in targets.histories[row]], data.user_attributes[targets.users[row]])
        for row in rows
    ]
    if not (segments == SEGMENTS[0]).any():
        first = targets.users[:GOLDEN_PER_SEGMENT]
        asked = [Asked(attributes=data.user_attributes[user]) for user in first] + asked
    return [
        {
            "history": list(one.history),
            "attributes": list(one.attributes),
            "expected": [recommendation.item_id for recommendation in answer.items],
            "scores": [recommendation.score for recommendation in answer.items],
        }
        for one, answer in zip(asked, student.answers(asked))
    ]
