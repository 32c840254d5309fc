"""Charts of a campaign's report as inline SVG: lines with bands over two axes, which may go below zero."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

from markupsafe import Markup, escape

from longtail.components.charts import WIDTH, apart, label_at, point_list, round_values, short, svg

Place = Callable[[float, float], tuple[float, float]]  # x and y of an axis -> those of the drawing
HEIGHT, LEFT, RIGHT, TOP, BOTTOM = 320, 84, 170, 16, 46


@dataclass(frozen=True)
class Line:
    """A named line. low, high: bounds of its band, where it has one. All of one length; dots: no line between the points."""

    name: str
    x: Sequence[float]
    y: Sequence[float]
    low: Sequence[float] = ()
    high: Sequence[float] = ()
    dots: bool = False


@dataclass(frozen=True)
class Axes:
    """What the axes are called, and the chart for those who do not see it. mark: a place on the x axis, and what it is."""

    title: str
    x: str
    y: str
    mark: tuple[float, str] | None = None


def line_plot(lines: Sequence[Line], axes: Axes) -> Markup:
    """All lines over one pair of axes, the first on top and emphasised; each is named at its end."""
    xs = [x for line in lines for x in line.x]
    ys = [y for line in lines for y in (*line.y, *line.low, *line.high)]
    left, right = min(0.0, *xs), max(*xs, 1e-9)
    bottom, top = min(0.0, *ys), max(0.0, *ys)
    top = top + 0.05 * (top - bottom) if top > bottom else 1.0

    def at(x: float, y: float) -> tuple[float, float]:
        across = LEFT + (WIDTH - LEFT - RIGHT) * (x - left) / (right - left)
        return across, TOP + (HEIGHT - TOP - BOTTOM) * (top - y) / (top - bottom)

    parts = _grid(at, (left, right), (bottom, top), axes)
    for place in reversed(range(len(lines))):
        parts += _drawn(lines[place], place, at)
    ends = {line.name: at(*max(zip(line.x, line.y)))[1] for line in lines}
    for name, y in apart(ends, 17, HEIGHT - BOTTOM).items():
        css = _css([line.name for line in lines].index(name))
        parts.append(f'<text class="{css} name" x="{WIDTH - RIGHT + 12}" y="{y + 4:.1f}">{escape(name)}</text>')
    if axes.mark:
        x, name = axes.mark
        across, upper = at(min(x, right), top)
        parts.append(
            f'<line class="mark" x1="{across:.1f}" x2="{across:.1f}" y1="{upper:.1f}" y2="{HEIGHT - BOTTOM}"/>'
        )
        parts.append(label_at(across - 6, upper + 12, name, "end"))
    return svg(HEIGHT, axes.title, parts)


def _grid(at: Place, across: tuple[float, float], upwards: tuple[float, float], axes: Axes) -> list[str]:
    parts = []
    for value in _both_ways(*upwards):
        _, y = at(0.0, value)
        parts.append(f'<line class="grid" x1="{LEFT}" x2="{WIDTH - RIGHT}" y1="{y:.1f}" y2="{y:.1f}"/>')
        parts.append(label_at(LEFT - 8, y + 4, short(value), "end"))
    for value in _both_ways(*across):
        x, _ = at(value, 0.0)
        parts.append(label_at(x, HEIGHT - BOTTOM + 18, short(value), "middle"))
    parts.append(label_at((LEFT + WIDTH - RIGHT) / 2, HEIGHT - 6, axes.x, "middle"))
    middle = (TOP + HEIGHT - BOTTOM) / 2
    parts.append(
        f'<text x="14" y="{middle:.1f}" text-anchor="middle" transform="rotate(-90 14 {middle:.1f})">{escape(axes.y)}</text>'
    )
    return parts


def _both_ways(low: float, high: float) -> list[float]:
    """Round values between the two, at one distance; zero is one of them."""
    step = round_values(max(high, -low))[1]
    return [step * number for number in range(-int(-low / step), int(high / step) + 1)]


def _css(place: int) -> str:
    return f"s{place}" + (" student" if place == 0 else "")


def _drawn(line: Line, place: int, at: Place) -> list[str]:
    points = [at(x, y) for x, y in zip(line.x, line.y)]
    parts = [f'<g class="{_css(place)}"><title>{escape(line.name)}</title>']
    bounds = list(zip(line.x, line.low, line.high))
    if line.dots:
        for x, low, high in bounds:
            (across, lower), (_, upper) = at(x, low), at(x, high)
            parts.append(
                f'<line class="whisker" x1="{across:.1f}" x2="{across:.1f}" y1="{lower:.1f}" y2="{upper:.1f}"/>'
            )
        parts += [f'<circle class="dot" cx="{x:.1f}" cy="{y:.1f}" r="4"/>' for x, y in points]
    else:
        if bounds:
            band = [at(x, low) for x, low, _ in bounds] + [at(x, high) for x, _, high in reversed(bounds)]
            parts.append(f'<polygon class="band" points="{point_list(band)}"/>')
        parts.append(f'<polyline class="line" points="{point_list(points)}"/>')
    parts.append("</g>")
    return parts


def qini_plot(treatment: str, curve: Mapping[str, Sequence[float]], average: float) -> Markup:
    """Outcomes added by targeting so many users, beside targeting them at random."""
    shares = [100 * share for share in curve["share"]]
    learnt = Line("by effect", shares, curve["gain"], curve["low"], curve["high"])
    at_random = Line("at random", [0.0, 100.0], [0.0, average])
    axes = Axes(
        f"Qini curve of {treatment}",
        "users contacted, those with the highest predicted effect first (%)",
        "outcomes added, per treated user",
    )
    return line_plot([learnt, at_random], axes)


def calibration_plot(name: str, groups: Sequence[Mapping[str, float]], of: str = "effect") -> Markup:
    """What was observed, with its interval, of users of whom alike was predicted, beside what was. of: what is predicted."""
    seen = sorted(
        (group for group in groups if group["observed"] == group["observed"]), key=lambda one: one["predicted"]
    )
    predicted, seen_effect, low, high = (
        [group[name] for group in seen] for name in ("predicted", "observed", "low", "high")
    )
    observed = Line("observed", predicted, seen_effect, low, high, dots=True)
    axes = Axes(f"Calibration of {name}", f"predicted {of}", f"observed {of}")
    return line_plot([observed, Line("predicted", predicted, predicted)], axes)


def budget_plot(curve: Sequence[Mapping[str, float]], spent: float, unit: str) -> Markup:
    """What the best plan of each budget is worth. spent: by the plan that is proposed."""
    line = Line("best plan", [point["budget"] for point in curve], [point["worth"] for point in curve])
    return line_plot([line], Axes("Worth of the best plan by budget", "budget", unit, (spent, "this plan")))
