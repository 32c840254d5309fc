"""What the gate's rules come to: a finding for each rule and rival, with a sentence that says what would change it.

A rule holds where the interval of the paired difference says so. All rules must hold, so asking more of them cannot let a worse
student pass by chance; it can only fail a good one, which is why the margin must be one that the data can show.
"""

import math
from collections.abc import Mapping
from typing import Any, Literal, NamedTuple

from scipy.special import ndtri

from longtail.components.evaluate.reading import (
    HEADLINE,
    HISTORY,
    NEWCOMERS,
    NO_HISTORY,
    NO_RIVAL,
    Columns,
    Entry,
    label,
    number,
    ordered,
    span,
)
from longtail.components.evaluate.settings import EvaluateSettings, Rule
from longtail.contracts.decision import Finding, Verdict

POWER = 0.8  # of the study that the number of users is given for
INCUMBENT = "incumbent"


class Judged(NamedTuple):
    findings: tuple[Finding, ...]
    skipped: tuple[str, ...]  # rules that were not asked, and why


def judge(columns: Columns, settings: EvaluateSettings, has_attributes: bool, reach: int | None = None) -> Judged:
    """Every rule of the settings.

    Args:
        columns: entries of every system for all, each segment, ``history=N`` and ``k=N``.
        has_attributes: whether anything is known of users beside their histories.
        reach: length of the incumbent's lists.
    """
    findings: list[Finding] = []
    skipped = []
    for rule in settings.gate_rules:
        entries = columns.get(rule.among, {})
        rivals: list[str] = [rule.than]
        if rule.than == "every_rival":
            rivals = [name for name in ordered(entries) if name not in NO_RIVAL] or rivals
        why_not = _why_not_asked(rule, entries, rivals, has_attributes)
        if why_not:
            skipped.append(f"Not asked, {_spelled(rule)}: {why_not}.")
            continue
        if entries and not entries["student"]["users"]:
            findings.append(_of_nobody(rule))
            continue
        findings += [_finding(rule, rival, entries, settings, reach) for rival in rivals]
    return Judged(tuple(findings), tuple(skipped))


def at_reach(metric: str, cutoffs: list[int], reach: int | None) -> str | None:
    """The metric at the greatest measured cut-off that lists of ``reach`` items can be judged at; None where there is none."""
    name, _, k = metric.partition("@")
    within = [cutoff for cutoff in cutoffs if cutoff <= min(int(k), int(k) if reach is None else reach)]
    return f"{name}@{max(within)}" if within else None


def verdict_of(entry: Entry, metric: str, margin_percent: float, min_users: int) -> Verdict:
    """The student against the system of this entry. A rival that finds nothing cannot be lost to."""
    if entry["users"] < min_users:
        return "too few users"
    lead = _lead(entry, metric)
    if lead is None:
        return "unclear"
    if lead.low > 0:
        return "better"
    if lead.low >= -margin_percent / 100 * entry[metric] or entry[metric] == 0:
        return "not worse"
    return "worse" if lead.high < 0 else "unclear"


def verdict_table(columns: Columns, settings: EvaluateSettings, reach: int | None = None) -> dict[str, dict[str, Any]]:
    """Column -> rival -> verdict by NDCG@10, or, where no history is shown, by its expectation under random ties.

    A length of history that no user has is left out.
    """
    table: dict[str, dict[str, Any]] = {}
    for column, entries in columns.items():
        if column.startswith(HISTORY) and not entries["student"]["users"]:
            continue
        headline = NEWCOMERS if column in NO_HISTORY else HEADLINE
        table[column] = {}
        for rival in (name for name in ordered(entries) if name not in NO_RIVAL):
            metric = at_reach(headline, settings.measured_cutoffs, reach if rival == INCUMBENT else None)
            if metric is not None:
                verdict = verdict_of(entries[rival], metric, settings.gate_margin, settings.gate_min_users)
                table[column][rival] = {"verdict": verdict, "metric": metric, "users": entries[rival]["users"]}
    return table


def _why_not_asked(rule: Rule, entries: Mapping[str, Entry], rivals: list[str], has_attributes: bool) -> str:
    """Why a rule does not apply to this data; "" where it does, or must fail instead."""
    if rule.needs_attributes and not has_attributes:
        return "nothing is known of users beside their histories"
    if rule.if_absent == "fail":
        return ""
    if not entries and rule.among.startswith(HISTORY):
        return _no_column(rule)
    if not entries or not entries["student"]["users"]:
        return f"no test user {'has' if rule.among.startswith(HISTORY) else 'is'} {rule.among}"
    return "" if all(rival in entries for rival in rivals) else f"the run has no {label(rule.than)}"


