"""Commands replace their own results, and never what somebody else put there."""

import pytest
from helpers_command import is_one_message, refused, run_of

from longtail.contracts.prepared import PreparedDataset

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
    code, error = refused(capfd, stage, *STAGE_COMMANDS[stage], "--output", output)
    assert code == 2
    assert is_one_message(error, output, part)
    assert sorted(path.name for path in tables.iterdir()) == ["here", "items.csv", "log.csv"]
    assert (tables / "here/mine/thesis.txt").read_text() == "precious"


def test_a_stage_replaces_its_own_artifact_and_an_empty_folder(tables, capfd):
    inputs = ("--interactions", tables / "log.csv", "--items", tables / "items.csv")
    (tables / "prepared").mkdir()
    for _ in range(2):
        assert refused(capfd, "preprocess", *inputs, "--output", tables / "prepared")[0] == 0
    assert PreparedDataset(tables / "prepared").user_ids == ["u0", "u1", "u2"]


@pytest.mark.parametrize("name", ["prepared", "bundle"])
def test_a_run_never_replaces_what_is_not_its_own(tables, capfd, name):
    (tables / "out" / name).mkdir(parents=True)
    (tables / "out" / name / "thesis.txt").write_text("precious")
    code, error = refused(capfd, *run_of(tables))
    assert code == 2
    assert is_one_message(error, str(tables / "out" / name), "another folder")
    assert [path.name for path in (tables / "out").rglob("*")] == [name, "thesis.txt"]
