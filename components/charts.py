"""What the stages' reports share: the page's style, and pieces of inline SVG, whose colours follow its light and dark themes."""

from pathlib import Path

from jinja2 import Environment, FileSystemLoader, StrictUndefined
from markupsafe import Markup, escape

WIDTH = 1040  # of every chart, in its own units


def page_environment(folder: Path) -> Environment:
    """Templates of a stage's folder, which may include ``page_style.html``."""
    loader = FileSystemLoader([folder, Path(__file__).parent])
    return Environment(loader=loader, autoescape=True, undefined=StrictUndefined, trim_blocks=True)


def svg(height: float, title: str, parts: list[str]) -> Markup:
    head = f'<svg viewBox="0 0 {WIDTH} {height:.0f}" role="img" aria-label="{escape(title)}">'
    return Markup(head + "".join(parts) + "</svg>")  # noqa: S704 (texts are escaped where they enter)


def label_at(x: float, y: float, text: str, anchor: str) -> str:
    return f'<text x="{x:.1f}" y="{y:.1f}" text-anchor="{anchor}">{escape(text)}</text>'


def short(number: float) -> str:
    """``.05``, ``1,200``"""
    return f"{number:,.6g}".replace("0.", ".", 1) if abs(number) < 1 else f"{number:,.6g}"


def point_list(pairs: list[tuple[float, float]]) -> str:
    return " ".join(f"{x:.1f},{y:.1f}" for x, y in pairs)


def round_values(highest: float, at_most: int = 6) -> list[float]:
    """Round values from 0 to ``highest``."""
    steps = (digit * 10.0**power for power in range(-6, 12) for digit in (1, 2, 5))
    step = next(step for step in steps if highest / step < at_most)
    return [step * i for i in range(int(highest / step) + 1)]


def apart(places: dict[str, float], distance: float, lowest: float) -> dict[str, float]:
    """Moves labels apart: each at least ``distance`` below the one above it, none below ``lowest``."""
    names = sorted(places, key=places.__getitem__)
    moved = [places[name] for name in names]
    for i in range(1, len(moved)):
        moved[i] = max(moved[i], moved[i - 1] + distance)
    for i in reversed(range(len(moved))):
        moved[i] = min(moved[i], lowest - distance * (len(moved) - 1 - i))
    return dict(zip(names, moved))
