"""From ranks to the entries of evaluation.json: means, intervals, paired differences, per group of users."""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from longtail.components.evaluate.settings import EvaluateSettings
from longtail.metrics.beyond import coverage, intra_list_diversity, long_tail_share
from longtail.metrics.ranking import METRICS, ranking_metrics
from longtail.metrics.significance import bootstrap_means, interval
from longtail.scoring.ranked import Ranked

WITH_INTERVAL = tuple(f"{metric}@10" for metric in METRICS)
STUDENT = "student"

PerUser = dict[str, dict[str, NDArray[np.float64]]]  # system -> metric -> [users]


def per_user(ranked: Mapping[str, Ranked], cutoffs: Sequence[int]) -> PerUser:
    """Every metric of every user. The cut-off 10 is always there: headline, intervals and gate read it."""
    return {name: ranking_metrics(found.ranks, sorted({*cutoffs, 10})) for name, found in ranked.items()}


def entries(
    values: PerUser, rows: NDArray[np.intp], settings: EvaluateSettings, seed: int
) -> dict[str, dict[str, Any]]:
    """One entry a system for the users in ``rows``: means, intervals, and the student's paired advantage."""
    if len(rows) == 0:
        return {name: empty(list(metrics)) for name, metrics in values.items()}
    columns = [(name, metric) for name in values for metric in WITH_INTERVAL]
    table = np.stack([values[name][metric][rows] for name, metric in columns], axis=1)  # [users, columns]
    resampled = bootstrap_means(table, settings.bootstrap_samples, seed)
    place = {column: index for index, column in enumerate(columns)}
    found: dict[str, dict[str, Any]] = {}
    for name, metrics in values.items():
        entry: dict[str, Any] = {"users": len(rows)}
        entry |= {metric: float(user_values[rows].mean()) for metric, user_values in metrics.items()}
        for metric in WITH_INTERVAL:
            entry[f"{metric}_interval"] = _span(resampled[:, place[name, metric]], settings.confidence)
        if name != STUDENT and STUDENT in values:
            entry["student_minus"] = {}
            for metric in WITH_INTERVAL:
                difference = resampled[:, place[STUDENT, metric]] - resampled[:, place[name, metric]]
                exact = values[STUDENT][metric][rows].mean() - values[name][metric][rows].mean()
                entry["student_minus"][metric] = float(exact)
                entry["student_minus"][f"{metric}_interval"] = _span(difference, settings.confidence)
        found[name] = entry
    return found


def empty(metrics: Sequence[str]) -> dict[str, Any]:
    """The entry of a group without users."""
    names = [*metrics, *(f"{metric}_interval" for metric in WITH_INTERVAL)]
    return {"users": 0} | dict.fromkeys(names)


def beyond(lists: NDArray[np.int64], vectors: NDArray[np.float32], is_long_tail: NDArray[np.bool_]) -> dict[str, Any]:
    """Diversity, coverage and share of long-tail items of the recommended lists; null where there are no users."""
    if len(lists) == 0:
        return dict.fromkeys(("diversity@10", "coverage@10", "long_tail_share@10"))
    return {
        "diversity@10": _mean(intra_list_diversity(lists, vectors)),
        "coverage@10": coverage(lists, len(vectors)),
        "long_tail_share@10": _mean(long_tail_share(lists, is_long_tail)),
    }


def _mean(values: NDArray[np.float64]) -> float | None:
    known = values[~np.isnan(values)]
    return float(known.mean()) if len(known) else None


def _span(resampled: NDArray[np.float64], confidence: float) -> list[float]:
    low, high = interval(resampled[:, None], confidence)[:, 0]
    return [float(low), float(high)]
