"""From systems to the entries of evaluation.json: means, intervals, paired differences, per group of users."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from longtail.baselines.classic import MIXTURES
from longtail.baselines.incumbent import Incumbent
from longtail.components.evaluate.gate import INCUMBENT, at_reach
from longtail.components.evaluate.reading import HISTORY
from longtail.components.evaluate.real_history import length_groups
from longtail.components.evaluate.settings import EvaluateSettings
from longtail.contracts.prepared import PreparedDataset, Split, Targets
from longtail.contracts.segments import ALL, SEGMENTS
from longtail.metrics.beyond import coverage, intra_list_diversity, long_tail_items, long_tail_share
from longtail.metrics.ranking import METRICS, ranking_metrics
from longtail.metrics.significance import Means, mean_intervals
from longtail.scoring.query import System
from longtail.scoring.ranked import Ranked, rank_all

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
    by_history: dict[
        str, Entries
    ]  # ``0``, ``1``, …, ``5+``: events before the first target, which alone is to be found
    incumbent: Incumbent | None = None

    @property
    def columns(self) -> dict[str, Entries]:
        """All, segments, and ``history=0``, ``history=1``, …, as rules name them."""
        return self.by_group | {f"{HISTORY}{name}": entries for name, entries in self.by_history.items()}


@dataclass(frozen=True)
class Revealed:
    """The same users and targets with the history cut to its last k items. by_k: k as text -> entries."""

    users: int
    by_k: dict[str, Entries]

    @property
    def columns(self) -> dict[str, Entries]:
        """``k=0``, ``k=1``, …, as rules name them."""
        return {f"k={k}": entries for k, entries in self.by_k.items()}


def measure_test(
    systems: Mapping[str, System], data: PreparedDataset, settings: EvaluateSettings, seed: int
) -> Measured:
    """Ask every system for every test user.

    Raises:
        UserError: no target is new to its user.
    """
    targets, in_history = data.measurable_targets(Split.TEST)
    ranked = rank_all(systems, data, targets, mixtures=MIXTURES)
    values = per_user(ranked, settings.measured_cutoffs)
    segments = data.segment_rule.assign(targets.history_lengths)
    first = per_user(
        {name: replace(found, ranks=found.ranks.first()) for name, found in ranked.items()}, settings.measured_cutoffs
    )
    given = systems.get(INCUMBENT)
    incumbent = given if isinstance(given, Incumbent) else None
    lists = _Lists(incumbent.listed[targets.users], incumbent.reach) if incumbent else None
    by_group = _by_group(values, groups_of(segments), lists, settings, seed)
    lengths = length_groups(targets.history_lengths, settings.revealed)
    by_history = _by_group(first, lengths, lists, settings, seed)
    return Measured(data, targets, in_history, segments, ranked, values, by_group, by_history, incumbent)


class _Lists(NamedTuple):
    """Who has a list of the incumbent's, and how deep they reach. listed [users] bool."""

    listed: NDArray[np.bool_]
    reach: int


def _by_group(
    values: PerUser,
    groups: Mapping[str, NDArray[np.intp]],
    lists: _Lists | None,
    settings: EvaluateSettings,
    seed: int,
) -> dict[str, Entries]:
    """Entries of every group of rows; the incumbent's over the users that it has lists for."""
    known_to_all = {name: metrics for name, metrics in values.items() if name != INCUMBENT}
    found = {group: entries(known_to_all, rows, settings, seed) for group, rows in groups.items()}
    if lists:
        for group, rows in groups.items():
            listed = rows[lists.listed[rows]]
            found[group][INCUMBENT] = incumbent_entry(values, listed, lists.reach, settings, seed)
    return found


