"""Folders that are whole or absent: checked before the work, filled beside their place, put there in one step.

A new folder is filled as ``.NAME.partial-…`` beside its place, so on the same file system. An older folder there is then swapped
with it by one system call (``renameat2`` of Linux, ``renamex_np`` of macOS): whoever reads, and whoever kills the writer, finds the
older folder or the new one. File systems without that call (NFS, 9p, many FUSE) get two renames by way of ``.NAME.old-…``; a kill
between the two leaves nothing at the place, and the next reader or writer puts the older folder back (``put_back``).

Links on the way are followed, so that they stay links; ``~`` is the home folder. A mount point can be neither renamed nor swapped,
and emptying it first would lose the older folder with the first failure: it is refused, a folder inside it is right.
"""

import ctypes
import errno
import glob
import os
import re
import shutil
import stat
import sys
import tempfile
import time
import uuid
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from longtail.contracts.errors import UserError

SWAP = 2  # RENAME_EXCHANGE of Linux, RENAME_SWAP of macOS
WORKING_FOLDER = -100  # AT_FDCWD of Linux
NOT_EMPTY = (errno.ENOTEMPTY, errno.EEXIST)
FULL = (errno.ENOSPC, errno.EDQUOT, errno.EFBIG)
FORGOTTEN_SECONDS = 86_400  # what a killed writer leaves beside the place is removed after a day
REPLACED_SECONDS = 60  # a new folder came long before this after the older one was moved away
ATTEMPTS = 100  # of writers who replace one folder at the same time
_ADDRESS = re.compile(r"[a-z][a-z0-9+.-]+:/")

AnyPath = str | os.PathLike[str]


def place_of(path: AnyPath) -> Path:
    """Where a path leads: ``~`` is the home folder, links are followed."""
    return Path(os.path.realpath(os.path.expanduser(path)))  # noqa: PTH111  (which fails for an unknown ~user)


def check_new_folder(path: AnyPath) -> None:
    """Refuse a place to which no new folder could be moved when the work is done. Nothing is changed there.

    Raises:
        UserError: an address, a file, the working folder, a mount point, or a place that may not be written.
    """
    _refuse_addresses(path, "folder")
    place = place_of(path)
    put_back(place)
    if _is_folder(place) is False:
        raise UserError(f"{path}: is a file; name a folder")
    here = Path.cwd()
    if place in (here, *here.parents):
        raise UserError(f"{path}: is the working folder or one above it; name a folder of its own")
    above, is_folder = next((one, found) for one in place.parents if (found := _is_folder(one)) is not None)
    if not is_folder:
        raise UserError(f"{path}: cannot be written, {above} is a file; choose a folder that you own")
    probe = _beside(above / place.name, "probe")
    try:
        probe.mkdir()
        try:
            (probe / "content").mkdir()
            probe = probe.rename(_beside(above / place.name, "probe"))  # not every file system can
            with suppress(FileNotFoundError):
                place.rename(probe)  # refused in any case, since the probe has content; the reason is what matters
        finally:
            shutil.rmtree(probe, ignore_errors=True)
    except OSError as error:
        if error.errno == errno.EBUSY:
            raise UserError(f"{path}: is a mount point, which cannot be replaced; name a folder inside it") from None
        if error.errno not in (*NOT_EMPTY, errno.EXDEV):
            raise UserError(f"{path}: cannot be written ({error.strerror}); choose a folder that you own") from None


def check_new_file(path: AnyPath) -> None:
    """Refuse a place where no file can be written or replaced.

    Raises:
        UserError: an address, a folder, or a place in a folder that is not there or may not be written.
    """
    _refuse_addresses(path, "file")
    place = place_of(path)
    if place.is_dir() or not place.parent.is_dir():
        raise UserError(f"{path}: must be a file in an existing folder")
    try:
        with tempfile.TemporaryFile(dir=place.parent):
            pass
    except OSError as error:
        raise UserError(f"{path}: cannot be written ({error.strerror}); choose a folder that you own") from None


def make_folder(path: AnyPath) -> Path:
    """Make a folder that keeps what is in it, and those above it.

    Raises:
        UserError: it cannot be made or written.
    """
    _refuse_addresses(path, "folder")
    place = place_of(path)
    try:
        place.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryFile(dir=place):
            pass
    except OSError as error:
        raise UserError(f"{path}: cannot be written ({error.strerror}); choose a folder that you own") from None
    return place


