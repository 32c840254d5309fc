"""Fixtures: two tables for the stub pipeline."""

import os
from pathlib import Path

import pytest

TESTS = Path(__file__).parents[2]


@pytest.fixture
def shop(tmp_path, monkeypatch):
    monkeypatch.setenv("PYTHONPATH", os.pathsep.join((str(TESTS), *filter(None, [os.environ.get("PYTHONPATH")]))))
    (tmp_path / "log.csv").write_text("good")
    (tmp_path / "items.csv").write_text("items")
    return tmp_path
