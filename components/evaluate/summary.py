"""The evaluation as a table for the terminal."""

from collections.abc import Mapping
from typing import Any

from longtail.components.evaluate.reading import (
    NONE,
    UNTESTED,
    Columns,
    about_lists,
    about_refresh,
    about_revealed,
    about_training,
    about_worth,
    best,
    by_history,
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
    verdict_groups,
    without_history,
    worth_of,
)

_FIRST, _OTHER, _WORTH = 18, 13, 38  # width of the columns


def segment_table(evaluation: Mapping[str, Any]) -> str:
    """NDCG@10 of every system by real history, revealed history and segment of users; plain text of at most 100 columns."""
    data = evaluation["data"]
    if not data["test_users"]:
        return "\n".join([UNTESTED, *about_training(evaluation), "", *_decision(evaluation["decision"])])
    history = "histories excluded" if evaluation["exclude_history"] else "histories not excluded"
    lines = [
        f"NDCG@10 over all {data['items']:,} items, {history}; * best; {evaluation['confidence']:.0%} intervals over users.",
        "Last rows: the student minus the strongest baseline of the column; unclear: the interval holds 0.",
        "",
    ]
    if real := by_history(evaluation):
        users = f"all {data['test_users']:,} test users, the first target of each"
        lines += [f"Real history, events before the moment of asking: {users}", *_table(real, users=True), ""]
    lines.append(f"Revealed history: {about_revealed(evaluation)}, only the last k items shown")
    revealed = {f"k={k}": entries for k, entries in by_revealed(evaluation).items()}
    lines += _table(revealed, users=False)
    lines += ["", "Segment of users, by the length of the whole history"]
    lines += _table(by_segment(evaluation), users=True)
    lines += [f"  {sentence}" for sentence in without_history(evaluation)]
    lines += ["", "The student is, beside each (without a history by NDCG@10 with ties at random)"]
    lines += _verdicts(evaluation)
    lines += ["", *_decision(evaluation["decision"])]
    if training := about_training(evaluation):
        lines += ["", *training]
    lines += _worth(evaluation)
    if evaluation["incumbent"]:
        lines += ["", "The incumbent's lists", *(f"  {sentence}" for sentence in about_lists(evaluation["incumbent"]))]
    if refresh := about_refresh(evaluation):
        lines += ["", refresh]
    return "\n".join(lines)


def _verdicts(evaluation: Mapping[str, Any]) -> list[str]:
    """A row a rival, a column a segment; below them, real histories and revealed ones."""
    lines = []
    for group in verdict_groups(evaluation):
        columns = {name: found for name, found in group.items() if found}
        lines += [_row("", list(columns))] if columns else []
        for rival in ordered({rival for found in columns.values() for rival in found}):
            cells = [found.get(rival, {}).get("verdict", NONE) for found in columns.values()]
            lines.append(_row(label(rival), ["too few" if cell == "too few users" else cell for cell in cells]))
    return lines


def _worth(evaluation: Mapping[str, Any]) -> list[str]:
    """A row for each column of attributes and context, with what newcomers and all users lose by its exchange."""
    columns = worth_of(evaluation)
    if not columns:
        return []
    lines = ["", "What attributes are worth", *(f"  {sentence}" for sentence in about_worth(evaluation))]
    groups = list(next(iter(columns.values())))
    width = max(_FIRST, *(len(name) + 2 for name in columns))
    lines.append(" " * width + "".join(group.rjust(_WORTH) for group in groups))
    for name, found in columns.items():
        cells = [
            f"{number(e['loss'], True)} ({span(tuple(e['interval']), True)}) {e['verdict']}" for e in found.values()
        ]
        lines.append(name.ljust(width) + "".join(cell.rjust(_WORTH) for cell in cells))
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
