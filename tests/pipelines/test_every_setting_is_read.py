"""No setting is only stored: each is an attribute that some code outside of the settings' own files reads.

That changing one changes a result is the stages' tests to show (preprocess/test_every_preprocess_setting.py, for one).
"""

import ast
from pathlib import Path

import pytest

from longtail.contracts.settings_base import leaves
from longtail.pipelines.run_settings import RunSettings

ROOT = Path(__file__).parents[2]


def read_attributes() -> set[str]:
    names = set()
    for folder in ("src", "components", "pipelines"):
        for path in (ROOT / folder).rglob("*.py"):
            if not path.name.endswith("settings.py"):
                nodes = ast.walk(ast.parse(path.read_text()))
                names |= {
                    node.attr for node in nodes if isinstance(node, ast.Attribute) and isinstance(node.ctx, ast.Load)
                }
    return names


READ = read_attributes()


@pytest.mark.parametrize("setting", sorted(leaves(RunSettings)))
def test_it_is_read(setting: str) -> None:
    assert setting.rpartition(".")[2] in READ


def test_one_that_nobody_reads_would_be_found() -> None:
    assert "a_setting_of_nobody" not in READ and len(READ) > 500
