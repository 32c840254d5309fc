"""Stage 4: measures student, teacher and baselines per user segment, with intervals, and decides the gate.

Files of the artifact: evaluation.json, per_user.parquet, report.html, and golden.json (users whose answers deploy compares
with the served ones).
"""

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from longtail.components.evaluate.gate import decide
from longtail.components.evaluate.golden import golden
from longtail.components.evaluate.leakage import check_target_time
from longtail.components.evaluate.measure import Measured, Revealed, beyond_accuracy, measure_revealed, measure_test
from longtail.components.evaluate.report import render_report
from longtail.components.evaluate.settings import EvaluateSettings
from longtail.components.evaluate.systems import load_models, systems_of
from longtail.contracts.artifacts import EVALUATION, check_place, write_artifact
from longtail.contracts.errors import UserError
from longtail.contracts.prepared import PreparedDataset, Split
from longtail.contracts.segments import ALL
from longtail.registry.champion import champion_folder
from longtail.scoring.recommender import Recommender


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
    check_place(output, EVALUATION)
    data = PreparedDataset(prepared)
    models = load_models(data, teacher, bundle)
    _check_cutoffs(settings, len(data.item_ids))
    leakage = check_target_time(data, models.train_digests)
    with champion_folder(champion or "") as folder:
        systems = systems_of(models, data, folder)
        test = measure_test(systems, data, settings, seed)
        revealed = measure_revealed(systems, test, settings, seed)
    found = Found(
        test, revealed, beyond_accuracy(test, models.frozen_text), decide(test.by_group[ALL], settings), leakage
    )
    evaluation = _document(found, settings, seed)
    passed = bool(found.gate["passed"])
    facts = {"gate_passed": passed, "train_digest": data.train_digest(), "seed": seed}
    with write_artifact(output, EVALUATION, facts) as out:
        (out / "evaluation.json").write_text(json.dumps(evaluation, indent=1, allow_nan=False) + "\n")
        pq.write_table(_per_user_table(test), out / "per_user.parquet")
        (out / "report.html").write_text(render_report(evaluation))
        answers = golden(Recommender(models.student.bundle), data, test.targets, test.segments)
        (out / "golden.json").write_text(json.dumps(answers, indent=1) + "\n")
    return passed


@dataclass(frozen=True)
class Found:
    """All that the stage found out."""

    test: Measured
    revealed: Revealed
    beyond: dict[str, dict[str, Any]]  # system -> group -> figures
    gate: dict[str, Any]
    leakage: str  # what was checked, as a sentence


def _check_cutoffs(settings: EvaluateSettings, n_items: int) -> None:
    if not 1 <= min(settings.cutoffs) <= max(10, *settings.cutoffs) <= n_items:
        raise UserError(
            f"evaluate.cutoffs: are {list(settings.cutoffs)}, and 10 is always measured, but the catalogue holds {n_items} "
            f"items; every cutoff must lie between 1 and {n_items}"
        )


def _document(found: Found, settings: EvaluateSettings, seed: int) -> dict[str, Any]:
    """The content of evaluation.json."""
    test = found.test
    return {
        "protocol": test.data.facts["protocol"],
        "exclude_history": test.data.exclude_history,
        "cutoffs": list(settings.cutoffs),
        "confidence": settings.confidence,
        "bootstrap_samples": settings.bootstrap_samples,
        "systems": {
            name: {group: entries[name] for group, entries in test.by_group.items()} | {"beyond": found.beyond[name]}
            for name in test.ranked
        },
        "revealed": found.revealed.by_k,
        "revealed_users": found.revealed.users,
        "gate": found.gate,
        "data": _facts(test),
        "leakage_check": found.leakage,
        "settings": settings.model_dump(mode="json"),
        "seed": seed,
    }


def _facts(test: Measured) -> dict[str, Any]:
    data = test.data
    return {
        "users": len(data.user_ids),
        "items": len(data.item_ids),
        "events": len(data.splits),
        "train_events": int((data.splits == Split.TRAIN).sum()),
        "rejected": data.facts["rejected"],
        "segment_rule": data.facts["segment_rule"],
        "targets_in_history": test.targets_in_history,
        "test_users": len(test.targets),
        "users_without_target": len(data.user_ids) - len(test.targets),
    }


def _per_user_table(test: Measured) -> pa.Table:
    """user_id, segment, history_length; for each system the best target's rank, ndcg@10 and recall@10."""
    columns: dict[str, Any] = {
        "user_id": [test.data.user_ids[user] for user in test.targets.users],
        "segment": test.segments.tolist(),
        "history_length": test.targets.history_lengths,
    }
    for name in test.ranked:
        columns[f"{name}_rank"] = test.ranked[name].ranks.best()
        columns |= {f"{name}_{metric}": test.values[name][metric] for metric in ("ndcg@10", "recall@10")}
    return pa.table(columns)
