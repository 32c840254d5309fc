"""What a user gets wrong ends the command with one line and exit code 2: no traceback, nothing half-written."""

import subprocess
import sys

import pytest
from helpers_command import is_one_message, refused, run_of
from helpers_hand_bundle import write_hand_bundle
from helpers_prepared import write_tiny_prepared

from longtail.pipelines.cli import main as cli
from longtail.pipelines.cli import start


@pytest.mark.parametrize(
    "setting, parts",
    [
        ("finetune.training.epoch=3", ("there is no setting 'finetune.training.epoch'", "epochs")),
        ("finetune.training.learning_rate=1e-5x", ("finetune.training.learning_rate", "1e-5x")),
        ("finetune.training.epochs", ("--set finetune.training.epochs",)),
    ],
)
def test_faulty_setting(tables, capfd, setting, parts):
    code, error = refused(capfd, *run_of(tables, "--set", setting))
    assert code == 2
    assert is_one_message(error, *parts)
    assert not (tables / "out").exists()


def test_missing_config(tables, capfd):
    code, error = refused(capfd, *run_of(tables, "--config", tables / "absent.yaml"))
    assert code == 2
    assert is_one_message(error, "absent.yaml", "cannot be read")


def test_a_server_of_nothing(capfd):
    code, error = refused(capfd, "serve", "--name", "shop")
    assert code == 2
    assert is_one_message(error, "give --bundle FOLDER, or --follow REGISTRY")


def test_unknown_format(tables, capfd):
    code, error = refused(capfd, *run_of(tables, "--format", "netflix"))
    assert code == 2
    assert is_one_message(error, "preprocess.format", "netflix", "movielens")


@pytest.mark.slow
@pytest.mark.parametrize(
    "spoil, parts",
    [
        (lambda folder: (folder / "items.csv").unlink(), ("items.csv",)),
        (lambda folder: (folder / "log.csv").write_text(""), ("log.csv",)),
        (lambda folder: (folder / "log.csv").write_text("user_id,timestamp\nu1,1\n"), ("log.csv", "item_id")),
        (lambda folder: (folder / "items.csv").write_text("item_id,title\ni1,A\ni1,B\n"), ("items.csv", "i1")),
    ],
    ids=["missing file", "empty file", "missing column", "duplicate item"],
)
def test_faulty_table_inside_a_pipeline_task(tables, capfd, spoil, parts):
    spoil(tables)
    code, error = refused(capfd, *run_of(tables))
    assert code == 2
    assert is_one_message(error, *parts)
    assert sorted(path.name for path in (tables / "out").iterdir() if path.name != ".work") == ["run.log"]


def test_champion_that_is_no_bundle(tables, capfd):
    code, error = refused(capfd, *run_of(tables, "--champion", tables))
    assert code == 2
    assert is_one_message(error, "manifest.json")


@pytest.fixture
def finished(tmp_path):
    """A run folder of which only what `recommend` reads is there."""
    write_hand_bundle(tmp_path / "run/bundle")
    write_tiny_prepared(tmp_path / "run/prepared")
    return tmp_path / "run"


@pytest.mark.parametrize(
    "options, parts",
    [
        (("--user", "nobody"), ("'nobody'", "--history")),
        (("--history", "a,zzz"), ("'zzz'", "catalogue")),
        (("--history", "a", "-k", "99"), ("k is 99", "4 items")),
        (("--history", "a", "-k", "0"), ("k is 0",)),
        (("--attribute", "gender=X"), ("gender=X", "gender=F")),
        (("--user", "x", "--history", "a"), ("--user", "--history")),
        (("--similar-to", "zzz"), ("--similar-to", "'zzz'", "catalogue")),
        (("--exclude", "zzz"), ("--exclude", "'zzz'", "catalogue")),
        (("--only", "y", "-k", "2"), ("filters.all", "'y'")),
        (("--without", "y", "-k", "2"), ("filters.none", "'y'")),
        (("--between", "price"), ("--between price", "price=5..20")),
        (("--between", "price=.."), ("--between price=..", "price=5..20")),
        (("--between", "price=a..b"), ("--between price=a..b", "price=5..20")),
        (("--between", "price=1..2", "-k", "2"), ("no number 'price'",)),
        (("--between", "price=1..", "--between", "price=..2"), ("--between: price is named twice",)),
        (("--max-per", "brand"), ("--max-per brand", "brand=2")),
        (("--max-per", "x=0"), ("--max-per x=0", "brand=2")),
        (("--diversity", "2", "-k", "2"), ("diversity is 2.0", "0 to 1")),
    ],
)
def test_recommend(finished, capfd, options, parts):
    code, error = refused(capfd, "recommend", "--run", finished, *options)
    assert code == 2
    assert is_one_message(error, *parts)


def test_recommend_needs_one_source(finished, capfd):
    assert refused(capfd, "recommend", "--history", "a")[0] == 2
    code, error = refused(capfd, "recommend", "--run", finished, "--bundle", finished / "bundle")
    assert code == 2
    assert is_one_message(error, "--run", "--bundle")


def test_tampered_bundle(finished, capfd):
    with (finished / "bundle/tensors.safetensors").open("ab") as stream:
        stream.write(b"!")
    code, error = refused(capfd, "recommend", "--run", finished, "--history", "a")
    assert code == 2
    assert is_one_message(error, "tensors.safetensors", "checksum")


def test_stage_on_a_folder_that_is_no_artifact(tmp_path, capfd):
    code, error = refused(capfd, "deploy", "--bundle", tmp_path, "--evaluation", tmp_path, "--output", tmp_path / "out")
    assert code == 2
    assert is_one_message(error, str(tmp_path), "manifest.json")
    assert not (tmp_path / "out").exists()


def test_report_without_a_run(tmp_path, capfd):
    code, error = refused(capfd, "report", "--run", tmp_path)
    assert code == 2
    assert is_one_message(error, "evaluation.json", "--run")


def test_unknown_option_is_explained_without_a_traceback(capfd):
    code, error = refused(capfd, "run", "--intractions", "x")
    assert code == 2
    assert "--intractions" in error
    assert "Traceback" not in error


def test_installed_command_ends_the_same_way(tmp_path):
    ended = subprocess.run(
        [
            sys.executable,
            "-c",
            "from longtail.pipelines.cli.main import main; main()",
            "report",
            "--run",
            str(tmp_path),
        ],
        capture_output=True,
        text=True,
    )
    assert ended.returncode == 2
    assert is_one_message(ended.stderr, "evaluation.json")


def test_bugs_keep_their_traceback(monkeypatch):
    def broken(*_):
        raise KeyError("a fault of ours")

    monkeypatch.setattr(start, "read_evaluation", broken)
    with pytest.raises(KeyError):
        cli.main(["report"])


def test_demo_data_that_cannot_be_written(tables, capfd):
    code, error = refused(capfd, "demo-data", "--out", tables / "log.csv/shop")
    assert code == 2
    assert is_one_message(error, "log.csv/shop cannot be written")


def test_missing_package_is_named_but_a_missing_module_of_ours_is_a_bug(monkeypatch, capfd):
    def absent(name):
        def fail(*_):
            raise ModuleNotFoundError(f"No module named {name!r}", name=name)

        return fail

    monkeypatch.setattr(start, "read_evaluation", absent("kserve.errors"))
    code, error = refused(capfd, "report")
    assert code == 2
    assert is_one_message(error, "kserve.errors", "longtail[pipeline,serving]")
    monkeypatch.setattr(start, "read_evaluation", absent("longtail.gone"))
    with pytest.raises(ModuleNotFoundError):
        cli.main(["report"])
