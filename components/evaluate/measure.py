"""From systems to the entries of evaluation.json: means, intervals, paired differences, per group of users."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from longtail.baselines.classic import MIXTURES
from longtail.components.evaluate.settings import EvaluateSettings
from longtail.contracts.prepared import PreparedDataset, Split, Targets
from longtail.contracts.segments import ALL, SEGMENTS
from longtail.metrics.beyond import coverage, intra_list_diversity, long_tail_items, long_tail_share
from longtail.metrics.ranking import METRICS, ranking_metrics
from longtail.metrics.significance import bootstrap_means, interval
from longtail.scoring.query import System
from longtail.scoring.ranked import Ranked, rank_all

WITH_INTERVAL = tuple(f"{metric}@10" for metric in METRICS)
STUDENT = "student"

PerUser = dict[str, dict[str, NDArray[np.float64]]]  # system -> metric -> [users]

Entries = dict[str, dict[str, Any]]  # system -> metric, its interval, ... of one group of users


@dataclass(frozen=True)
class Measured:
    """Every system asked for every test user, with whole histories."""

    data: PreparedDataset
    targets: Targets
    targets_in_history: int
    segments: NDArray[np.str_]  # [users]
    ranked: dict[str, Ranked]
    values: PerUser
    by_group: dict[str, Entries]  # all and every segment


@dataclass(frozen=True)
class Revealed:
    """The same users and targets with the history cut to its last k items. by_k: k as text -> entries."""

    users: int
    by_k: dict[str, Entries]


def measure_test(
    systems: Mapping[str, System], data: PreparedDataset, settings: EvaluateSettings, seed: int
) -> Measured:
    """Ask every system for every test user.

    Raises:
        UserError: no target is new to its user.
    """
    targets, in_history = data.measurable_targets(Split.TEST)
    ranked = rank_all(systems, data, targets, mixtures=MIXTURES)
    values = per_user(ranked, settings.cutoffs)
    segments = data.segment_rule.assign(targets.history_lengths)
    groups = groups_of(segments)
    by_group = {group: entries(values, rows, settings, seed) for group, rows in groups.items()}
    return Measured(data, targets, in_history, segments, ranked, values, by_group)


def groups_of(segments: NDArray[np.str_]) -> dict[str, NDArray[np.intp]]:
    """Rows of all users, and of those of every segment."""
    return {ALL: np.arange(len(segments))} | {name: np.flatnonzero(segments == name) for name in SEGMENTS}


def measure_revealed(systems: Mapping[str, System], test: Measured, settings: EvaluateSettings, seed: int) -> Revealed:
    """Ask for those who have at least the largest k of items, for every k."""
    targets = test.targets
    rows = np.flatnonzero(targets.history_lengths >= max(settings.revealed, default=0))
    chosen = Targets(targets.users[rows], [targets.histories[r] for r in rows], [targets.items[r] for r in rows])
    by_k: dict[str, Entries] = {}
    for k in settings.revealed if len(rows) else ():
        found = per_user(rank_all(systems, test.data, chosen, last=k, mixtures=MIXTURES), settings.cutoffs)
        by_k[str(k)] = entries(found, np.arange(len(rows)), settings, seed)
    return Revealed(len(rows), by_k)


def beyond_accuracy(test: Measured, vectors: NDArray[np.float32]) -> dict[str, dict[str, Any]]:
    """What accuracy does not say of every system's lists: system -> group -> figures. vectors [items, dim]: unit rows."""
    is_long_tail = long_tail_items(test.data.train_counts)
    groups = groups_of(test.segments)
    return {
        name: {group: beyond(found.lists[rows], vectors, is_long_tail) for group, rows in groups.items()}
        for name, found in test.ranked.items()
    }


def per_user(ranked: Mapping[str, Ranked], cutoffs: Sequence[int]) -> PerUser:
    """Every metric of every user. The cut-off 10 is always there: headline, intervals and gate read it."""
    return {name: ranking_metrics(found.ranks, sorted({*cutoffs, 10})) for name, found in ranked.items()}


def entries(values: PerUser, rows: NDArray[np.intp], settings: EvaluateSettings, seed: int) -> Entries:
    """One entry a system for the users in ``rows``: means, intervals, and the student's paired advantage."""
    if len(rows) == 0:
        return {name: empty(list(metrics)) for name, metrics in values.items()}
    columns = [(name, metric) for name in values for metric in WITH_INTERVAL]
    table = np.stack([values[name][metric][rows] for name, metric in columns], axis=1)  # [users, columns]
    resampled = bootstrap_means(table, settings.bootstrap_samples, seed)
    place = {column: index for index, column in enumerate(columns)}
    found: Entries = {}
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
