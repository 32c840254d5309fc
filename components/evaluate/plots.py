"""Plots as inline SVG; colours are classes of report.html, so that they follow the page's light or dark theme."""

from collections.abc import Callable

from markupsafe import Markup, escape

from longtail.components.charts import WIDTH, apart, label_at, point_list, round_values, short, svg
from longtail.components.evaluate.reading import (
    Columns,
    interval,
    label,
    number,
    ordered,
    span,
    value,
)

_EMPHASISED = "student"


def revealed_plot(columns: Columns) -> Markup:
    """NDCG@10 against the number of revealed items: a line and its interval band for each system."""
    height, left, right, top, bottom = 400, 56, 160, 16, 44
    headings = list(columns)
    if not headings:
        return Markup("")
    systems = ordered(columns[headings[0]])
    highest = _highest(columns)
    step = (WIDTH - left - right) / max(len(headings) - 1, 1)

    def x(position: int) -> float:
        return left + position * step

    def y(score: float) -> float:
        return top + (height - top - bottom) * (1 - score / highest)

    parts = []
    for tick in round_values(highest):
        parts.append(f'<line class="grid" x1="{left}" x2="{WIDTH - right}" y1="{y(tick):.1f}" y2="{y(tick):.1f}"/>')
        parts.append(label_at(left - 8, y(tick) + 4, short(tick), "end"))
    parts += [label_at(x(i), height - bottom + 20, k, "middle") for i, k in enumerate(headings)]
    parts.append(label_at((left + WIDTH - right) / 2, height - 6, "items revealed (k)", "middle"))
    ends = {}
    for system in reversed(systems):  # the student last, on top
        points = [(i, value(columns[k][system]), interval(columns[k][system])) for i, k in enumerate(headings)]
        seen = [(x(i), y(score), bounds) for i, score, bounds in points if score is not None]
        if not seen:
            continue
        known = [(at, y(bounds[0]), y(bounds[1])) for at, _, bounds in seen if bounds]
        band = [(at, low) for at, low, _ in known] + [(at, high) for at, _, high in reversed(known)]
        parts.append(f'<g class="{_css(system, systems)}"><title>{escape(label(system))}</title>')
        parts.append(f'<polygon class="band" points="{point_list(band)}"/>')
        parts.append(f'<polyline class="line" points="{point_list([(at, score) for at, score, _ in seen])}"/>')
        parts += [f'<circle class="dot" cx="{at:.1f}" cy="{score:.1f}" r="3.5"/>' for at, score, _ in seen]
        parts.append("</g>")
        ends[system] = seen[-1][1]
    for system, place in apart(ends, 17, height - bottom).items():
        end = f'<text class="{_css(system, systems)} name" x="{WIDTH - right + 12}" y="{place + 4:.1f}">'
        parts.append(f"{end}{escape(label(system))}</text>")
    return svg(height, "NDCG@10 of every system by the number of revealed items", parts)


def segment_plot(columns: Columns) -> Markup:
    """NDCG@10 with intervals: a panel for each group of users, a row for each system."""
    headings = list(columns)
    systems = ordered(columns[headings[0]])
    left, gap, top, row = 136, 28, 34, 26
    highest = _highest(columns)
    panel = (WIDTH - left) / len(headings) - gap
    bottom = top + row * len(systems)
    parts = [label_at(left - 12, top + row * (i + 0.5) + 4, label(s), "end") for i, s in enumerate(systems)]
    for place, heading in enumerate(headings):
        start = left + place * (panel + gap)
        x = _scale(start, panel, highest)
        users = columns[heading][systems[0]]["users"]
        parts.append(
            f'<text class="panel" x="{start:.1f}" y="18">{escape(heading)}<tspan> {users:,} users</tspan></text>'
        )
        for tick in round_values(highest, 4):
            parts.append(f'<line class="grid" x1="{x(tick):.1f}" x2="{x(tick):.1f}" y1="{top}" y2="{bottom}"/>')
            parts.append(label_at(x(tick), bottom + 18, short(tick), "middle"))
        if users == 0:
            parts.append(label_at(start + panel / 2, (top + bottom) / 2, "no such user", "middle"))
        for i, system in enumerate(systems):
            entry, y = columns[heading][system], top + row * (i + 0.5)
            score, bounds = value(entry), interval(entry)
            if score is None:
                continue
            shown = f"{label(system)}, {heading}: {number(score)} ({span(bounds)})"
            parts.append(f'<g class="{_css(system, systems)}"><title>{escape(shown)}</title>')
            if bounds:
                ends = f'x1="{x(bounds[0]):.1f}" x2="{x(bounds[1]):.1f}"'
                parts.append(f'<line class="whisker" {ends} y1="{y:.1f}" y2="{y:.1f}"/>')
            parts.append(f'<circle class="dot" cx="{x(score):.1f}" cy="{y:.1f}" r="4.5"/></g>')
    return svg(bottom + 26, "NDCG@10 with intervals of every system by segment of users", parts)


def _css(system: str, systems: list[str]) -> str:
    return f"s{systems.index(system)}" + (" student" if system == _EMPHASISED else "")


def _scale(start: float, width: float, highest: float) -> Callable[[float], float]:
    return lambda score: start + width * score / highest


def _highest(columns: Columns) -> float:
    """The upper end of the highest interval, with some air; 1 where nothing is above zero."""
    entries = [entry for column in columns.values() for entry in column.values()]
    tops = [(interval(entry) or (0.0, value(entry) or 0.0))[1] for entry in entries]
    return max(tops, default=0.0) * 1.05 or 1.0