def incumbent_entry(
    values: PerUser, listed: NDArray[np.intp], reach: int, settings: EvaluateSettings, seed: int
) -> dict[str, Any]:
    """The incumbent over the users that it has lists for, and the student's lead over the same; deeper than ``reach`` nothing."""
    judged = with_interval(settings)
    reached = {at_reach(metric, settings.measured_cutoffs, reach) for metric in judged} - {None}
    both = {name: values[name] for name in (STUDENT, INCUMBENT)}
    entry = entries(both, listed, settings, seed, sorted({*judged, *(m for m in reached if m)}))[INCUMBENT]
    too_deep = [metric for metric in values[INCUMBENT] if int(metric.partition("@")[2]) > reach]
    for metric in too_deep:
        entry |= {key: None for key in (metric, f"{metric}_interval") if key in entry}
        for key in (metric, f"{metric}_interval", f"{metric}_error"):
            entry.get("student_minus", {}).pop(key, None)
    return entry


def groups_of(segments: NDArray[np.str_]) -> dict[str, NDArray[np.intp]]:
    """Rows of all users, and of those of every segment."""
    return {ALL: np.arange(len(segments))} | {name: np.flatnonzero(segments == name) for name in SEGMENTS}


def measure_revealed(systems: Mapping[str, System], test: Measured, settings: EvaluateSettings, seed: int) -> Revealed:
    """Ask for those who have at least the largest k of items, for every k."""
    targets = test.targets
    rows = np.flatnonzero(targets.history_lengths >= max(settings.revealed, default=0))
    chosen = targets.of(rows)
    by_k: dict[str, Entries] = {}
    asked = {name: system for name, system in systems.items() if name != INCUMBENT}  # its lists are of whole histories
    for k in settings.revealed if len(rows) else ():
        found = per_user(rank_all(asked, test.data, chosen, last=k, mixtures=MIXTURES), settings.measured_cutoffs)
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
    """Every metric of every user. The cut-off 10 is always there: headline and intervals read it."""
    return {name: ranking_metrics(found.ranks, sorted({*cutoffs, 10})) for name, found in ranked.items()}


def with_interval(settings: EvaluateSettings) -> list[str]:
    """Metrics that get intervals: all at 10, and those of the rules."""
    return sorted({*(f"{metric}@10" for metric in METRICS), *(rule.metric for rule in settings.gate_rules)})


def entries(
    values: PerUser, rows: NDArray[np.intp], settings: EvaluateSettings, seed: int, judged: Sequence[str] | None = None
) -> Entries:
    """One entry a system for the users in ``rows``: means, intervals, and the student's paired lead with its standard error.

    judged: metrics with intervals; those of ``with_interval`` where left out.
    """
    judged = with_interval(settings) if judged is None else judged
    if len(rows) == 0:
        return {name: empty(list(metrics), judged) for name, metrics in values.items()}
    plain = [(name, metric) for name in values for metric in judged]
    paired = [(name, metric) for name, metric in plain if name != STUDENT and STUDENT in values]
    table = np.stack(
        [values[name][metric][rows] for name, metric in plain]
        + [values[STUDENT][metric][rows] - values[name][metric][rows] for name, metric in paired],
        axis=1,
    )  # [users, columns]
    lowest = np.repeat([0.0, -1.0], [len(plain), len(paired)])
    found = mean_intervals(table, settings.bootstrap_samples, settings.confidence, seed, lowest)
    result: Entries = {
        name: {"users": len(rows)}
        | {metric: float(user_values[rows].mean()) for metric, user_values in metrics.items()}
        for name, metrics in values.items()
    }
    for place, (name, metric) in enumerate(plain):
        result[name][f"{metric}_interval"] = _span(found, place)
    for place, (name, metric) in enumerate(paired, len(plain)):
        result[name].setdefault("student_minus", {})
        result[name]["student_minus"] |= {
            metric: float(found.mean[place]),
            f"{metric}_interval": _span(found, place),
            f"{metric}_error": float(found.error[place]),
        }
    return result


def empty(metrics: Sequence[str], judged: Sequence[str]) -> dict[str, Any]:
    """The entry of a group without users."""
    names = [*metrics, *(f"{metric}_interval" for metric in judged)]
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


def _span(found: Means, place: int) -> list[float]:
    return [float(found.low[place]), float(found.high[place])]
