from pathlib import Path
from typing import Annotated

import pytest

from longtail.contracts.settings_base import Place, Settings
from longtail.system import code_version
from longtail.system.code_version import read_digest


class Model(Settings):
    path: Annotated[str, Place()]
    written: Annotated[str, Place(written=True)] = ""


def test_what_settings_let_a_stage_read_counts_by_its_content(tmp_path: Path) -> None:
    (tmp_path / "model").mkdir()
    (tmp_path / "model/config.json").write_text("{}")
    settings = Model(path=str(tmp_path / "model"), written=str(tmp_path / "out"))
    first = read_digest(settings)
    (tmp_path / "out").write_text("what a stage writes")
    assert read_digest(settings) == first
    (tmp_path / "model/config.json").write_text("[]")
    assert read_digest(settings) != first
    assert read_digest(Model(path="all-MiniLM-L6-v2")) == read_digest(
        Model(path="s3://bucket/model")
    )  # named elsewhere


def test_code_digest_changes_with_the_code(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    package = tmp_path / "longtail"
    (package / "pipelines/cli").mkdir(parents=True)
    (package / "__init__.py").write_text("")
    monkeypatch.setattr(code_version.longtail, "__file__", str(package / "__init__.py"))
    first = code_version.code_digest()
    (package / "pipelines/cli/main.py").write_text("only how it is run")
    assert code_version.code_digest() == first
    (package / "stage.py").write_text("what is computed")
    assert code_version.code_digest() != first
    (package / "stage.py").unlink()
    assert code_version.code_digest() == first