@contextmanager
def new_folder(path: AnyPath) -> Iterator[Path]:
    """Yield an empty folder to fill; on success it is put at ``path`` in one step, on failure nothing stays.

    Raises:
        UserError: what ``check_new_folder`` refuses; or at the end the place cannot be replaced, and where the new folder is.
    """
    check_new_folder(path)
    place = place_of(path)
    _forget(place)
    partial = _beside(place, "partial")
    try:
        partial.mkdir(parents=True)
        yield partial
        _put_or_keep(partial, place)
    except OSError as error:
        if error.errno in FULL:
            raise UserError(
                f"{path}: cannot be written ({error.strerror}); make room, or choose another disk"
            ) from None
        raise
    finally:
        shutil.rmtree(partial, ignore_errors=True)


def put_back(path: AnyPath) -> None:
    """Put the older folder back to the place, or to a folder above it, where a writer was killed between two renames.

    Raises:
        UserError: it may not be moved.
    """
    place = place_of(path)
    for missing in reversed([folder for folder in (place, *place.parents) if not os.path.lexists(folder)]):
        asides = _asides(missing)
        if not asides:
            return
        try:
            asides[-1].rename(missing)
        except OSError as error:
            if error.errno in (errno.ENOENT, *NOT_EMPTY):  # others are at work here, and may have moved it away again
                put_back(place)
                return
            if not os.path.lexists(missing):  # else somebody else was first
                raise UserError(
                    f"{missing}: its replacement was cut off, and {asides[-1]} cannot be moved back "
                    f"({error.strerror}); do that by hand"
                ) from None


def _put_or_keep(fresh: Path, place: Path) -> None:
    try:
        _put(fresh, place)
    except OSError as error:
        kept = place.with_name(f"{place.name}.new-{uuid.uuid4().hex[:8]}")
        fresh.rename(kept)
        raise UserError(
            f"{place}: cannot be replaced ({error.strerror}), so it stays as it was; what was made is in {kept}, move it by hand"
        ) from None


def _put(fresh: Path, place: Path) -> None:
    """Move ``fresh`` to its place; what was there before lies at ``fresh`` afterwards, or is removed."""
    asides: list[Path] = []
    try:
        for _ in range(ATTEMPTS):
            put_back(place)
            if _moved(fresh, place) or _swapped(fresh, place):
                break
            asides.append(place.with_name(f".{place.name}.old-{time.time_ns()}"))
            with suppress(FileNotFoundError):  # another writer moved it
                place.rename(asides[-1])
            if _moved(fresh, place):
                break
        else:
            raise OSError(errno.EBUSY, "others replace it all the time")
    except OSError:
        put_back(place)
        raise
    for aside in asides:
        old = _beside(place, "partial")
        with suppress(FileNotFoundError):  # a reader put it back meanwhile
            aside.rename(old)  # at once, so that no kill leaves it to be put back some day
            shutil.rmtree(old, ignore_errors=True)


def _is_folder(place: Path) -> bool | None:
    """None where nothing is. One look, since another writer may move a folder away between two."""
    try:
        return stat.S_ISDIR(place.lstat().st_mode)
    except OSError:
        return None


def _moved(fresh: Path, place: Path) -> bool:
    """False where a folder with content is at the place."""
    try:
        fresh.rename(place)
    except OSError as error:
        if error.errno not in NOT_EMPTY:
            raise
        return False
    return True


def _swapped(one: Path, other: Path) -> bool:
    """Exchange two folders in one step; False where system or file system cannot."""
    libc = ctypes.CDLL(None)
    first, second = os.fsencode(one), os.fsencode(other)
    try:
        if sys.platform == "darwin":
            return bool(libc.renamex_np(first, second, SWAP) == 0)
        return bool(libc.renameat2(WORKING_FOLDER, first, WORKING_FOLDER, second, SWAP) == 0)
    except AttributeError:  # an older C library
        return False


def _forget(place: Path) -> None:
    """Remove what writers left beside the place that were killed long ago."""
    for partial in place.parent.glob(f".{glob.escape(place.name)}.partial-*"):
        with suppress(FileNotFoundError):
            if time.time() - partial.stat().st_mtime > FORGOTTEN_SECONDS:
                shutil.rmtree(partial, ignore_errors=True)
    for aside in _asides(place):
        if place.is_dir() and time.time() - int(aside.name.rpartition("-")[2]) / 1e9 > REPLACED_SECONDS:
            shutil.rmtree(aside, ignore_errors=True)


def _asides(place: Path) -> list[Path]:
    """Older folders that were moved away from the place, the latest last; their names end in nanoseconds since 1970."""
    return sorted(place.parent.glob(f".{glob.escape(place.name)}.old-*"))


def _beside(place: Path, kind: str) -> Path:
    return place.with_name(f".{place.name}.{kind}-{uuid.uuid4().hex}")


def _refuse_addresses(path: AnyPath, wanted: str) -> None:
    if _ADDRESS.match(os.fspath(path)):
        raise UserError(f"{path}: is an address, and results are written to a disk; name a {wanted}, and copy it there")