def _finding(
    rule: Rule, rival: str, entries: Mapping[str, Entry], settings: EvaluateSettings, reach: int | None
) -> Finding:
    metric = at_reach(rule.metric, settings.measured_cutoffs, reach if rival == INCUMBENT else None)
    entry = entries.get(rival)
    if entry is None or metric is None:
        why = f"there is no {label(rival)} to compare with"
        if not entries:
            why = _no_column(rule)
        elif metric is None:
            why = f"its lists hold {reach} items"
        elif rival == INCUMBENT and reach is not None:
            why = "its lists are made from whole histories"
        sentence = f"{_who(rule, 0)}{label(rival)} could not be judged by {rule.metric}: {why}. {_remedy(rule)}"
        return Finding(_asks(rule), rival, rule.among, rule.metric, 0, None, None, 0.0, "unclear", False, sentence)
    lead = _lead(entry, metric)
    percent = 0.0 if rule.must_be == "better" else settings.gate_margin if rule.margin is None else rule.margin
    verdict = verdict_of(entry, metric, percent, settings.gate_min_users)
    passed = verdict == "better" or (verdict == "not worse" and rule.must_be == "not_worse")
    margin = percent / 100 * entry[metric] if lead else 0.0
    sentence = (
        f"{_who(rule, entry['users'])}{_said(verdict, rule)} {label(rival)}{_figures(lead, metric, margin, entry)}"
    )
    if metric != rule.metric:
        sentence += f" Its lists hold {reach} items, so they cannot be judged at {rule.cutoff}."
    if not passed:
        sentence += f"{_missing(verdict, entry['users'], lead, margin, settings)} {_remedy(rule)}"
    return Finding(
        asks=_asks(rule),
        rival=rival,
        segment=rule.among,
        metric=metric,
        users=entry["users"],
        difference=lead.mean if lead else None,
        interval=(lead.low, lead.high) if lead else None,
        margin=margin,
        verdict=verdict,
        passed=passed,
        sentence=sentence,
    )


def _of_nobody(rule: Rule) -> Finding:
    """Of a rule that nobody can be asked for, against whichever rival."""
    sentence = f"{_who(rule, 0)}nobody could be asked, so nothing is shown. {_remedy(rule)}"
    return Finding(
        _asks(rule), rule.than, rule.among, rule.metric, 0, None, None, 0.0, "too few users", False, sentence
    )


class _Lead(NamedTuple):
    """The student's lead over a rival."""

    mean: float
    low: float
    high: float
    error: float


def _lead(entry: Entry, metric: str) -> _Lead | None:
    """None where it was not measured, or is not a number."""
    minus = entry.get("student_minus") or {}
    if metric not in minus:
        return None
    low, high = minus[f"{metric}_interval"]
    found = _Lead(minus[metric], low, high, minus[f"{metric}_error"])
    return found if all(map(math.isfinite, (*found, entry[metric]))) else None


def _asks(rule: Rule) -> Literal["better", "not worse"]:
    return "better" if rule.must_be == "better" else "not worse"


def _figures(lead: _Lead | None, metric: str, margin: float, entry: Entry) -> str:
    if lead is None:
        return f": {metric} was not measured."
    bounds = f"{number(lead.mean, signed=True)} ({span((lead.low, lead.high), signed=True)}"
    share = (
        f"; margin {number(margin)}, {100 * margin / entry[metric]:g} % of {number(entry[metric])}" if margin else ""
    )
    return f": {metric} {bounds}{share})."


def _who(rule: Rule, users: int) -> str:
    shown = rule.among
    if shown.startswith("k="):
        shown = f"{shown[2:]} items revealed"
    if shown.startswith(HISTORY):
        count = shown.removeprefix(HISTORY)
        shown = f"{count} event{'' if count == '1' else 's'} before"
    return f"{shown} ({users:,} users): ".capitalize()


def _no_column(rule: Rule) -> str:
    if rule.among.startswith(HISTORY):
        return f"the lengths of evaluate.revealed make no column {rule.among}"
    return f"evaluate.revealed does not name {rule.among.removeprefix('k=')}"


def _said(verdict: Verdict, rule: Rule) -> str:
    if verdict == "too few users":
        return "too few users to compare with"
    if verdict == "unclear":
        return f"not shown to be {'better' if rule.must_be == 'better' else 'no worse'} than"
    return f"{verdict} than"


def _missing(verdict: Verdict, users: int, lead: _Lead | None, margin: float, settings: EvaluateSettings) -> str:
    """What would let the rule hold: as many users as show a lead of this size, with a power of 80 %."""
    if verdict == "too few users":
        return f" evaluate.gate_min_users is {settings.gate_min_users}."
    if lead is None or not lead.error:
        return ""
    if lead.mean + margin <= 0:
        return " More users would not change it if the difference stays."
    distance = ndtri((1 + settings.confidence) / 2) + ndtri(POWER)  # in standard errors
    needed = math.ceil(users * (distance * lead.error / (lead.mean + margin)) ** 2)
    return f" About {_rounded(max(needed - users, 1))} more such users would show it if the difference stays."


def _rounded(count: int) -> str:
    """Two digits: an estimate."""
    digits = max(len(str(count)) - 2, 0)
    return f"{round(count, -digits):,}"


def _remedy(rule: Rule) -> str:
    return f"The rule is {_spelled(rule)} in evaluate.gate_rules."


def _spelled(rule: Rule) -> str:
    return f"{{must_be: {rule.must_be}, than: {rule.than}, among: {rule.among}}}"
