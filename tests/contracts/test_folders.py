"""Folders are put in place in one step, whatever happens in between."""

import errno
import itertools
import os
import re
import shutil
import sys
import threading
from pathlib import Path

import pytest
from helpers_killed import killed_at_each_step

from longtail.contracts import folders
from longtail.contracts.errors import UserError
from longtail.contracts.folders import check_new_file, check_new_folder, make_folder, new_folder, place_of, put_back


@pytest.fixture(params=["swap", "two renames"])
def way(request, monkeypatch):
    """With the system's call that swaps, and as on a file system that has none."""
    if request.param == "two renames":
        monkeypatch.setattr(folders, "_swapped", lambda *_: False)
    return request.param


def write(place: Path, content: str = "") -> None:
    with new_folder(place) as folder:
        (folder / "a").write_text(content)
        (folder / "b").write_text(content)


def listed(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.iterdir())


def content(place: Path) -> set[str]:
    return {file.read_text() for file in place.iterdir()}


def test_the_system_swaps_two_folders_in_one_step(tmp_path):
    for name in ("one", "other"):
        (tmp_path / name).mkdir()
        (tmp_path / name / name).touch()
    assert folders._swapped(tmp_path / "one", tmp_path / "other")
    assert [path.name for path in (tmp_path / "one").iterdir()] == ["other"]
    assert not folders._swapped(tmp_path / "one", tmp_path / "absent")


def test_a_folder_is_made_and_replaced(tmp_path, way):
    for new in ("first", "second"):
        write(tmp_path / "below/place", new)
        assert content(tmp_path / "below/place") == {new}
        assert listed(tmp_path / "below") == ["place"]


def test_an_empty_folder_is_replaced(tmp_path, way):
    (tmp_path / "place").mkdir()
    write(tmp_path / "place", "new")
    assert content(tmp_path / "place") == {"new"}


def test_a_failure_leaves_the_older_folder(tmp_path, way):
    write(tmp_path / "place", "old")
    with pytest.raises(RuntimeError), new_folder(tmp_path / "place") as folder:
        (folder / "a").write_text("new")
        raise RuntimeError
    assert content(tmp_path / "place") == {"old"}
    assert listed(tmp_path) == ["place"]


def test_a_writer_killed_at_any_step_leaves_the_older_folder_or_the_new_one(tmp_path, way):
    place = tmp_path / "place"
    found = set()
    for _ in killed_at_each_step(lambda: write(place, "new"), lambda: write(place, "old")):
        if way == "swap":
            assert place.is_dir()  # also for those who do not read by way of put_back
        put_back(place)
        (one,) = content(place)
        found.add(one)
        check_new_folder(place)
    assert found == {"old", "new"}
    write(place, "later")
    assert content(place) == {"later"}


def test_the_next_writer_puts_the_older_folder_back_before_it_fails(tmp_path):
    write(tmp_path / "place", "old")
    (tmp_path / "place").rename(tmp_path / ".place.old-1")
    with pytest.raises(RuntimeError), new_folder(tmp_path / "place"):
        raise RuntimeError
    check_new_folder(tmp_path / "place")
    assert content(tmp_path / "place") == {"old"}


def test_a_folder_above_is_put_back_and_the_latest_of_several(tmp_path):
    for number, text in ((1, "older"), (2, "newer")):
        write(tmp_path / f".run [1].old-{number}/bundle", text)
    put_back(tmp_path / "run [1]/bundle")
    assert content(tmp_path / "run [1]/bundle") == {"newer"}


def test_a_folder_that_somebody_removed_stays_removed(tmp_path, way):
    write(tmp_path / "place", "old")
    write(tmp_path / "place", "new")
    (tmp_path / "place").rename(tmp_path / "elsewhere")
    put_back(tmp_path / "place")
    assert not (tmp_path / "place").exists()


def test_a_folder_that_others_put_back_and_moved_away_meanwhile_is_put_back_again(tmp_path, monkeypatch):
    write(tmp_path / ".place.old-1", "old")
    moved, calls = Path.rename, []

    def late(self: Path, target: Path) -> Path:
        calls.append(target)
        if len(calls) == 1:  # at that moment there was a folder, a moment later there is none
            raise OSError(errno.ENOTEMPTY, "Directory not empty")
        return moved(self, target)

    monkeypatch.setattr(Path, "rename", late)
    put_back(tmp_path / "place")
    assert content(tmp_path / "place") == {"old"}


