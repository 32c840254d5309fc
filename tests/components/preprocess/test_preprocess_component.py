"""The digest of inputs, and the two components run as tasks of a local pipeline."""

import json
from pathlib import Path

import pytest
from helpers_hand_bundle import write_hand_bundle
from kfp import dsl, local

from longtail.components.preprocess import component
from longtail.components.preprocess.fingerprint import fingerprint
from longtail.contracts.errors import UserError
from longtail.contracts.prepared import PreparedDataset
from longtail.registry.opening import open_registry
from longtail.system import channel


def test_the_digest_follows_content_and_names_not_places(tmp_path: Path):
    for folder in ("here", "there"):
        (tmp_path / folder).mkdir()
        (tmp_path / folder / "a.csv").write_text("x\n1\n")
        (tmp_path / folder / "b.csv").write_text("x\n2\n")
    here, there = str(tmp_path / "here"), str(tmp_path / "there")
    before = fingerprint([here, f"{here}/a.csv"])
    assert before == fingerprint([there, f"{there}/a.csv"])
    assert before != fingerprint([here])
    assert before != fingerprint([f"{here}/a.csv", here])
    (tmp_path / "here" / "b.csv").write_text("x\n3\n")
    assert before != fingerprint([here, f"{here}/a.csv"])


def test_the_digest_is_stated(tmp_path: Path):
    """It must not change between versions without need: cached results hang on it."""
    (tmp_path / "a.csv").write_text("x\n")
    assert fingerprint([str(tmp_path / "a.csv")]) == "2420d60925cd0257fb11aa802755c37110dc21196e16aa278bca4e214588d083"
    with pytest.raises(UserError, match=r"none\.csv: no such file"):
        fingerprint([str(tmp_path / "none.csv")])


@dsl.pipeline
def both(interactions: str, items: str, settings: str) -> None:
    digest = component.fingerprint(interactions=interactions, items=items, users="", champion="", incumbent="")
    component.preprocess(
        interactions=interactions, items=items, users="", digest=digest.outputs["digest"], settings=settings
    )


@pytest.fixture
def tables(tmp_path: Path) -> dict[str, str]:
    (tmp_path / "e.csv").write_text(
        "user_id,item_id,timestamp\n" + "".join(f"u,{i},{n}\n" for n, i in enumerate("abc"))
    )
    (tmp_path / "i.csv").write_text("item_id,title\n" + "".join(f"{i},{i}\n" for i in "abc"))
    local.init(local.SubprocessRunner(use_venv=False), pipeline_root=str(tmp_path / "root"))
    return {"interactions": str(tmp_path / "e.csv"), "items": str(tmp_path / "i.csv")}


def test_the_components_run_as_tasks(tables: dict[str, str], tmp_path: Path):
    both(**tables, settings=json.dumps({"memory_limit_gb": 0.5}))
    (folder,) = tmp_path.glob("root/*/preprocess/prepared")
    assert PreparedDataset(folder).facts["counts"]["train"] == 1


@dsl.pipeline
def looked_up(interactions: str, items: str, champion: str) -> str:
    return component.fingerprint(
        interactions=interactions, items=items, users="", champion=champion, incumbent=""
    ).outputs["bundle"]


def test_the_champion_of_today_is_looked_up(tables: dict[str, str], tmp_path: Path):
    registry = open_registry(str(tmp_path / "models"))
    version = registry.publish(write_hand_bundle(tmp_path / "bundle"))
    assert looked_up(**tables, champion="").output == ""
    assert looked_up(**tables, champion=f"registry:{tmp_path}/models").output == ""
    registry.promote(version, None, "the first")
    assert looked_up(**tables, champion=f"registry:{tmp_path}/models").output == f"{version.uri}#{version.id}"
    assert looked_up(**tables, champion=f"{tmp_path}/bundle").output == f"{tmp_path}/bundle"


@pytest.mark.parametrize(
    ("table", "settings", "message"),
    [
        ({"items": "/no/items.csv"}, {}, "/no/items.csv: no such file"),
        ({}, {"columns": {"value": "stars"}}, "columns.value: there is no column 'stars'"),
        ({}, {"max_rejected": 1}, "there is no setting 'max_rejected'"),
    ],
)
def test_a_users_error_reaches_the_command(
    tables: dict[str, str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch, table, settings, message: str
):
    events = channel.opened(tmp_path)
    monkeypatch.setenv(channel.VARIABLE, str(events))
    with pytest.raises(RuntimeError):
        both(**(tables | table), settings=json.dumps(settings))
    told = [event["message"] for event in channel.follow(events, lambda: False) if event["event"] == "error"]
    assert len(told) == 1 and message in told[0]
    assert not list(tmp_path.glob("root/**/manifest.json"))
