"""Options that take an address in place of a folder."""

from pathlib import Path

import pytest
from helpers_command import is_one_message, refused
from helpers_hand_bundle import write_hand_bundle

from longtail.pipelines.cli import main as cli
from longtail.pipelines.cli.options import read_settings
from longtail.pipelines.local import run as local
from longtail.pipelines.run_settings import load_settings
from longtail.registry.opening import open_registry
from longtail.system import places


def test_an_artifact_is_read_from_a_bucket(tmp_path: Path, s3: str):
    version = open_registry(f"{s3}/shop").publish(write_hand_bundle(tmp_path / "bundle"))
    new = tmp_path / "new.csv"
    new.write_text("item_id,title\nz,red lamp\n")
    command = ["add-items", "--bundle", version.uri, "--items", str(new), "--output", str(tmp_path / "larger")]
    with pytest.raises(SystemExit) as ended:
        cli.main(command)
    assert ended.value.code == 0
    assert (tmp_path / "larger/manifest.json").is_file()


def test_what_is_not_there_is_one_message(tmp_path: Path, s3: str, capfd: pytest.CaptureFixture[str], monkeypatch):
    evaluation = ("--evaluation", tmp_path, "--output", tmp_path / "out")
    code, error = refused(capfd, "deploy", "--bundle", f"{s3}/none", *evaluation)
    assert code == 2 and is_one_message(error, f"{s3}/none", "no such file")
    monkeypatch.setattr(places, "CLAIMS", tmp_path)
    code, error = refused(capfd, "deploy", "--bundle", "pvc://models/x", *evaluation)
    assert code == 2 and is_one_message(error, "the claim models is not mounted")


def test_a_champions_address_is_handed_on_as_it_is(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.chdir(tmp_path)
    for address in ("s3://models/shop", "registry:s3://models/shop", "pvc://models/shop"):
        assert local._champion(address, tmp_path) == address
    assert local._champion("registry:models", tmp_path) is None  # nothing was promoted yet
    registry = open_registry("models")
    version = registry.publish(write_hand_bundle(tmp_path / "bundle"))
    registry.promote(version, None, "the first")
    for folder in ("models", "registry:models"):
        assert Path(str(local._champion(folder, tmp_path))).resolve() == tmp_path / "models/versions" / version.id


def test_a_local_registry_is_one_place_for_command_and_tasks(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.chdir(tmp_path)
    settings = local._with_whole_paths(load_settings(None, ["deploy.registry_uri=models"]))
    assert settings.deploy.registry_uri == f"{tmp_path}/models"
    bucket = local._with_whole_paths(load_settings(None, ["deploy.registry_uri=s3://models"]))
    assert bucket.deploy.registry_uri == "s3://models"


def test_seed_and_format_win_over_file_and_set(tmp_path: Path):
    file = tmp_path / "settings.yaml"
    file.write_text("seed: 3\npreprocess: {format: movielens}")
    assert read_settings(file, None).seed == 3
    assert read_settings(file, ["seed=4"]).seed == 4
    settings = read_settings(file, ["seed=4"], "amazon-2023", 0)
    assert (settings.seed, settings.preprocess.format) == (0, "amazon-2023")
