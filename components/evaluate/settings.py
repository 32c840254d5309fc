"""Settings of the evaluation: what is measured, and what the gate asks for."""

from typing import Literal

from pydantic import Field

from longtail.contracts.settings_base import Settings

Baseline = Literal["popularity", "item_cf", "next_item", "tfidf", "frozen_text", "cf_tfidf", "cf_tfidf_text"]


class EvaluateSettings(Settings):
    """What is measured, and what the gate asks for."""

    cutoffs: tuple[int, ...] = Field((5, 10, 20), min_length=1, description="The k of Recall@k, NDCG@k and so on.")
    revealed: tuple[int, ...] = Field((0, 1, 2, 3, 4), description="History lengths of the revealed-history tables.")
    bootstrap_samples: int = Field(1000, ge=100, description="Resamples of users behind every interval.")
    confidence: float = Field(0.95, gt=0.5, lt=1, description="Coverage of the intervals.")
    gate_metric: Literal["ndcg", "recall", "mrr", "hitrate"] = Field("ndcg", description="Metric of the gate, at 10.")
    gate_baselines: tuple[Baseline, ...] = Field(
        ("popularity", "item_cf", "tfidf"),
        description="Systems that the student must not be worse than, over all users.",
    )
    gate_tolerance: float = Field(
        0.0, ge=0, description="The gate fails where the upper bound of (student - baseline) lies below minus this."
    )
