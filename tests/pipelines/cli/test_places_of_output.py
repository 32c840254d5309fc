"""Where commands write: refused before any work, or written where the place leads. No input of the refused ones is there."""

from pathlib import Path

import pytest
from helpers_command import is_one_message, refused
from helpers_hand_bundle import write_hand_bundle
from helpers_prepared import write_tiny_prepared

from longtail.components.deploy.deploy import deploy
from longtail.components.distill.distill import distill
from longtail.components.evaluate.evaluate import evaluate
from longtail.components.finetune.finetune import finetune
from longtail.components.preprocess.prepare import prepare
from longtail.contracts.artifacts import PREPARED, read_artifact
from longtail.contracts.errors import UserError
from longtail.contracts.prepared import PreparedDataset
from longtail.neighbours.new_items import add_items
from longtail.pipelines.local.run import RunInputs, run_local
from longtail.pipelines.run_settings import RunSettings
from longtail.scoring.bundle import load_bundle
from longtail.scoring.compression_loss import compress

TABLES = ("--interactions", "none.csv", "--items", "none.csv")
FOLDERS = {  # command that makes a new folder -> its other options
    "preprocess --output": TABLES,
    "finetune --output": ("--prepared", "none"),
    "distill --output": ("--prepared", "none", "--teacher", "none"),
    "evaluate --output": ("--prepared", "none", "--teacher", "none", "--bundle", "none"),
    "deploy --output": ("--bundle", "none", "--evaluation", "none"),
    "compress --output": ("--bundle", "none", "--prepared", "none"),
    "refresh --output": ("--bundle", "none", "--interactions", "none.csv"),
    "add-items --output": ("--bundle", "none", "--items", "none.csv"),
}
KEPT = {  # command that writes into a folder
    "run --out": TABLES,
    "demo --out": (),
    "demo-data --out": (),
    "finetune --checkpoints": ("--output", "new", "--prepared", "prepared"),
}
FILES = {
    "compile --output": (),
    "tune --output": ("--space", "space.yaml", "--trials", "1", "--study", "study.db", "--prepared", "none"),
    "tune --study": ("--space", "space.yaml", "--trials", "1", "--output", "best.yaml", "--prepared", "none"),
}
INT8 = RunSettings(distill={"compression": {"int8_items": True}}).distill.compression
FUNCTIONS = {
    "preprocess": lambda output: prepare("none.csv", "none.csv", None, output, RunSettings().preprocess),
    "finetune": lambda output: finetune("none", output, RunSettings().finetune),
    "distill": lambda output: distill("none", "none", output, RunSettings().distill),
    "evaluate": lambda output: evaluate("none", "none", "none", output, RunSettings().evaluate),
    "deploy": lambda output: deploy("none", "none", str(output), RunSettings().deploy),
    "compress": lambda output: compress("none", output, INT8, None),
    "add-items": lambda output: add_items("none", None, output),
    "run": lambda output: run_local(RunInputs("none.csv", "none.csv", None, RunSettings(), output)),
}


@pytest.fixture
def crowded(tmp_path, monkeypatch):
    write_tiny_prepared(tmp_path / "prepared")
    (tmp_path / "notes").write_text("precious")
    (tmp_path / "space.yaml").write_text("distill.training.learning_rate: {low: 0.0001, high: 0.01, log: true}\n")
    (tmp_path / "home").mkdir()
    monkeypatch.setenv("HOME", str(tmp_path / "home"))
    monkeypatch.setenv("LONGTAIL_TRAIN_IMAGE", "longtail-train-cpu:0.1.0-c0ffee")
    monkeypatch.chdir(tmp_path)
    yield tmp_path
    assert (tmp_path / "notes").read_text() == "precious"
    read_artifact(tmp_path / "prepared", PREPARED)
    left = {path.name for path in tmp_path.iterdir()} - {"new.checkpoints", "study.db.work"}
    assert left == {"prepared", "notes", "space.yaml", "home"}
    assert not [path for path in (tmp_path / "home").iterdir() if path.name != ".config"]


@pytest.mark.parametrize("place", ["notes", "notes/x", "prepared/x", "s3://bucket/x", "/proc/x", "~/../notes", ".", ""])
@pytest.mark.parametrize("command", FOLDERS)
def test_a_wrong_place_of_an_artifact_is_refused_before_the_work(crowded, capfd, command, place):
    name, option = command.split()
    code, error = refused(capfd, name, *FOLDERS[command], f"{option}={place}")
    assert code == 2
    assert is_one_message(error, option, "name a" if place != "notes/x" and place != "/proc/x" else "cannot be written")