def test_a_folder_that_another_writer_moves_away_between_any_two_calls_is_no_file_and_nothing_comes_in_its_place(
    tmp_path, monkeypatch
):
    place, aside = tmp_path / "place", tmp_path / ".place.old-1"
    real = {name: getattr(os, name) for name in ("stat", "lstat", "rename")}
    steps, moved_before = itertools.count(), -1

    def counted(name):
        def call(*arguments, **options):
            if next(steps) == moved_before:
                real["rename"](place, aside)
            return real[name](*arguments, **options)

        return call

    for name in real:
        monkeypatch.setattr(os, name, counted(name))
    for number in range(100):
        write(place, "old")
        steps, moved_before = itertools.count(), number
        check_new_folder(place)
        if next(steps) <= number:  # the check was over before
            break
        moved_before = -1
        assert [content(folder) for folder in tmp_path.iterdir()] == [{"old"}]
        shutil.rmtree(place, ignore_errors=True)
        shutil.rmtree(aside, ignore_errors=True)
    assert number > 5


def test_an_older_folder_that_was_replaced_long_ago_is_not_put_back_some_day(tmp_path, way):
    write(tmp_path / "place", "old")
    write(tmp_path / ".place.old-1", "older")  # its writer was killed after the new folder had come
    write(tmp_path / "place", "new")
    assert listed(tmp_path) == ["place"]


def test_what_a_killed_writer_left_is_removed_after_a_day(tmp_path):
    for name, age in ((".place.partial-dead", 90_000), (".place.partial-alive", 60), (".other.partial-dead", 90_000)):
        (tmp_path / name).mkdir()
        (tmp_path / name / "file").touch()
        then = folders.time.time() - age
        os.utime(tmp_path / name, (then, then))
    write(tmp_path / "place", "new")
    assert listed(tmp_path) == [".other.partial-dead", ".place.partial-alive", "place"]


@pytest.fixture
def restless():
    """Threads that take turns a hundred times as often as usual."""
    usual = sys.getswitchinterval()
    sys.setswitchinterval(usual / 100)
    yield
    sys.setswitchinterval(usual)


def test_several_writers_at_once_and_a_reader_always_find_one_whole_folder(tmp_path, way, restless):
    place = tmp_path / "place"
    write(place, "0")
    failures: list[Exception] = []

    def writer(name: int) -> None:
        try:
            for number in range(30):
                write(place, f"{name} {number}")
        except (OSError, UserError) as error:
            failures.append(error)

    writers = [threading.Thread(target=writer, args=(name,)) for name in range(3)]
    for thread in writers:
        thread.start()
    while any(thread.is_alive() for thread in writers):
        put_back(place)
    assert not failures
    put_back(place)
    assert len(content(place)) == 1
    assert not list(tmp_path.glob(".place.partial-*"))


def test_a_place_that_cannot_be_replaced_keeps_both(tmp_path, monkeypatch):
    """As a folder of an image's lower layer: no rename, no swap."""
    write(tmp_path / "place", "old")

    moved = Path.rename

    def refused(self: Path, target: Path) -> Path:
        if self.name == "place":
            raise OSError(18, "Invalid cross-device link")
        return moved(self, target)

    monkeypatch.setattr(folders, "_swapped", lambda *_: False)
    monkeypatch.setattr(Path, "rename", refused)
    with pytest.raises(
        UserError, match=r"place: cannot be replaced \(Invalid cross-device link\), .* what was made is in"
    ):
        write(tmp_path / "place", "new")
    assert content(tmp_path / "place") == {"old"}
    (kept,) = tmp_path.glob("place.new-*")
    assert content(kept) == {"new"}


def test_links_are_followed_and_stay(tmp_path, way):
    (tmp_path / "disk").mkdir()
    (tmp_path / "link").symlink_to("disk/real")  # it need not be there yet
    (tmp_path / "above").symlink_to("disk")
    for new in ("first", "second"):
        write(tmp_path / "link", new)
        assert (tmp_path / "link").is_symlink()
        assert content(tmp_path / "disk/real") == {new}
    write(tmp_path / "above/other", "new")
    assert listed(tmp_path / "disk") == ["other", "real"]


def test_a_tilde_is_the_home_folder(tmp_path, monkeypatch):
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.chdir(tmp_path)
    assert place_of("~/x") == tmp_path / "x"
    write(Path("~/x"), "new")
    assert content(tmp_path / "x") == {"new"}
    assert listed(tmp_path) == ["x"]
    assert place_of("a~/x") == tmp_path / "a~/x"


