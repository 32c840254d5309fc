"""What a user gets wrong ends the command with one line and exit code 2: no traceback, nothing half-written."""

import subprocess
import sys

import pytest
from helpers_hand_bundle import write_hand_bundle
from helpers_prepared import write_tiny_prepared

from longtail.contracts.prepared import PreparedDataset
from longtail.pipelines import cli


def command(capfd, *arguments):
    """Exit code and what was printed to standard error."""
    with pytest.raises(SystemExit) as ended:
        cli.main([str(argument) for argument in arguments])
    return ended.value.code, capfd.readouterr().err


def is_one_message(error, *parts):
    assert error.startswith("error: ")
    assert error.count("\n") == 1, error
    assert "Traceback" not in error
    for part in parts:
        assert part in error
    return True


@pytest.fixture
def tables(tmp_path):
    """Three users with three events each, and three items."""
    rows = [f"u{user},i{item},{1_700_000_000 + item}" for user in range(3) for item in range(3)]
    (tmp_path / "log.csv").write_text("\n".join(["user_id,item_id,timestamp", *rows]) + "\n")
    (tmp_path / "items.csv").write_text("item_id,title\n" + "".join(f"i{item},Item {item}\n" for item in range(3)))
    return tmp_path


def run_of(tables, *more):
    return (
        "run",
        "--interactions",
        tables / "log.csv",
        "--items",
        tables / "items.csv",
        "--out",
        tables / "out",
        *more,
    )


@pytest.mark.parametrize(
    "setting, parts",
    [
        ("finetune.epoch=3", ("there is no setting 'finetune.epoch'", "epochs")),
        ("finetune.learning_rate=1e-5x", ("finetune.learning_rate", "1e-5x")),
        ("finetune.epochs", ("--set finetune.epochs",)),
    ],
)
def test_faulty_setting(tables, capfd, setting, parts):
    code, error = command(capfd, *run_of(tables, "--set", setting))
    assert code == 2
    assert is_one_message(error, *parts)
    assert not (tables / "out").exists()


def test_missing_config(tables, capfd):
    code, error = command(capfd, *run_of(tables, "--config", tables / "absent.yaml"))
    assert code == 2
    assert is_one_message(error, "absent.yaml", "cannot be read")


def test_unknown_format(tables, capfd):
    code, error = command(capfd, *run_of(tables, "--format", "netflix"))
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
    code, error = command(capfd, *run_of(tables))
    assert code == 2
    assert is_one_message(error, *parts)
    assert sorted(path.name for path in (tables / "out").iterdir() if path.name != ".work") == ["run.log"]


def test_champion_that_is_no_bundle(tables, capfd):
    code, error = command(capfd, *run_of(tables, "--champion", tables))
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
    ],
)
def test_recommend(finished, capfd, options, parts):
    code, error = command(capfd, "recommend", "--run", finished, *options)
    assert code == 2
    assert is_one_message(error, *parts)


def test_recommend_needs_one_source(finished, capfd):
    assert command(capfd, "recommend", "--history", "a")[0] == 2
    code, error = command(capfd, "recommend", "--run", finished, "--bundle", finished / "bundle")
    assert code == 2
    assert is_one_message(error, "--run", "--bundle")


def test_tampered_bundle(finished, capfd):
    with (finished / "bundle/tensors.safetensors").open("ab") as stream:
        stream.write(b"!")
    code, error = command(capfd, "recommend", "--run", finished, "--history", "a")
    assert code == 2
    assert is_one_message(error, "tensors.safetensors", "checksum")


def test_stage_on_a_folder_that_is_no_artifact(tmp_path, capfd):
    code, error = command(capfd, "deploy", "--bundle", tmp_path, "--evaluation", tmp_path, "--output", tmp_path / "out")
    assert code == 2
    assert is_one_message(error, str(tmp_path), "manifest.json")
    assert not (tmp_path / "out").exists()


def test_report_without_a_run(tmp_path, capfd):
    code, error = command(capfd, "report", "--run", tmp_path)
    assert code == 2
    assert is_one_message(error, "evaluation.json", "--run")


