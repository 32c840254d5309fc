"""The evaluation as one HTML page that opens offline: verdict first, then what stands behind it."""

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from longtail.components.charts import page_environment
from longtail.components.evaluate import reading
from longtail.components.evaluate.plots import revealed_plot, segment_plot
from longtail.components.evaluate.reading import (
    NO_HISTORY,
    Columns,
    about_lists,
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
from longtail.contracts.segments import ALL
from longtail.metrics.ranking import METRICS

_BEYOND = ("diversity@10", "coverage@10", "long_tail_share@10")


def render_report(evaluation: Mapping[str, Any]) -> str:
    """HTML of the content of evaluation.json."""
    segments, revealed, real = by_segment(evaluation), by_revealed(evaluation), by_history(evaluation)
    verdicts, folded_verdicts = _verdicts(evaluation)
    page = page_environment(Path(__file__).parent)
    page.filters.update(
        number=number,
        between=lambda bounds: span(tuple(bounds), signed=True),
        label=label,
        share=_share,
        thousands=lambda count: f"{count:,}",
    )
    return page.get_template("report.html").render(
        evaluation=evaluation,
        data=evaluation["data"],
        refresh=reading.about_refresh(evaluation),
        fails=_whom_it_fails(segments),
        without_history=without_history(evaluation),
        gain=_how_much_better(segments[ALL]),
        real_plot=segment_plot(real) if real else "",
        real=_scores(real),
        real_sizes=_sizes(real),
        real_lead=[_lead(entries) for entries in real.values()],
        real_differences=_differences(real),
        about_revealed=about_revealed(evaluation),
        revealed_plot=revealed_plot(revealed),
        segment_plot=segment_plot(segments),
        headings=[f"k = {k}" for k in revealed],
        revealed=_scores(revealed),
        segments=_scores(segments),
        revealed_differences=_differences(revealed),
        segment_differences=_differences(segments),
        sizes=_sizes(segments),
        metrics=[f"{metric}@{k}" for metric in METRICS for k in evaluation["cutoffs"]],
        by_segment=segments,
        systems=ordered(evaluation["systems"]),
        beyond=_BEYOND,
        best=best,
        verdicts=verdicts,
        folded_verdicts=folded_verdicts,
        rivals=ordered({rival for column in verdicts.values() for rival in column}),
        doubts=doubts(evaluation["decision"]),
        about_lists=about_lists,
        about_training=about_training(evaluation),
        untested=reading.UNTESTED,
        worth=worth_of(evaluation),
        about_worth=about_worth(evaluation),
        settings=json.dumps(evaluation["settings"], indent=2, sort_keys=True),
    )


def _verdicts(evaluation: Mapping[str, Any]) -> tuple[dict[str, Any], dict[str, Any]]:
    """Columns of verdicts that are shown, and those that are folded away where all would be wider than the page."""
    segments, real, revealed = verdict_groups(evaluation)
    if not real:
        return segments | revealed, {}
    others = {name: found for name, found in segments.items() if name != ALL}
    return {ALL: segments[ALL]} | real, others | revealed


def _scores(columns: Columns) -> dict[str, list[dict[str, Any]]]:
    """Rows of a table: system -> a cell for each column."""
    systems = ordered(next(iter(columns.values()), {}))
    winners = {heading: best(entries) for heading, entries in columns.items()}
    return {
        system: [
            {
                "text": number(value(entries[system])),
                "span": span(interval(entries[system])),
                "best": system in winners[heading],
            }
            for heading, entries in columns.items()
        ]
        for system in systems
    }


def _differences(columns: Columns) -> dict[str, list[dict[str, Any]]]:
    """Student minus every other system: system -> a cell for each column."""
    systems = ordered(next(iter(columns.values()), {}))
    return {
        system: [
            {
                "text": number(value(difference(entries[system])), signed=True),
                "span": span(interval(difference(entries[system])), signed=True),
                "judged": judged(entries[system]),
            }
            for entries in columns.values()
        ]
        for system in systems
        if system != "student"
    }


def _sizes(columns: Columns) -> dict[str, int]:
    return {heading: entries["student"]["users"] for heading, entries in columns.items()}


def _lead(entries: Mapping[str, reading.Entry]) -> dict[str, Any]:
    """The student against the strongest baseline of one column."""
    rival = strongest_baseline(entries)
    entry = entries[rival] if rival else {}
    return {
        "rival": rival or "",
        "text": number(value(difference(entry)), signed=True),
        "span": span(interval(difference(entry)), signed=True),
        "judged": judged(entry),
    }


def _whom_it_fails(segments: Columns) -> list[str]:
    """Sentences: who finds least, who gains nothing over the strongest baseline, whom the data does not show."""
    groups = {name: entries for name, entries in segments.items() if name != ALL}
    hits = {name: value(entries["student"], "hitrate@10") for name, entries in groups.items()}
    known = {name: hit for name, hit in hits.items() if hit is not None}
    sentences = []
    if known:
        weakest = min(known, key=known.__getitem__)
        sentences.append(
            f"{weakest.capitalize()} users are served worst: {_share(1 - known[weakest])} of them do not find "
            "what they took next among ten recommendations."
        )
    for outcome, meaning in (("worse", "is worse than"), ("unclear", "is not clearly better than")):
        for name, entries in groups.items():
            rival = strongest_baseline(entries)
            if name not in NO_HISTORY and rival and judged(entries[rival]) == outcome:
                sentences.append(f"For {name} users it {meaning} {label(rival)}.")
    empty = [name for name in groups if name not in known]
    if empty:
        sentences.append(f"No test user is {' or '.join(empty)}: see revealed histories for users with little history.")
    return sentences


def _how_much_better(entries: Mapping[str, reading.Entry]) -> dict[str, Any] | None:
    """The student against the strongest baseline over all users; none without users."""
    lead = _lead(entries)
    if not lead["rival"]:
        return None
    student, other = value(entries["student"]), value(entries[lead["rival"]])
    relative = f"{(student - other) / other:+.0%}" if student is not None and other else ""
    return lead | {"relative": relative, "student": number(student), "other": number(other)}


def _share(found: float | None) -> str:
    return reading.NONE if found is None else f"{found:.1%}"
