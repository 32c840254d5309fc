"""A run's folder shows the results of one run, whatever happens while they are replaced."""

import json
import os
import shutil
from pathlib import Path

import pytest
from helpers_killed import killed_at_each_step

from longtail.contracts import folders
from longtail.contracts.artifacts import CAMPAIGN, RESULTS, results_of
from longtail.contracts.errors import UserError
from longtail.pipelines.local import run as local
from longtail.pipelines.local.run_folder import (
    ARTIFACTS,
    CAMPAIGN_FOLDER,
    EVALUATION_FILES,
    MANIFEST_FILES,
    NAMES,
    adopt,
    check_results,
    publish,
)


class Run:
    """A run whose tasks wrote their name into each file. A run that passed the gate has manifests and a campaign too."""

    def __init__(self, out: Path, name: str, passed: bool = True) -> None:
        self.out, self.tasks = out, out / f".work/tasks/{name}"
        self.outputs = {key: str(self.tasks / f"pipeline/{key}/it") for key in (*ARTIFACTS.values(), "evaluation")}
        for folder, files in (
            *((self.outputs[key], ("one", "deep/other")) for key in ARTIFACTS.values()),
            (self.outputs["evaluation"], EVALUATION_FILES),
            (self.tasks / "pipeline/deploy/service", MANIFEST_FILES if passed else ()),
            (self.tasks / "pipeline/campaign/planned", ("deep/other",) if passed else ()),
        ):
            for file in files:
                (Path(folder) / file).parent.mkdir(parents=True, exist_ok=True)
                (Path(folder) / file).write_text(name)
        if passed:
            manifest = {"format": CAMPAIGN.name, "version": CAMPAIGN.version}
            (self.tasks / "pipeline/campaign/planned/manifest.json").write_text(json.dumps(manifest))

    def publish(self) -> None:
        publish(self.outputs, self.tasks, self.out)


def shown(out: Path) -> dict[str, str]:
    """What a visitor finds under the short names, and which run it is of."""
    folders = (*ARTIFACTS, CAMPAIGN_FOLDER)
    files = {name: out / name for name in NAMES} | {name: out / name / "deep/other" for name in folders}
    return {name: file.read_text() for name, file in files.items() if file.exists()}


@pytest.fixture
def out(tmp_path):
    return tmp_path / "out"


def test_results_are_one_folder_and_links_to_what_is_in_it(out):
    Run(out, "first").publish()
    assert shown(out) == dict.fromkeys(NAMES, "first")
    assert all((out / name).is_symlink() for name in NAMES)
    assert not (out / RESULTS).is_symlink()
    assert {path.name for path in out.iterdir()} == {*NAMES, RESULTS, ".work"}
    Run(out, "second", passed=False).publish()
    assert shown(out) == dict.fromkeys((*ARTIFACTS, *EVALUATION_FILES), "second")
    assert {path.name for path in out.iterdir()} == {*ARTIFACTS, *EVALUATION_FILES, RESULTS, ".work"}


@pytest.mark.slow
@pytest.mark.parametrize("swaps", [True, False])
def test_a_run_killed_at_any_step_of_publishing_shows_one_run(out, monkeypatch, swaps):
    if not swaps:
        monkeypatch.setattr(folders, "_swapped", lambda *_: False)
    old, new = Run(out, "old"), Run(out, "new", passed=False)
    both = set()
    for _ in killed_at_each_step(new.publish, old.publish):
        if not swaps:
            results_of(out)  # as every command does
        found = shown(out)
        assert set(found) >= {*ARTIFACTS, *EVALUATION_FILES}
        (one,) = set(found.values())
        assert set(found) - {*ARTIFACTS, *EVALUATION_FILES} == (
            {*MANIFEST_FILES, CAMPAIGN_FOLDER} if one == "old" else set()
        )
        both.add(one)
        check_results(out)
    assert both == {"old", "new"}
    assert not list(out.glob(".results.partial-*"))


