"""Every place for a registry: a folder, a mounted claim, a bucket of a real S3 server, one that speaks Google's API."""

from pathlib import Path

import pytest
from helpers_gcs import gcs  # noqa: F401  (a fixture)
from helpers_hand_bundle import write_hand_bundle

from longtail.system import places


@pytest.fixture(params=["folder", "pvc", "s3", "gs"])
def place(request: pytest.FixtureRequest, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> str:
    """An address at which there is no registry yet."""
    if request.param == "folder":
        return str(tmp_path / "a registry")
    if request.param == "pvc":
        monkeypatch.setattr(places, "CLAIMS", tmp_path / "claims")
        (tmp_path / "claims/models").mkdir(parents=True)
        return "pvc://models/shop"
    if request.param == "gs":
        request.getfixturevalue("gcs")
        return "gs://models/shop"
    return request.getfixturevalue("s3") + "/shop/models"


@pytest.fixture
def bundle(tmp_path: Path) -> Path:
    return write_hand_bundle(tmp_path / "bundle")


@pytest.fixture
def other(tmp_path: Path) -> Path:
    return write_hand_bundle(tmp_path / "other", titles=("Green lamp", "Blue lamp", None, "Chair"))
