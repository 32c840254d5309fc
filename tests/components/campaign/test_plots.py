"""Charts of the campaign report: points lie where their values say, bands and names are there, texts are escaped."""

import re
import xml.etree.ElementTree as ET

import pytest

from longtail.components.campaign.plots import BOTTOM, HEIGHT, LEFT, RIGHT, TOP, Axes, Line, line_plot
from longtail.components.charts import WIDTH

AXES = Axes("title", "across", "up")


def points(drawing: str, tag: str) -> list[tuple[float, float]]:
    (found,) = re.findall(rf'<{tag} class="[a-z]+" points="([^"]*)"', drawing)
    return [tuple(map(float, pair.split(","))) for pair in found.split()]  # type: ignore[misc]


def test_points_lie_where_their_values_say() -> None:
    drawing = str(line_plot([Line("one", [0, 50, 100], [-10, 0, 30])], AXES))
    (first, middle, last) = points(drawing, "polyline")
    assert first[0] == LEFT
    assert middle[0] == pytest.approx((LEFT + WIDTH - RIGHT) / 2, abs=0.1)
    assert last[0] == WIDTH - RIGHT
    assert first[1] == HEIGHT - BOTTOM  # the least value is at the bottom
    assert last[1] == pytest.approx(TOP + (HEIGHT - TOP - BOTTOM) * 2 / 42, abs=0.1)  # 30 of -10 to 32
    # equal steps up are equal steps on the page
    assert (first[1] - middle[1]) / (middle[1] - last[1]) == pytest.approx(10 / 30, abs=0.01)


def test_a_band_goes_along_its_lower_bounds_and_back_along_the_upper_ones() -> None:
    drawing = str(line_plot([Line("one", [0, 1], [1, 2], [0, 1], [2, 3])], AXES))
    band = points(drawing, "polygon")
    assert len(band) == 4
    assert [x for x, _ in band] == [LEFT, WIDTH - RIGHT, WIDTH - RIGHT, LEFT]
    assert band[0][1] > band[3][1]  # lower is further down the page


def test_dots_have_whiskers_and_no_line() -> None:
    drawing = str(line_plot([Line("deciles", [1, 2], [1, 2], [0, 1], [2, 3], dots=True)], AXES))
    assert drawing.count('class="dot"') == drawing.count('class="whisker"') == 2
    assert "polyline" not in drawing


def test_it_is_valid_xml_with_escaped_names() -> None:
    mark = (1.0, "the <budget>")
    drawing = str(line_plot([Line("a & b", [0, 2], [0, 0])], Axes("<t>", "x & y", "up", mark)))
    root = ET.fromstring(drawing)
    texts = [element.text for element in root.iter("text")]
    assert {"a & b", "x & y", "the <budget>"} <= set(texts)


def test_negative_axes_have_round_values_and_zero() -> None:
    drawing = str(line_plot([Line("one", [0, 1], [-30, 4])], AXES))
    texts = {element.text for element in ET.fromstring(drawing).iter("text")}
    assert {"-30", "-20", "-10", "0"} <= texts
