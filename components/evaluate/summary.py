"""The evaluation as a table for the terminal."""

from collections.abc import Mapping
from typing import Any

from longtail.components.evaluate.reading import (
    NONE,
    Columns,
    about_lists,
    about_refresh,
    best,
    by_revealed,
    by_segment,
    difference,
    doubts,
    interval,
    judged,
    label,
    number,
    ordered,
    span,
    strongest_baseline,
    value,
    without_history,
)

_FIRST, _OTHER = 18, 13  # width of the columns


def segment_table(evaluation: Mapping[str, Any]) -> str:
    """NDCG@10 of every system by revealed history, then by segment of users; plain text of about 85 columns."""
    data = evaluation["data"]
    history = "histories excluded" if evaluation["exclude_history"] else "histories not excluded"
    lines = [
        f"NDCG@10 over all {data['items']:,} items, {history}; * best; {evaluation['confidence']:.0%} intervals over users.",
        "Last rows: the student minus the strongest baseline of the column; unclear: the interval holds 0.",
        "",
        f"Revealed history: the same {evaluation['revealed_users']:,} users and targets, only the last k items shown",
    ]
    revealed = {f"k={k}": entries for k, entries in by_revealed(evaluation).items()}
    lines += _table(revealed, users=False)
    lines += ["", "Segment of users, by the length of the whole history"]
    lines += _table(by_segment(evaluation), users=True)
    lines += [f"  {sentence}" for sentence in without_history(evaluation)]
    lines += ["", "The student is, beside each (of 'cold' and k=0 by NDCG@10 with ties at random)"]
    lines += _verdicts(evaluation["verdicts"])
    lines += ["", *_decision(evaluation["decision"])]
    if evaluation["incumbent"]:
        lines += ["", "The incumbent's lists", *(f"  {sentence}" for sentence in about_lists(evaluation["incumbent"]))]
    if refresh := about_refresh(evaluation):
        lines += ["", refresh]
    return "\n".join(lines)


def _verdicts(verdicts: Mapping[str, Any]) -> list[str]:
    """A row a rival, a column a segment; below them, revealed histories."""
    lines = []
    for revealed in (False, True):
        columns = {name: found for name, found in verdicts.items() if name.startswith("k=") is revealed and found}
        lines += [_row("", list(columns))] if columns else []
        for rival in ordered({rival for found in columns.values() for rival in found}):
            cells = [found.get(rival, {}).get("verdict", NONE) for found in columns.values()]
            lines.append(_row(label(rival), ["too few" if cell == "too few users" else cell for cell in cells]))
    return lines


def _decision(decision: Mapping[str, Any]) -> list[str]:
    lines = [f"Gate: {'passed' if decision['passed'] else 'FAILED'}"]
    for finding in sorted(decision["findings"], key=lambda finding: bool(finding["passed"])):
        lines.append(f"  {'   ' if finding['passed'] else 'NO '}{finding['sentence']}")
    return lines + [f"     {sentence}" for sentence in decision["skipped"]] + [f"  {s}" for s in doubts(decision)]


def _table(columns: Columns, users: bool) -> list[str]:
    if not columns:
        return [f"  {NONE} (no user has a history that long)"]
    entries = list(columns.values())
    systems = ordered(entries[0])
    lines = [_row("", list(columns))]
    if users:
        lines.append(_row("users", [f"{entry['student']['users']:,}" for entry in entries]))
    winners = [best(entry) for entry in entries]
    for system in systems:
        marks = ["*" if system in winner else " " for winner in winners]
        lines.append(_row(label(system), [number(value(e[system])) + mark for e, mark in zip(entries, marks)], pad=""))
        if system == "student":
            lines.append(_row("  interval", [span(interval(e[system])) for e in entries]))
    rivals = [strongest_baseline(entry) for entry in entries]
    minus = [difference(e[rival]) if rival else {} for e, rival in zip(entries, rivals)]
    lines.append(_row("- best baseline", [number(value(m), signed=True) for m in minus]))
    lines.append(_row("  student is", [judged(e[rival]) if rival else NONE for e, rival in zip(entries, rivals)]))
    return lines


def _row(first: str, cells: list[str], pad: str = " ") -> str:
    """``pad`` keeps the place of the mark."""
    return (first.ljust(_FIRST) + "".join((cell + pad).rjust(_OTHER) for cell in cells)).rstrip()
