"""What a task's container may see and do; tests/docker runs real ones."""

import os
import sys
from pathlib import Path

import pytest
from helpers_command import is_one_message, refused, run_of

from longtail.contracts.errors import UserError
from longtail.pipelines.local import containers
from longtail.pipelines.local import run as local
from longtail.pipelines.run_settings import load_settings


@pytest.fixture
def no_engine(monkeypatch):
    monkeypatch.setenv("DOCKER_HOST", "unix:///nowhere/docker.sock")


def test_without_an_engine_one_message_before_anything_is_written(no_engine, tables, capfd):
    code, error = refused(capfd, *run_of(tables, "--image", "longtail-train-cpu:1"))
    assert code == 2
    assert is_one_message(error, "no Docker engine answers", "DOCKER_HOST")
    assert not (tables / "out/.work").exists()


def test_without_the_client_the_extra_is_named(monkeypatch):
    monkeypatch.setitem(sys.modules, "docker", None)
    with pytest.raises(UserError, match=r"install longtail\[docker\]"):
        containers.image_id("longtail-train-cpu:1")


@pytest.fixture
def as_user(monkeypatch):
    monkeypatch.setattr(os, "getuid", lambda: 1000)
    monkeypatch.setattr(os, "getgid", lambda: 100)


def test_inputs_are_mounted_where_they_are(as_user, tmp_path):
    (tmp_path / "logs").mkdir()
    (tmp_path / "logs/1.parquet").write_text("")
    (tmp_path / "a[1].csv").write_text("")
    read = [
        f"{tmp_path}/logs/*.parquet",
        f"{tmp_path}/a[1].csv",
        "s3://bucket/items.parquet",
        f"{tmp_path}/missing.csv",
    ]
    asked = containers.request("sha256:1", read, [str(tmp_path)])
    assert asked["read"] == [f"{tmp_path}/logs", f"{tmp_path}/a[1].csv"]
    assert asked["user"] == "1000:100"


def test_root_hands_its_folders_to_the_images_user_and_follows_no_link(monkeypatch, tmp_path):
    monkeypatch.setattr(os, "getuid", lambda: 0)
    given: list[tuple[str, int, int, bool]] = []
    monkeypatch.setattr(
        os, "chown", lambda path, user, group, follow_symlinks: given.append((str(path), user, group, follow_symlinks))
    )
    (tmp_path / "old").write_text("")
    (tmp_path / "link").symlink_to("/etc")
    asked = containers.request("sha256:1", [], [str(tmp_path)])
    assert asked["user"] == "65532:65532"
    assert sorted(given) == [
        (str(path), 65532, 65532, False) for path in (tmp_path, tmp_path / "link", tmp_path / "old")
    ]


def test_a_container_may_do_the_least(as_user, monkeypatch, tmp_path):
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", "key")
    monkeypatch.setenv("SOME_PASSWORD", "secret")
    monkeypatch.setenv("LONGTAIL_CHANNEL", str(tmp_path / "run/channel.jsonl"))
    monkeypatch.setenv("GOOGLE_APPLICATION_CREDENTIALS", str(tmp_path / "key.json"))
    (tmp_path / "in.csv").write_text("")
    asked = containers.request("sha256:1", [str(tmp_path / "in.csv")], [str(tmp_path / "run")])
    allowed = containers.docker_runner(asked).container_run_args
    assert allowed["read_only"]
    assert allowed["cap_drop"] == ["ALL"]
    assert allowed["security_opt"] == ["no-new-privileges:true"]
    assert allowed["user"] == "1000:100"
    assert allowed["environment"]["AWS_ACCESS_KEY_ID"] == "key"
    assert allowed["environment"]["LONGTAIL_CHANNEL"] == str(tmp_path / "run/channel.jsonl")
    assert "SOME_PASSWORD" not in allowed["environment"]
    mounts = {mount["Target"]: (mount["Type"], mount["Source"], mount["ReadOnly"]) for mount in allowed["mounts"]}
    assert mounts == {
        "/tmp": ("volume", None, False),
        str(tmp_path / "in.csv"): ("bind", str(tmp_path / "in.csv"), True),
        str(tmp_path / "key.json"): ("bind", str(tmp_path / "key.json"), True),
        str(tmp_path / "run"): ("bind", str(tmp_path / "run"), False),
    }


def test_a_run_mounts_its_inputs_and_the_files_that_settings_name(as_user, monkeypatch, tables):
    executions = []

    def run_pipeline(execution):
        executions.append(execution)
        raise KeyboardInterrupt  # enough is seen

    monkeypatch.setattr(local, "image_id", lambda image: "sha256:1")
    monkeypatch.setattr(local, "run_pipeline", run_pipeline)
    monkeypatch.chdir(tables)
    Path("model").mkdir()
    Path("words.jsonl").write_text("")
    settings = load_settings(None, ["finetune.language_model=model", "finetune.adaptation.paraphrases=words.jsonl"])
    with pytest.raises(KeyboardInterrupt):
        local.run_local(local.RunInputs("log.csv", "items.csv", None, settings, Path("out"), image="ours:1"))
    work = tables / "out/.work"
    (execution,) = executions
    asked = execution.containers
    assert asked["read"] == [
        str(tables / name) for name in ("log.csv", "items.csv", "model", "words.jsonl", "out/.work/tasks")
    ]
    assert asked["write"] == [str(execution.root), str(work / "checkpoints")]
    assert execution.root.parent == work / "tasks"
    assert execution.events.parent == execution.root  # mounted for writing, and there before it changes hands
    assert execution.events.is_file()
    assert asked["image"] == "sha256:1"
    assert f'"language_model":"{tables}/model"' in execution.arguments["finetune_settings"]
