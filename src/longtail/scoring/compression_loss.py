"""Makes a student smaller, and measures on the validation targets what that costs."""

import logging
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from longtail.contracts.artifacts import BUNDLE, check_place, manifest_digest, write_artifact
from longtail.contracts.errors import UserError
from longtail.contracts.prepared import PreparedDataset, Split
from longtail.metrics.ranking import TargetRanks, ndcg, rank_targets
from longtail.scoring.bundle import load_bundle
from longtail.scoring.compression import write_compressed
from longtail.scoring.compression_settings import CompressionSettings
from longtail.scoring.query import Query, System, queries_of
from longtail.scoring.scorer import Scorer

log = logging.getLogger(__name__)
SAMPLE = 4000  # validation users at most
BATCH = 256
REVEALED = (0, 1, 2, 3, 4)
WHOLE = "all"

Loss = dict[str, dict[str, float | None]]  # k, or "all" -> ndcg@10 before and after, and the share that is kept


def compress(
    bundle: str | Path, output: str | Path, settings: CompressionSettings, prepared: PreparedDataset, seed: int = 0
) -> Loss:
    """Write a smaller bundle to ``output``; the loss is in its manifest, too.

    Raises:
        UserError: where no setting is on or one cannot act; where ``prepared`` is not what the bundle learnt from; or
            where less than ``keep_ndcg`` is kept for whole histories. Nothing is written then.
    """
    if not settings.compresses:
        names = ("int8_items", "int8_sequence_encoder", "int8_text_encoder", "keep_neighbours")
        raise UserError(
            f"no compression is on; turn one of {', '.join(names)} on, for example distill.compression.int8_items=true"
        )
    check_place(output, BUNDLE)
    loaded = load_bundle(bundle)
    if loaded.item_ids != prepared.item_ids or loaded.facts["train_digest"] != prepared.train_digest():
        raise UserError(
            f"{bundle}: did not learn from {prepared.artifact.path}, so its loss cannot be measured there (a "
            "refreshed one has seen these targets: compress what it was made of)"
        )
    facts = dict(loaded.facts)
    source = manifest_digest(loaded.path)
    if settings.keep_neighbours:  # also when the bundle is counted again
        facts["keep_neighbours"] = min(settings.keep_neighbours, facts.get("keep_neighbours", settings.keep_neighbours))
    with write_artifact(output, BUNDLE, facts) as folder:
        smaller = write_compressed(folder, loaded, settings)
        loss = loss_per_k(Scorer(loaded), Scorer(smaller), prepared, seed=seed)
        facts["compression"] = {
            "settings": settings.model_dump(mode="json", include=set(CompressionSettings.model_fields)),
            "from_manifest": source,
            "validation_ndcg": loss,
        }
        kept = loss[WHOLE]["kept"]
        if kept is not None and kept < settings.keep_ndcg:
            raise UserError(
                f"the compressed bundle keeps {kept:.2%} of the validation NDCG@10, less than keep_ndcg {settings.keep_ndcg:g}; "
                "compress less, or lower keep_ndcg"
            )
    return loss


def loss_per_k(
    before: System,
    after: System,
    prepared: PreparedDataset,
    revealed: Sequence[int] = REVEALED,
    sample: int = SAMPLE,
    seed: int = 0,
) -> Loss:
    """Validation NDCG@10 of both systems with histories cut to their last k items (users who have that many), and whole.

    ``kept`` is after / before, None where before is 0 or nobody has k items.
    """
    targets = prepared.targets(Split.VALIDATION)
    rows = np.sort(np.random.default_rng(seed).permutation(len(targets))[:sample])
    loss: Loss = {}
    for k in (*revealed, None):
        users = rows[targets.history_lengths[rows] >= (k or 0)]
        queries = queries_of(prepared, targets, k)
        asked, wanted = [queries[row] for row in users], [targets.items[row] for row in users]
        old, new = (_ndcg(system, asked, wanted, prepared) for system in (before, after))
        key = WHOLE if k is None else str(k)
        loss[key] = {"before": old, "after": new, "kept": new / old if old and new is not None else None}
        log.info("compression: %s items of the history: NDCG@10 %s -> %s", key, old, new)
    return loss


def _ndcg(
    system: System, queries: Sequence[Query], targets: Sequence[NDArray[np.int32]], prepared: PreparedDataset
) -> float | None:
    """Mean NDCG@10 over the whole catalogue; a tie counts against the system. None for nobody."""
    if not queries:
        return None
    ranks = []
    for begin in range(0, len(queries), BATCH):
        batch = queries[begin : begin + BATCH]
        excluded = [query.history for query in batch] if prepared.exclude_history else []
        ranks.append(rank_targets(system.score(batch), targets[begin : begin + BATCH], excluded))
    return float(ndcg(TargetRanks.joined(ranks)).mean())


def table(loss: Loss) -> str:
    """Lines for the terminal: NDCG@10 before and after, and what is kept, for each history length."""
    lines = [f"{'history':>8} {'before':>8} {'after':>8} {'kept':>8}"]
    for k, row in loss.items():
        shown: list[Any] = ["–" if value is None else f"{value:.4f}" for value in (row["before"], row["after"])]
        kept = row["kept"]
        lines.append(f"{k:>8} {shown[0]:>8} {shown[1]:>8} {'–' if kept is None else f'{kept:.2%}':>8}")
    return "\n".join(lines)