@pytest.mark.parametrize("place", ["notes", "notes/x", "s3://bucket/x", "/proc/x", "~/../notes"])
@pytest.mark.parametrize("command", KEPT)
def test_a_wrong_place_of_a_folder_is_refused_before_the_work(crowded, capfd, command, place):
    name, option = command.split()
    code, error = refused(capfd, name, *KEPT[command], f"{option}={place}")
    assert code == 2
    assert is_one_message(
        error, place.removeprefix("~/../").partition("/")[0], "cannot be written" if "s3" not in place else "address"
    )


def test_a_run_inside_an_artifact_is_refused(crowded, capfd):
    for place in ("prepared", "prepared/run"):
        code, error = refused(capfd, "run", *TABLES, "--out", place)
        assert code == 2
        assert is_one_message(error, "--out", f"lies inside {crowded / 'prepared'}")


@pytest.mark.parametrize("place", ["prepared", "notes/x.yaml", "none/x.yaml", "s3://bucket/x.yaml", "/proc/x.yaml"])
@pytest.mark.parametrize("command", FILES)
def test_a_wrong_place_of_a_file_is_refused_before_the_work(crowded, capfd, command, place):
    if "tune" in command:
        pytest.importorskip("optuna")
    name, option = command.split()
    code, error = refused(capfd, name, *FILES[command], f"{option}={place}")
    assert code == 2
    assert is_one_message(error, option, place.replace("://", ":/"))


@pytest.mark.parametrize("place", ["notes", "notes/x", "prepared/x", "s3://bucket/x", "/proc/x"])
@pytest.mark.parametrize("function", FUNCTIONS)
def test_stages_called_directly_refuse_it_too(crowded, function, place):
    with pytest.raises(UserError, match=rf"{Path(place)}.*(name a|cannot be written)"):
        FUNCTIONS[function](Path(place))


@pytest.mark.parametrize("function", sorted(FUNCTIONS.keys() - {"preprocess", "run"}))
def test_no_stage_replaces_the_artifact_of_another(crowded, function):
    with pytest.raises(
        UserError, match=r"prepared: is a longtail/prepared artifact, which a longtail/.* would replace"
    ):
        FUNCTIONS[function](crowded / "prepared")


def test_a_link_is_followed_and_a_tilde_is_the_home_folder(tables, monkeypatch, capfd):
    inputs = ("--interactions", tables / "log.csv", "--items", tables / "items.csv")
    (tables / "disk").mkdir()
    (tables / "link").symlink_to("disk/real")
    monkeypatch.setenv("HOME", str(tables / "home"))
    (tables / "home").mkdir()
    monkeypatch.chdir(tables)
    for _ in range(2):
        for output in ("--output=link", "--output=~/prepared"):
            assert refused(capfd, "preprocess", *inputs, output)[0] == 0
    for place in ("disk/real", "home/prepared"):
        assert len(PreparedDataset(tables / place).user_ids) == 3
    assert (tables / "link").is_symlink()
    assert not (tables / "~").exists()
    assert [path.name for path in (tables / "disk").iterdir()] == ["real"]


def test_a_tilde_is_the_home_folder_in_inputs_and_settings(crowded, capfd):
    (crowded / "home/notes.yaml").symlink_to("../notes")
    code, error = refused(
        capfd, "run", "--interactions=~/a.csv", "--items=~/b.csv", "--out=~/run", "--config=~/notes.yaml"
    )
    (crowded / "home/notes.yaml").unlink()
    assert code == 2
    assert is_one_message(error, str(crowded / "home/notes.yaml"))


def test_a_bundle_at_an_address_is_not_replaced_in_a_copy_that_is_thrown_away(crowded, capfd):
    for address in ("s3://bucket/bundle", "gs://bucket/bundle", "memory://bundle", f"file://{crowded}/bundle"):
        code, error = refused(capfd, "add-items", "--bundle", address, "--items", "none.csv")
        assert code == 2
        assert is_one_message(error, f"--bundle {address}: is an address", "--output")


def test_a_bundle_at_an_address_is_read_where_an_output_is_named(crowded, capfd):
    import fsspec

    bundle = write_hand_bundle(crowded / "home/.config/bundle")
    fsspec.filesystem("memory").put(str(bundle), "/bundles/one", recursive=True)
    (crowded / "home/.config/new.csv").write_text("item_id,title\ne,red lamp\n")
    given = ("--items", "~/.config/new.csv", "--output", "~/.config/out")
    assert refused(capfd, "add-items", "--bundle", "memory://bundles/one", *given)[0] == 0
    assert load_bundle(crowded / "home/.config/out").item_ids == ["a", "b", "c", "d", "e"]
    assert load_bundle(bundle).item_ids == ["a", "b", "c", "d"]
