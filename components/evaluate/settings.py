"""Settings of the evaluation: what is measured, and what the gate asks for."""

import re
from typing import ClassVar, Literal

from pydantic import Field, field_validator

from longtail.contracts.settings_base import Settings

Rival = Literal[
    "every_rival",
    "popularity",
    "recent_popularity",
    "naive_bayes",
    "item_cf",
    "next_item",
    "tfidf",
    "frozen_text",
    "cf_tfidf",
    "cf_tfidf_text",
    "champion",
    "incumbent",
]
GATED = ("ndcg", "expected_ndcg", "recall", "precision", "hitrate", "mrr")


class Rule(Settings):
    """One thing that the gate asks for. The student's lead over a rival is judged by the interval of the paired difference."""

    must_be: Literal["better", "not_worse"] = Field(
        description="`better`: the interval lies above 0; `not_worse`: it lies above minus the margin."
    )
    than: Rival = Field(description="A system of the report; `every_rival`: all but student and teacher.")
    among: str = Field(
        "all",
        pattern=r"^(all|cold|tail|torso|head|k=\d+|history=\d+(-\d+|\+)?)$",
        description="Users: all, a segment, `history=1` for those who really had one event when they asked (`history=5+`: five "
        "or more), or `k=1` for the histories cut to one item.",
    )
    metric: str = Field(
        "ndcg@10",
        description="With its cut-off; `expected_ndcg@10` breaks ties of scores at random, not against a system.",
    )
    margin: float | None = Field(
        None, ge=0, description="Per cent of the rival's value that the student may lack; none takes gate_margin."
    )
    if_absent: Literal["fail", "skip"] = Field(
        "fail", description="Where the rival is not in the run, or nobody is in the segment: fail, or do not ask."
    )
    needs_attributes: bool = Field(False, description="Ask only where the data has attributes of users.")

    @field_validator("metric")
    @classmethod
    def _is_measured(cls, metric: str) -> str:
        if not re.fullmatch(rf"({'|'.join(GATED)})@[1-9]\d*", metric):
            raise ValueError(f"metric is one of {', '.join(GATED)} with its cut-off, for example ndcg@10")
        return metric

    @property
    def cutoff(self) -> int:
        return int(self.metric.partition("@")[2])


DEFAULT_RULES = (
    Rule(must_be="better", than="popularity"),
    Rule(must_be="not_worse", than="every_rival"),
    Rule(must_be="not_worse", than="every_rival", among="tail", if_absent="skip"),
    Rule(
        must_be="not_worse",
        than="every_rival",
        among="cold",
        metric="expected_ndcg@10",
        if_absent="skip",
        needs_attributes=True,
    ),
)


class EvaluateSettings(Settings):
    """What is measured, and what the gate asks for."""

    renamed: ClassVar[dict[str, str]] = {
        "gate_metric": "gate_rules, metric of each rule",
        "gate_baselines": "gate_rules, than of each rule",
        "gate_tolerance": "gate_margin, in per cent of what the rival has",
    }

    cutoffs: tuple[int, ...] = Field((5, 10, 20), min_length=1, description="The k of Recall@k, NDCG@k and so on.")
    revealed: tuple[int, ...] = Field(
        (0, 1, 2, 3, 4), description="History lengths of the tables by history, real and revealed."
    )
    bootstrap_samples: int = Field(1000, ge=100, description="Resamples of users behind every interval.")
    confidence: float = Field(0.95, gt=0.5, lt=1, description="Coverage of the intervals.")
    gate_rules: tuple[Rule, ...] = Field(
        DEFAULT_RULES, min_length=1, description="All of them must hold, or the gate fails; see docs/verdict.md."
    )
    gate_margin: float = Field(
        10.0, ge=0, description="Per cent of a rival's value that the student may lack and still be `not_worse`."
    )
    gate_min_users: int = Field(
        50, ge=1, description="A rule over fewer users does not pass; tables say `too few users`."
    )

    @property
    def measured_cutoffs(self) -> list[int]:
        """Those that were asked for, 10 (headline), and those of the rules."""
        return sorted({*self.cutoffs, 10, *(rule.cutoff for rule in self.gate_rules)})