@pytest.fixture
def crowded(tmp_path, monkeypatch):
    (tmp_path / "file").write_text("precious")
    (tmp_path / "here/below").mkdir(parents=True)
    (tmp_path / "loop").symlink_to("loop")
    monkeypatch.chdir(tmp_path / "here/below")
    return tmp_path


@pytest.mark.parametrize(
    ("place", "message"),
    [
        ("{}/file", "is a file; name a folder"),
        ("{}/loop", "is a file; name a folder"),
        ("{}/file/x", "cannot be written, .*/file is a file"),
        ("{}/file/x/y", "cannot be written, .*/file is a file"),
        (".", "is the working folder or one above it"),
        ("..", "is the working folder or one above it"),
        ("/", "is the working folder or one above it"),
        ("s3://bucket/x", "is an address, and results are written to a disk; name a folder"),
        (Path("s3://bucket/x"), "is an address"),
        ("pvc://claim/x", "is an address"),
        ("/proc/x", r"cannot be written \("),
        ("/proc/x/y", r"cannot be written \("),
        ("{}/" + "x" * 300, r"cannot be written \("),
    ],
)
def test_a_place_that_cannot_hold_a_folder_is_refused(crowded, place, message):
    given = place.format(crowded) if isinstance(place, str) else place
    for use in (check_new_folder, write):
        with pytest.raises(UserError, match=f"{re.escape(str(given)[:60])}.*: {message}"):
            use(given)
    assert (crowded / "file").read_text() == "precious"
    assert listed(crowded) == ["file", "here", "loop"]


def test_a_right_place_is_left_as_it_is(tmp_path):
    (tmp_path / "empty").mkdir()
    write(tmp_path / "full", "old")
    for place in ("empty", "full", "absent", "far/away"):
        check_new_folder(tmp_path / place)
    assert listed(tmp_path) == ["empty", "full"]
    assert content(tmp_path / "full") == {"old"}


def as_nobody(work, *arguments) -> int:
    """Exit code of a child that does this without root's rights: 0, or 2 after a UserError."""
    child = os.fork()
    if child == 0:
        try:
            if os.getuid() == 0:
                os.setuid(65534)
            work(*arguments)
            os._exit(0)
        except UserError:
            os._exit(2)
        finally:
            os._exit(1)
    return os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])


def test_a_folder_above_that_may_not_be_written_is_refused_before_the_work(tmp_path):
    for folder in (tmp_path, *tmp_path.parents[:-2]):
        folder.chmod(0o755)
    above = tmp_path / "above"
    (above / "mine").mkdir(parents=True)
    (above / "mine").chmod(0o777)  # what is in it may be changed, but it cannot be replaced
    above.chmod(0o555)
    for place in ("mine", "other"):
        assert as_nobody(check_new_folder, above / place) == 2
        assert as_nobody(write, above / place, "new") == 2
    assert as_nobody(make_folder, above / "other") == 2
    assert as_nobody(check_new_file, above / "file") == 2
    above.chmod(0o777)
    (above / "mine").rmdir()
    assert as_nobody(write, above / "mine", "new") == 0


def test_somebody_elses_folder_in_a_shared_one_is_refused_before_the_work(tmp_path):
    if os.getuid() != 0:
        pytest.skip("only root can make somebody else's folder")
    for folder in (tmp_path, *tmp_path.parents[:-2]):
        folder.chmod(0o755)
    shared = tmp_path / "shared"
    write(shared / "theirs", "old")
    shared.chmod(0o1777)  # as /tmp
    assert as_nobody(check_new_folder, shared / "theirs") == 2
    assert as_nobody(check_new_folder, shared / "mine") == 0


def test_files(crowded):
    check_new_file(crowded / "file")
    check_new_file(crowded / "absent")
    for place, message in (
        ("here", "must be a file in an existing folder"),
        ("nowhere/x", "must be a file in an existing folder"),
        ("file/x", "must be a file in an existing folder"),
    ):
        with pytest.raises(UserError, match=message):
            check_new_file(crowded / place)
    with pytest.raises(UserError, match="is an address, and results are written to a disk; name a file"):
        check_new_file("gs://bucket/x.yaml")
    with pytest.raises(UserError, match="cannot be written"):
        check_new_file("/proc/x")


def test_folders_that_keep_their_content(crowded, monkeypatch):
    monkeypatch.setenv("HOME", str(crowded))
    for _ in range(2):
        assert make_folder("~/new/deep") == crowded / "new/deep"
    with pytest.raises(UserError, match=r"file/x: cannot be written \("):
        make_folder(crowded / "file/x")
    with pytest.raises(UserError, match="is an address"):
        make_folder(Path("s3://bucket/checkpoints"))
