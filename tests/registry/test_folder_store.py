"""A folder as a store: every file whole at every moment, whoever else writes or is killed."""

import os

import pytest
from helpers_killed import killed_at_each_step

from longtail.contracts.errors import UserError
from longtail.registry.locations import open_store


@pytest.fixture
def store(tmp_path):
    return open_store(str(tmp_path / "store"))


def content(store, key):
    found = store.read(key)
    return None if found is None else found[0]


def test_a_writer_killed_at_any_step_leaves_the_former_file_or_the_new_one(store, tmp_path):
    for name in ("old", "new"):
        (tmp_path / name).write_text(name)

    def prepare():
        store.put("a/file", tmp_path / "old")
        store.write_if("champion", b"old", store.read("champion") and store.read("champion")[1])

    def replace():
        store.put("a/file", tmp_path / "new")
        store.write_if("champion", b"new", store.read("champion")[1])

    found = set()
    for _ in killed_at_each_step(replace, prepare):
        found.add((content(store, "a/file"), content(store, "champion")))
        assert set(store.sizes("a/")) == {"a/file"}
    assert found == {(b"old", b"old"), (b"new", b"old"), (b"new", b"new")}


def test_a_file_of_another_writer_that_goes_meanwhile_is_no_fault(store, tmp_path):
    (tmp_path / "file").write_text("x")
    store.put("a", tmp_path / "file")
    (tmp_path / "store/.partial/gone").symlink_to("nowhere")  # listed, and not there when it is looked at
    store.put("a", tmp_path / "file")
    assert content(store, "a") == b"x"


def test_what_killed_writers_left_is_removed_after_a_day(store, tmp_path):
    (tmp_path / "file").write_text("x")
    store.put("a", tmp_path / "file")
    for name, age in (("dead", 90_000), ("alive", 60)):
        partial = tmp_path / "store/.partial" / name
        partial.write_text(name)
        then = partial.stat().st_mtime - age
        os.utime(partial, (then, then))
    store.put("a", tmp_path / "file")
    assert [path.name for path in (tmp_path / "store/.partial").iterdir()] == ["alive"]


def test_a_tilde_is_the_home_folder_and_a_link_is_followed(tmp_path, monkeypatch):
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.chdir(tmp_path)
    (tmp_path / "disk").mkdir()
    (tmp_path / "link").symlink_to("disk")
    for uri in ("~/home", "link"):
        open_store(uri).write_if("key", b"x", None)
    assert (tmp_path / "home/key").read_bytes() == (tmp_path / "disk/key").read_bytes() == b"x"
    assert (tmp_path / "link").is_symlink() and not (tmp_path / "~").exists()


@pytest.mark.parametrize("place", ["file", "file/below", "/proc/store"])
def test_a_place_that_cannot_be_written_is_named(tmp_path, monkeypatch, place):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "file").write_text("precious")
    with pytest.raises(UserError, match=r"cannot be used \("):
        open_store(place).write_if("key", b"x", None)
    assert (tmp_path / "file").read_text() == "precious"


def test_the_tag_is_that_of_reading(store):
    assert store.tag("a") is None
    assert store.write_if("a", b"old", None)
    assert store.tag("a") == store.read("a")[1]
    assert store.write_if("a", b"new", store.tag("a")) and store.tag("a") == store.read("a")[1]
