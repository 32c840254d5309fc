"""Artifacts are whole or absent, and a reader says what is wrong with them."""

import json
import os
from pathlib import Path

import pytest
from helpers_killed import killed_at_each_step

from longtail.contracts import artifacts, folders
from longtail.contracts.artifacts import BUNDLE, PREPARED, Format, check_place, read_artifact, sha256, write_artifact
from longtail.contracts.errors import UserError


@pytest.fixture
def artifact(tmp_path: Path) -> Path:
    with write_artifact(tmp_path / "made", PREPARED, {"n": 1}) as folder:
        (folder / "deep").mkdir()
        (folder / "deep" / "a.txt").write_text("abc")
    return tmp_path / "made"


def test_what_was_written_is_read(artifact: Path):
    read = read_artifact(artifact, PREPARED)
    assert read.facts == {"n": 1}
    assert read.file("deep/a.txt").read_text() == "abc"
    manifest = json.loads((artifact / "manifest.json").read_text())
    # SHA-256 of "abc", from FIPS 180-2
    assert manifest["files"] == {"deep/a.txt": "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad"}
    assert sha256(artifact / "deep" / "a.txt") == manifest["files"]["deep/a.txt"]


def test_facts_may_be_filled_while_writing(tmp_path: Path):
    facts: dict[str, int] = {}
    with write_artifact(tmp_path / "made", PREPARED, facts):
        facts["late"] = 2
    assert read_artifact(tmp_path / "made", PREPARED).facts == {"late": 2}


def test_a_failed_writer_leaves_the_former_artifact_and_no_other(artifact: Path):
    with pytest.raises(RuntimeError), write_artifact(artifact, PREPARED, {}) as folder:
        (folder / "half.txt").write_text("x")
        raise RuntimeError
    assert [path.name for path in artifact.parent.iterdir()] == ["made"]
    assert read_artifact(artifact, PREPARED).facts == {"n": 1}


def test_a_second_writer_replaces_the_whole(artifact: Path):
    with write_artifact(artifact, PREPARED, {"n": 2}) as folder:
        (folder / "b.txt").write_text("b")
    assert sorted(path.name for path in artifact.iterdir()) == ["b.txt", "manifest.json"]


@pytest.mark.parametrize("swaps", [True, False])
def test_a_writer_killed_at_any_step_leaves_a_whole_artifact(
    artifact: Path, monkeypatch: pytest.MonkeyPatch, swaps: bool
):
    if not swaps:
        monkeypatch.setattr(folders, "_swapped", lambda *_: False)

    def write(n: int) -> None:
        with write_artifact(artifact, PREPARED, {"n": n}) as folder:
            (folder / "b.txt").write_text(str(n))

    found = set()
    for _ in killed_at_each_step(lambda: write(2), lambda: write(1)):
        if swaps:
            assert (artifact / "manifest.json").is_file()
        read = read_artifact(artifact, PREPARED)
        assert read.file("b.txt").read_text() == str(read.facts["n"])
        found.add(read.facts["n"])
    assert found == {1, 2}


def test_what_is_of_no_stage_or_of_another_is_never_replaced(artifact: Path, tmp_path: Path):
    (tmp_path / "site").mkdir()
    (tmp_path / "site/manifest.json").write_text('{"name": "My web app", "version": 2}')
    with pytest.raises(UserError, match="site: holds files that no stage of longtail wrote; name another folder"):
        check_place(tmp_path / "site", PREPARED)
    with pytest.raises(UserError, match="made: is a longtail/prepared artifact, which a longtail/bundle would replace"):
        check_place(artifact, BUNDLE)
    for kind in (PREPARED, Format(PREPARED.name, 99), None):
        check_place(artifact, kind)
    check_place(tmp_path / "site/of/mine", PREPARED)  # somebody else's manifest says nothing
    for kind, place in ((BUNDLE, artifact), (PREPARED, tmp_path / "site")):
        with pytest.raises(UserError), write_artifact(place, kind, {}):
            raise AssertionError("the work began")
    assert read_artifact(artifact, PREPARED).facts == {"n": 1}


def test_a_place_inside_an_artifact_is_refused(artifact: Path, tmp_path: Path):
    (tmp_path / "link").symlink_to(artifact / "deep")
    for place in (artifact / "deep", artifact / "new/er", tmp_path / "link", tmp_path / "link/new"):
        with pytest.raises(UserError, match=rf"{place}: lies inside {artifact}, a longtail/prepared artifact"):
            check_place(place)
    with write_artifact(tmp_path / "outer", PREPARED, {}) as folder, write_artifact(folder / "inner", BUNDLE, {}):
        pass  # a stage may make artifacts of several, in one
    assert read_artifact(tmp_path / "outer/inner", BUNDLE).facts == {}


def edit(artifact: Path, **changes: object) -> None:
    manifest = artifact / "manifest.json"
    manifest.write_text(json.dumps(json.loads(manifest.read_text()) | changes))


@pytest.mark.parametrize(
    ("damage", "message"),
    [
        (lambda path: (path / "deep/a.txt").write_text("ab"), r"a\.txt: differs from its checksum; it was truncated"),
        (lambda path: (path / "deep/a.txt").unlink(), r"a\.txt: is missing; the artifact is incomplete"),
        (lambda path: (path / "manifest.json").unlink(), r"made: has no manifest\.json, so it is no longtail/prepared"),
        (lambda path: (path / "manifest.json").write_text("{"), "is not a readable manifest"),
        (lambda path: (path / "manifest.json").write_text("[]"), "is not a readable manifest"),
        (lambda path: edit(path, files=[]), "is not a readable manifest"),
        (
            lambda path: edit(path, version=99),
            "is longtail/prepared version 99, but longtail/prepared version 5 is needed",
        ),
        (lambda path: edit(path, files={"../../etc/passwd": "0"}), "a file outside the artifact"),
    ],
)
def test_damage_is_named(artifact: Path, damage, message: str):
    damage(artifact)
    with pytest.raises(UserError, match=message):
        read_artifact(artifact, PREPARED)


def test_another_kind_or_nothing_is_named(artifact: Path, tmp_path: Path):
    with pytest.raises(UserError, match="is longtail/prepared version 5, but longtail/bundle version 4 is needed"):
        read_artifact(artifact, BUNDLE)
    with pytest.raises(UserError, match="nowhere: no such folder; a longtail/bundle artifact was expected"):
        read_artifact(tmp_path / "nowhere", BUNDLE)


@pytest.mark.parametrize(("umask", "mode"), [(0o022, 0o644), (0o027, 0o640), (0o077, 0o600)])
def test_who_may_read_the_folder_may_read_its_files(tmp_path: Path, umask: int, mode: int):
    """The server's user is not the one who wrote the bundle, and safetensors writes for its owner alone."""
    former = os.umask(umask)
    try:
        with write_artifact(tmp_path / "bundle", BUNDLE, {}) as folder:
            (folder / "tensors").touch(mode=0o600)
    finally:
        os.umask(former)
    assert (tmp_path / "bundle/tensors").stat().st_mode & 0o777 == mode


def test_a_file_that_may_not_be_read_is_named(artifact: Path, monkeypatch: pytest.MonkeyPatch):
    def denied(path: Path) -> str:
        raise PermissionError(13, "Permission denied", str(path))

    monkeypatch.setattr(artifacts, "sha256", denied)  # root, who may run the tests, may read everything
    with pytest.raises(UserError, match=r"deep/a\.txt: cannot be read \(Permission denied\)"):
        read_artifact(artifact, PREPARED)