def test_unknown_option_is_explained_without_a_traceback(capfd):
    code, error = command(capfd, "run", "--intractions", "x")
    assert code == 2
    assert "--intractions" in error
    assert "Traceback" not in error


def test_installed_command_ends_the_same_way(tmp_path):
    ended = subprocess.run(
        [sys.executable, "-c", "from longtail.pipelines.cli import main; main()", "report", "--run", str(tmp_path)],
        capture_output=True,
        text=True,
    )
    assert ended.returncode == 2
    assert is_one_message(ended.stderr, "evaluation.json")


def test_bugs_keep_their_traceback(monkeypatch):
    def broken(*_):
        raise KeyError("a fault of ours")

    monkeypatch.setattr(cli, "read_evaluation", broken)
    with pytest.raises(KeyError):
        cli.main(["report"])


STAGE_COMMANDS = {
    "preprocess": ("--interactions", "log.csv", "--items", "items.csv"),
    "finetune": ("--prepared", "prepared"),
    "distill": ("--prepared", "prepared", "--teacher", "teacher"),
    "evaluate": ("--prepared", "prepared", "--teacher", "teacher", "--bundle", "bundle"),
    "deploy": ("--bundle", "bundle", "--evaluation", "evaluation"),
}


@pytest.mark.parametrize("stage", STAGE_COMMANDS)
@pytest.mark.parametrize(
    "output, part",
    [
        ("mine", "holds files that no stage of longtail wrote"),
        ("mine/thesis.txt", "is a file"),
        ("mine/thesis.txt/out", "cannot be written"),
        (".", "working folder"),
        ("..", "working folder"),
    ],
)
def test_a_stage_never_replaces_what_is_not_its_own(tables, monkeypatch, capfd, stage, output, part):
    (tables / "here/mine").mkdir(parents=True)
    (tables / "here/mine/thesis.txt").write_text("precious")
    monkeypatch.chdir(tables / "here")
    code, error = command(capfd, stage, *STAGE_COMMANDS[stage], "--output", output)
    assert code == 2
    assert is_one_message(error, output, part)
    assert sorted(path.name for path in tables.iterdir()) == ["here", "items.csv", "log.csv"]
    assert (tables / "here/mine/thesis.txt").read_text() == "precious"


def test_a_stage_replaces_its_own_artifact_and_an_empty_folder(tables, capfd):
    inputs = ("--interactions", tables / "log.csv", "--items", tables / "items.csv")
    (tables / "prepared").mkdir()
    for _ in range(2):
        assert command(capfd, "preprocess", *inputs, "--output", tables / "prepared")[0] == 0
    assert PreparedDataset(tables / "prepared").user_ids == ["u0", "u1", "u2"]


@pytest.mark.parametrize("name", ["prepared", "bundle"])
def test_a_run_never_replaces_what_is_not_its_own(tables, capfd, name):
    (tables / "out" / name).mkdir(parents=True)
    (tables / "out" / name / "thesis.txt").write_text("precious")
    code, error = command(capfd, *run_of(tables))
    assert code == 2
    assert is_one_message(error, str(tables / "out" / name), "another folder")
    assert [path.name for path in (tables / "out").rglob("*")] == [name, "thesis.txt"]


def test_demo_data_that_cannot_be_written(tables, capfd):
    code, error = command(capfd, "demo-data", "--out", tables / "log.csv/shop")
    assert code == 2
    assert is_one_message(error, "log.csv/shop cannot be written")


def test_missing_package_is_named_but_a_missing_module_of_ours_is_a_bug(monkeypatch, capfd):
    def absent(name):
        def fail(*_):
            raise ModuleNotFoundError(f"No module named {name!r}", name=name)

        return fail

    monkeypatch.setattr(cli, "read_evaluation", absent("kserve.errors"))
    code, error = command(capfd, "report")
    assert code == 2
    assert is_one_message(error, "kserve.errors", "longtail[pipeline,serving]")
    monkeypatch.setattr(cli, "read_evaluation", absent("longtail.gone"))
    with pytest.raises(ModuleNotFoundError):
        cli.main(["report"])
