"""The KFP component, as a task of a local pipeline."""

from pathlib import Path

import pytest
from helpers_hand_bundle import write_hand_bundle
from helpers_lists import given
from helpers_prepared import write_tiny_prepared
from kfp import dsl, local

from longtail.components.recommend import component
from longtail.components.recommend.recommend import recommend
from longtail.components.recommend.settings import RecommendSettings
from longtail.contracts.artifacts import LISTS, read_artifact
from longtail.contracts.histories import Histories
from longtail.contracts.prepared import PreparedDataset
from longtail.system import channel


@dsl.pipeline
def lists_of(bundle: str, prepared: str, settings: str) -> None:
    model = dsl.importer(artifact_uri=bundle, artifact_class=dsl.Model)
    data = dsl.importer(artifact_uri=prepared, artifact_class=dsl.Dataset)
    component.recommend(bundle=model.output, prepared=data.output, settings=settings)


@pytest.fixture
def places(tmp_path: Path) -> dict[str, str]:
    local.init(local.SubprocessRunner(use_venv=False), pipeline_root=str(tmp_path / "root"))
    bundle, prepared = tmp_path / "bundle", tmp_path / "prepared"
    write_hand_bundle(bundle)
    write_tiny_prepared(prepared, n_items=4, n_users=6)
    return {"bundle": str(bundle), "prepared": str(prepared)}


@pytest.mark.slow
def test_the_component_runs_as_a_task(tmp_path: Path, places: dict[str, str]):
    settings = RecommendSettings(k=2, users_per_part=2, processes=2)
    lists_of(**places, settings=settings.canonical())
    (folder,) = tmp_path.glob("root/*/recommend/lists")
    assert read_artifact(folder, LISTS).facts["counts"]["asked"] == 6
    everybody = Histories.of(PreparedDataset(places["prepared"]))
    recommend(places["bundle"], everybody, tmp_path / "here", settings)
    assert given(folder) == given(tmp_path / "here")
    assert not list(tmp_path.glob("root/**/.lists*"))


def test_a_users_error_reaches_the_command(tmp_path: Path, places: dict[str, str], monkeypatch: pytest.MonkeyPatch):
    events = channel.opened(tmp_path)
    monkeypatch.setenv(channel.VARIABLE, str(events))
    with pytest.raises(RuntimeError):
        lists_of(**places, settings='{"k": 9}')
    told = [event["message"] for event in channel.follow(events, lambda: False) if event["event"] == "error"]
    assert told == ["k is 9, but the catalogue holds 4 items; ask for fewer"]
    assert not list(tmp_path.glob("root/**/lists/manifest.json"))
