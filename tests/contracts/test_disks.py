"""Places of output on other disks: mount points, read-only ones, full ones, layers of an image."""

import pytest
from helpers_mounts import in_own_mounts

from longtail.contracts.artifacts import PREPARED, write_artifact

WRITE = """
from pathlib import Path
from longtail.contracts.artifacts import PREPARED, check_place, read_artifact, write_artifact
from longtail.contracts.errors import UserError

def write(place, n, size=1):
    with write_artifact(place, PREPARED, {"n": n}) as folder:
        (folder / "a").write_bytes(b"x" * size)

def refused(work, *arguments):
    try:
        work(*arguments)
    except UserError as error:
        print(error)
    else:
        raise AssertionError("it was not refused")

def found(place):
    return read_artifact(place, PREPARED).facts["n"]
"""


@pytest.mark.parametrize("mount", ["mount -t tmpfs none place", "mkdir same; mount --bind same place"])
def test_a_mount_point_is_refused_before_the_work_and_a_folder_in_it_is_right(tmp_path, mount):
    shown = in_own_mounts(
        tmp_path,
        f"mkdir place; {mount}",
        WRITE
        + """
refused(check_place, "place")  # empty
write("place/inside", 1)
write("place/inside", 2)
import shutil
for file in Path("place/inside").iterdir():
    shutil.copy(file, "place")
refused(check_place, "place")  # an artifact
refused(write, "place", 3)
assert found("place") == found("place/inside") == 2
""",
    )
    assert shown.splitlines() == ["place: is a mount point, which cannot be replaced; name a folder inside it"] * 3


def test_a_link_to_another_disk_is_followed(tmp_path):
    in_own_mounts(
        tmp_path,
        "mkdir disk; mount -t tmpfs none disk; ln -s disk/real link",
        WRITE
        + """
for n in (1, 2):
    write("link", n)
    assert found("disk/real") == n and Path("link").is_symlink()
""",
    )


def test_a_read_only_disk_is_refused_before_the_work(tmp_path):
    shown = in_own_mounts(
        tmp_path,
        "mkdir disk; mount -t tmpfs none disk; mkdir disk/place; mount -o remount,ro disk",
        WRITE + "refused(check_place, 'disk/place'); refused(check_place, 'disk/new/deep')",
    )
    assert [line.partition(";")[0] for line in shown.splitlines()] == [
        "disk/place: cannot be written (Read-only file system)",
        "disk/new/deep: cannot be written (Read-only file system)",
    ]


def test_a_full_disk_leaves_the_earlier_artifact(tmp_path):
    shown = in_own_mounts(
        tmp_path,
        "mkdir disk; mount -t tmpfs -o size=256k none disk",
        WRITE
        + """
write("disk/place", 1)
refused(write, "disk/place", 2, 1_000_000)
assert found("disk/place") == 1
assert [path.name for path in Path("disk").iterdir()] == ["place"]
""",
    )
    assert shown == "disk/place: cannot be written (No space left on device); make room, or choose another disk\n"


def test_an_artifact_in_a_layer_of_an_image_stays_and_the_new_one_is_kept_beside_it(tmp_path):
    """As in a container whose image holds the artifact: overlayfs can neither move nor swap such a folder."""
    with write_artifact(tmp_path / "image/place", PREPARED, {"n": 1}):
        pass
    (tmp_path / "image/empty").mkdir()
    layers = "lowerdir=image,upperdir=disk/upper,workdir=disk/work"
    shown = in_own_mounts(
        tmp_path,
        f"mkdir -p disk/upper disk/work disk/root; mount -t overlay none -o userxattr,{layers} disk/root",
        WRITE
        + """
write("disk/root/empty", 1)
write("disk/root/mine", 1)
write("disk/root/mine", 2)
refused(write, "disk/root/place", 2)
assert found("disk/root/mine") == 2 and found("disk/root/empty") == found("disk/root/place") == 1
(kept,) = Path("disk/root").glob("place.new-*")
assert found(kept) == 2
""",
    )
    assert "place: cannot be replaced (Invalid cross-device link), so it stays as it was; what was made is in" in shown
