"""docs/map.md names files that are there, and what they define."""

import ast
import re
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
PAGE = (ROOT / "docs/map.md").read_text()
NAMED = re.findall(r"`([\w/]+\.py)`(?: `(\w+)`)?", PAGE)


def test_the_page_names_places():
    assert len(NAMED) > 25 and sum(bool(name) for _, name in NAMED) > 25


@pytest.mark.parametrize("path, name", NAMED)
def test_what_is_named_is_there(path, name):
    tree = ast.parse((ROOT / path).read_text())
    defined = {
        node.name for node in ast.walk(tree) if isinstance(node, ast.FunctionDef | ast.ClassDef | ast.AsyncFunctionDef)
    }
    assert not name or name in defined
