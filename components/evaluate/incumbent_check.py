"""Whom the incumbent fails, and whether its lists can have been made at the right time."""

import logging
from typing import Any

import numpy as np
from numpy.typing import NDArray

from longtail.components.evaluate.gate import INCUMBENT, at_reach, verdict_of
from longtail.components.evaluate.measure import STUDENT, Measured, entries, groups_of
from longtail.components.evaluate.reading import label
from longtail.components.evaluate.settings import EvaluateSettings
from longtail.contracts.segments import ALL
from longtail.metrics.significance import mean_intervals

log = logging.getLogger(__name__)
MOST_ATTRIBUTES = 50  # groups by attribute that are looked at: those of most users
BY_FAR = 1.5  # times the best of the other systems


def examine(test: Measured, settings: EvaluateSettings, seed: int) -> dict[str, Any] | None:
    """What the report says of the incumbent's lists; None where none were given. Warnings are logged too."""
    lists = test.incumbent
    if lists is None:
        return None
    metric = at_reach("ndcg@10", settings.measured_cutoffs, lists.reach)
    listed = lists.listed[test.targets.users]
    warnings = _warnings(test, listed, settings, seed)
    unlisted = {group: int((~listed[rows]).sum()) for group, rows in groups_of(test.segments).items()}
    if unlisted[ALL]:
        warnings.append(
            f"{unlisted[ALL]:,} of {len(listed):,} test users have no list; the incumbent is compared over the others alone."
        )
    deepest = max(settings.measured_cutoffs)
    if lists.reach < deepest:
        warnings.append(
            f"A tenth of its lists hold no more than {lists.reach} items, so it is not judged at {deepest}."
        )
    for warning in warnings:
        log.warning("incumbent: %s", warning)
    return {
        "address": lists.address,
        "reach": lists.reach,
        "metric": metric,
        "counts": {what: count for what, count in lists.counts.items() if count},
        "users_without_list": unlisted,
        "groups": [] if metric is None else _groups(test, listed, metric, settings, seed),
        "warnings": warnings,
    }


def _groups(
    test: Measured, listed: NDArray[np.bool_], metric: str, settings: EvaluateSettings, seed: int
) -> list[dict[str, Any]]:
    """Segments, and users of one attribute, where the incumbent finds least first; only groups of ``gate_min_users``."""
    groups = {name: rows[listed[rows]] for name, rows in groups_of(test.segments).items()}
    attributes: dict[str, list[int]] = {}
    for row in np.flatnonzero(listed):
        for attribute in test.data.user_attributes[test.targets.users[row]]:
            attributes.setdefault(attribute, []).append(int(row))
    common = sorted(attributes, key=lambda name: (-len(attributes[name]), name))[:MOST_ATTRIBUTES]
    groups |= {name: np.array(attributes[name]) for name in common}
    both = {name: {metric: test.values[name][metric]} for name in (STUDENT, INCUMBENT)}
    found = []
    for name, rows in groups.items():
        if len(rows) < settings.gate_min_users:
            continue
        entry = entries(both, rows, settings, seed, [metric])
        minus = entry[INCUMBENT]["student_minus"]
        found.append(
            {
                "group": name,
                "users": len(rows),
                "incumbent": entry[INCUMBENT][metric],
                "student": entry[STUDENT][metric],
                "difference": minus[metric],
                "interval": minus[f"{metric}_interval"],
                "verdict": verdict_of(entry[INCUMBENT], metric, settings.gate_margin, settings.gate_min_users),
            }
        )
    return sorted(found, key=lambda group: (group["incumbent"], group["group"]))


def _warnings(test: Measured, listed: NDArray[np.bool_], settings: EvaluateSettings, seed: int) -> list[str]:
    """Signs that the lists know the targets, or were made so late that they leave the targets out."""
    lists = test.incumbent
    metric = at_reach("hitrate@10", settings.measured_cutoffs, lists.reach if lists else None)
    if lists is None or metric is None or not listed.any():
        return []
    others = [name for name in test.values if name != INCUMBENT]
    validation = lists.validation_hits[test.targets.users].astype(np.float64)
    columns = [test.values[INCUMBENT][metric], validation, *(test.values[name][metric] for name in others)]
    table = np.stack(columns, axis=1)[listed]
    found = mean_intervals(table, settings.bootstrap_samples, settings.confidence, seed, 0.0)
    best = 2 + int(np.argmax(found.high[2:]))
    shown = f"{label(others[best - 2])}, the best of the others, finds {found.mean[best]:.1%}"
    remedy = "make them again as docs/incumbent.md says"
    warnings = []
    if found.low[0] > BY_FAR * found.high[best]:
        warnings.append(
            f"Its lists find {found.mean[0]:.1%} of the users' next items ({metric}), but {shown}: they were probably made "
            f"by a system that had seen the targets; {remedy}."
        )
    popular = 2 + others.index("popularity")
    if found.high[0] < found.low[popular] / BY_FAR:
        warnings.append(
            f"Its lists find {found.mean[0]:.1%} of the users' next items ({metric}), less than popularity "
            f"({found.mean[popular]:.1%}): lists made after the targets leave out what users have taken since; {remedy}."
        )
    if test.data.exclude_history and found.low[1] > found.high[best]:
        warnings.append(
            f"The lists of {found.mean[1]:.1%} of the users hold the validation target, an item of the history, and {shown} of "
            f"the items that come next: they were made before that event, or by a system that learnt it; {remedy}."
        )
    return warnings
