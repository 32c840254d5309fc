"""Where a registry keeps its files: the few operations that it needs, and the folder that offers them."""

import fcntl
import hashlib
import os
import shutil
import time
import uuid
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Protocol

from longtail.contracts.errors import UserError

PARTIAL = ".partial"
LOCK = ".lock"
FORGOTTEN_SECONDS = 86_400  # a writer that is killed leaves its partial file; after a day nobody writes it any more


class Store(Protocol):
    """Files by key (``a/b/c``). What is put is whole or not there; every method raises ``UserError`` naming the address."""

    @property
    def uri(self) -> str:
        """The address, without a slash at its end."""

    def sizes(self, prefix: str) -> dict[str, int]:
        """Bytes of every file whose key starts with ``prefix``."""

    def put(self, key: str, source: Path) -> None:
        """Store a file; one of that key is replaced."""

    def download(self, key: str, target: Path) -> None:
        """Copy a stored file to ``target``."""

    def read(self, key: str) -> tuple[bytes, str] | None:
        """Content and tag, which every other content changes; None where there is no such file."""

    def tag(self, key: str) -> str | None:
        """The tag alone, without the content where the place can tell it so."""

    def write_if(self, key: str, content: bytes, tag: str | None) -> bool:
        """Store a content only where the file still has this tag (None: where there is none). False: nothing was stored."""


class FolderStore:
    """A folder on a disk, or a claim that is mounted: renames make files whole, a lock makes ``write_if`` one step."""

    def __init__(self, root: Path, uri: str) -> None:
        self._root = root
        self._uri = uri

    @property
    def uri(self) -> str:
        return self._uri

    def sizes(self, prefix: str) -> dict[str, int]:
        with self._reaching():
            below = self._root / prefix.rpartition("/")[0]
            files = {file.relative_to(self._root).as_posix(): file for file in below.rglob("*") if file.is_file()}
            return {key: file.stat().st_size for key, file in sorted(files.items()) if key.startswith(prefix)}

    def put(self, key: str, source: Path) -> None:
        with (
            self._reaching(),
            source.open("rb") as stream,
            self._replacing(key) as partial,
            partial.open("wb") as copy,
        ):
            shutil.copyfileobj(stream, copy, 1 << 20)

    def download(self, key: str, target: Path) -> None:
        with self._reaching():
            shutil.copyfile(self._root / key, target)

    def read(self, key: str) -> tuple[bytes, str] | None:
        with self._reaching():
            try:
                content = (self._root / key).read_bytes()
            except FileNotFoundError:
                return None
            return content, hashlib.sha256(content).hexdigest()

    def tag(self, key: str) -> str | None:
        found = self.read(key)
        return found and found[1]

    def write_if(self, key: str, content: bytes, tag: str | None) -> bool:
        with self._reaching():
            self._root.mkdir(parents=True, exist_ok=True)
            with (self._root / LOCK).open("w") as lock:
                fcntl.flock(lock, fcntl.LOCK_EX)
                found = self.read(key)
                if (found and found[1]) != tag:
                    return False
                with self._replacing(key) as partial:
                    partial.write_bytes(content)
                return True

    @contextmanager
    def _replacing(self, key: str) -> Iterator[Path]:
        """A name to write; at the end of the block the file of ``key`` is replaced by it in one rename."""
        partials, target = self._root / PARTIAL, self._root / key
        partials.mkdir(parents=True, exist_ok=True)
        for file in partials.iterdir():
            with suppress(FileNotFoundError):  # another writer moved it to its place meanwhile
                if time.time() - file.stat().st_mtime > FORGOTTEN_SECONDS:
                    file.unlink()
        target.parent.mkdir(parents=True, exist_ok=True)
        partial = partials / uuid.uuid4().hex
        try:
            yield partial
            with partial.open("rb") as written:
                os.fsync(written.fileno())
            partial.replace(target)
        finally:
            partial.unlink(missing_ok=True)

    @contextmanager
    def _reaching(self) -> Iterator[None]:
        try:
            yield
        except OSError as error:
            raise UserError(
                f"{self._uri}: {error.filename or self._root} cannot be used ({error.strerror}); "
                "check that the disk or claim is there, has room, and that this user may write it"
            ) from None
