"""Stage 4: measures student, teacher and baselines per user segment, with intervals, and decides the gate.

Files of the artifact: decision.json (may the bundle be served?), evaluation.json, per_user.parquet, report.html, and golden.json
(users whose answers deploy compares with the served ones).
"""

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from longtail.components.evaluate.after_refresh import measure_refresh
from longtail.components.evaluate.decide import champion_of, decide
from longtail.components.evaluate.dense_part import measure_dense_part
from longtail.components.evaluate.gate import INCUMBENT, verdict_table
from longtail.components.evaluate.golden import golden
from longtail.components.evaluate.incumbent_check import examine
from longtail.components.evaluate.leakage import check_target_time
from longtail.components.evaluate.measure import Measured, Revealed, beyond_accuracy, measure_revealed, measure_test
from longtail.components.evaluate.report import render_report
from longtail.components.evaluate.settings import EvaluateSettings
from longtail.components.evaluate.systems import NONE, Rivals, load_models, systems_of
from longtail.components.evaluate.worth import measure_worth
from longtail.contracts.artifacts import EVALUATION, check_place, write_artifact
from longtail.contracts.decision import Decision, write_decision
from longtail.contracts.errors import UserError
from longtail.contracts.prepared import PreparedDataset, Split
from longtail.registry.champion import bundle_today, champion_folder
from longtail.scoring.recommender import Recommender


def evaluate(
    prepared: str | Path,
    teacher: str | Path,
    bundle: str | Path,
    output: str | Path,
    settings: EvaluateSettings,
    seed: int = 0,
    rivals: Rivals = NONE,
) -> bool:
    """Write the Evaluation artifact to ``output``; returns whether the gate passed.

    Raises:
        UserError: where a model saw more than the training split, nothing is left to measure, or a rival cannot be read.
    """
    check_place(output, EVALUATION)
    data = PreparedDataset(prepared)
    models = load_models(data, teacher, bundle)
    _check_cutoffs(settings, len(data.item_ids))
    leakage = check_target_time(data, models.train_digests)
    today = bundle_today(rivals.champion or "")
    with champion_folder(today) as folder:
        systems = systems_of(models, data, folder, rivals.incumbent)
        test = measure_test(systems, data, settings, seed)
        revealed = measure_revealed(systems, test, settings, seed)
        decision = decide(test, revealed, bundle, settings, champion_of(today, folder))
    found = Found(
        test,
        revealed,
        beyond_accuracy(test, models.frozen_text),
        decision,
        examine(test, settings, seed),
        leakage,
        measure_refresh(models.student.bundle, test, settings, seed),
        measure_worth(models.student, test, settings, seed),
        measure_dense_part(models.student.bundle, test, settings, seed),
        models.student.bundle.facts.get("not_trained"),
    )
    evaluation = _document(found, settings, seed)
    facts = {"gate_passed": decision.passed, "train_digest": data.train_digest(), "seed": seed}
    with write_artifact(output, EVALUATION, facts) as out:
        write_decision(decision, out)
        (out / "evaluation.json").write_text(json.dumps(evaluation, indent=1, allow_nan=False) + "\n")
        pq.write_table(_per_user_table(test), out / "per_user.parquet")
        (out / "report.html").write_text(render_report(evaluation))
        answers = golden(Recommender(models.student.bundle), data, test.targets, test.segments)
        (out / "golden.json").write_text(json.dumps(answers, indent=1) + "\n")
    return decision.passed


@dataclass(frozen=True)
class Found:
    """All that the stage found out."""

    test: Measured
    revealed: Revealed
    beyond: dict[str, dict[str, Any]]  # system -> group -> figures
    decision: Decision
    incumbent: dict[str, Any] | None  # what is said of its lists
    leakage: str  # what was checked, as a sentence
    refreshed: dict[str, Any] | None  # group -> what counting the validation events too would bring
    attributes: list[dict[str, Any]]  # what every column of attributes and context is worth
    dense_part: dict[str, Any] | None  # group -> the counts alone, with what the student has beside them
    not_trained: str | None  # why


def _check_cutoffs(settings: EvaluateSettings, n_items: int) -> None:
    if not 1 <= min(settings.cutoffs) <= max(settings.measured_cutoffs) <= n_items:
        raise UserError(
            f"evaluate.cutoffs: are {list(settings.cutoffs)}, and 10 and those of gate_rules are measured, too, but the "
            f"catalogue holds {n_items} items; every cutoff must lie between 1 and {n_items}"
        )


def _document(found: Found, settings: EvaluateSettings, seed: int) -> dict[str, Any]:
    """The content of evaluation.json."""
    test = found.test
    reach = test.incumbent.reach if test.incumbent else None
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
        "by_history": test.by_history,
        "revealed": found.revealed.by_k,
        "revealed_users": found.revealed.users,
        "decision": found.decision.document(),
        "verdicts": verdict_table(test.columns | found.revealed.columns, settings, reach),
        "incumbent": found.incumbent,
        "data": _facts(test),
        "leakage_check": found.leakage,
        "refreshed": found.refreshed,
        "attributes": found.attributes,
        "dense_part": found.dense_part,
        "not_trained": found.not_trained,
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
    """user_id, segment, history_length; for each system the best target's rank, ndcg@10 and recall@10.

    Null where the incumbent has no list.
    """
    columns: dict[str, Any] = {
        "user_id": [test.data.user_ids[user] for user in test.targets.users],
        "segment": test.segments.tolist(),
        "history_length": test.targets.history_lengths,
    }
    for name in test.ranked:
        columns[f"{name}_rank"] = test.ranked[name].ranks.best()
        columns |= {f"{name}_{metric}": test.values[name][metric] for metric in ("ndcg@10", "recall@10")}
    if test.incumbent:
        without = ~test.incumbent.listed[test.targets.users]
        for column in (name for name in columns if name.startswith(INCUMBENT)):
            columns[column] = pa.array(columns[column], mask=without)
    return pa.table(columns)