@pytest.mark.slow
def test_a_first_run_killed_at_any_step_of_publishing_shows_nothing_or_one_run(out):
    run = Run(out, "first")
    links = [out / name for name in NAMES]
    for _ in killed_at_each_step(run.publish, lambda: [shutil.rmtree(out / RESULTS, ignore_errors=True)]):
        assert set(shown(out).values()) <= {"first"}
    assert all(link.is_symlink() for link in links)


def test_the_folder_may_be_moved_copied_and_linked(out, tmp_path):
    Run(out, "first").publish()
    shutil.copytree(out, tmp_path / "copy", symlinks=True)
    out.rename(tmp_path / "moved")
    (tmp_path / "link").symlink_to("moved")
    for place in ("copy", "moved", "link"):
        assert shown(tmp_path / place) == dict.fromkeys(NAMES, "first")
        assert (results_of(tmp_path / place) / "report.html").read_text() == "first"
        check_results(tmp_path / place)


def test_a_file_system_without_links_has_the_results_alone(out, monkeypatch, caplog):
    def refused(*_: object) -> None:
        raise OSError(1, "Operation not permitted")

    monkeypatch.setattr(os, "symlink", refused)
    Run(out, "first").publish()
    assert {path.name for path in out.iterdir()} == {RESULTS, ".work"}
    assert (results_of(out) / "report.html").read_text() == "first"
    assert "cannot hold links (Operation not permitted); look into" in caplog.text


def test_results_of_an_earlier_version_are_moved_to_where_they_are_now(out):
    run = Run(out, "earlier")
    run.publish()
    for name in NAMES:  # as it was before: all side by side
        (out / name).unlink()
        (out / RESULTS / name).rename(out / name)
    (out / RESULTS).rmdir()
    assert results_of(out) == out
    check_results(out)
    adopt(out)
    assert results_of(out) == out / RESULTS
    assert shown(out) == dict.fromkeys(NAMES, "earlier")
    adopt(out)
    Run(out, "later").publish()
    assert shown(out) == dict.fromkeys(NAMES, "later")


@pytest.mark.parametrize("place", ["bundle/thesis.txt", "report.html", "results/thesis.txt", "results"])
def test_what_is_not_a_runs_is_never_replaced(out, place):
    (out / place).parent.mkdir(parents=True)
    (out / place).write_text("precious")
    with pytest.raises(UserError, match=r"(bundle|report\.html|results|thesis\.txt): .* name (another|a) folder"):
        check_results(out)
    assert (out / place).read_text() == "precious"


def test_a_link_of_the_users_own_is_never_replaced(out, tmp_path):
    out.mkdir()
    (tmp_path / "disk").mkdir()
    (out / "bundle").symlink_to(tmp_path / "disk")
    with pytest.raises(UserError, match="bundle: is not a run's and in the way of the results"):
        check_results(out)


def test_results_may_lie_on_another_disk(out, tmp_path):
    out.mkdir()
    (out / RESULTS).symlink_to(tmp_path / "disk")
    for name in ("first", "second"):
        Run(out, name).publish()
        assert shown(out) == dict.fromkeys(NAMES, name)
    assert {path.name for path in (tmp_path / "disk").iterdir()} == set(NAMES)


@pytest.mark.slow
def test_pruning_killed_at_any_step_leaves_whole_tasks_or_none(out):
    """kfp takes a folder that is there for a cached result, so none may be half removed."""
    kept = Run(out, "kept")

    def outdated() -> None:
        Run(out, "old")

    for _ in killed_at_each_step(lambda: local._prune(out / ".work", kept.outputs), outdated):
        for name in ("old", "kept"):
            for artifact in (out / f".work/tasks/{name}").glob("*/*/*"):
                whole = {
                    "teacher": 2,
                    "bundle": 2,
                    "measured": 2,
                    "prepared": 2,
                    "evaluation": len(EVALUATION_FILES),
                    "campaign": 2,
                    "deploy": 2,
                }[artifact.parent.name]
                assert len([path for path in artifact.rglob("*") if path.is_file()]) == whole
    assert not (out / ".work/tasks/old").exists()
    assert not (out / ".work/removed").exists()
    assert all(Path(path).is_dir() for path in kept.outputs.values())
