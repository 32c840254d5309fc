"""Where a followed file lies: on a disk, or in a bucket."""

import os
import uuid
from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager, suppress
from pathlib import Path
from typing import Protocol

from longtail.contracts.errors import UserError
from longtail.registry.locations import open_store

EVERY = 1.0  # seconds between looks at a file
EVERY_OF_BUCKETS = 5.0  # seconds between looks at an object: 17,000 requests a day of each replica
MAX_BYTES = 50_000_000  # of the file: a million ids
BUCKETS = ("s3://", "gs://")


class Unwritable(UserError):  # noqa: N818  (it says what is so)
    """What lies there cannot be replaced from here."""


class Source(Protocol):
    """A text that others change. ``every``: seconds between looks; ``is_remote``: whether it may be out of reach for a while."""

    every: float
    is_remote: bool

    def state(self) -> object:
        """Of what lies there now; another text has another one."""

    def read(self) -> str:
        """The text.

        Raises:
            UserError: it cannot be read, or is too long.
        """

    def replacing(self, text: str) -> AbstractContextManager[None]:
        """At the end of the block ``text`` lies there, whole; where the block raises nothing is changed.

        Raises:
            Unwritable: it cannot be put there.
        """


def open_source(path: str | os.PathLike[str]) -> Source:
    """Of a path, s3://bucket/object or gs://bucket/object."""
    return BucketSource(str(path)) if str(path).startswith(BUCKETS) else FileSource(Path(path))


class FileSource:
    """A file."""

    is_remote = False

    def __init__(self, path: Path) -> None:
        self._path, self.every = path, EVERY

    def __str__(self) -> str:
        return str(self._path)

    def state(self) -> object:
        try:
            found = self._path.stat()
        except OSError:
            return None
        return found.st_ino, found.st_mtime_ns, found.st_size

    def read(self) -> str:
        try:
            if self._path.stat().st_size > MAX_BYTES:
                raise _too_large(self)
            return self._path.read_text()
        except (OSError, UnicodeDecodeError) as error:
            raise UserError(f"{self._path}: cannot be read ({error}); give a YAML file that can") from None

    @contextmanager
    def replacing(self, text: str) -> Iterator[None]:
        partial = self._path.with_name(f".{self._path.name}.{uuid.uuid4().hex}")
        try:
            try:
                with partial.open("x") as stream:
                    stream.write(text)
                    stream.flush()
                    os.fsync(stream.fileno())
            except OSError as error:
                raise self._unwritable(error) from None
            yield
            try:
                partial.replace(self._path)
            except OSError as error:
                raise self._unwritable(error) from None
        finally:
            with suppress(OSError):
                partial.unlink(missing_ok=True)

    def _unwritable(self, error: OSError) -> Unwritable:
        return Unwritable(
            f"{self._path}: cannot be written from here ({error.strerror}); change it where it comes from (a ConfigMap is read-only "
            "in the pod), or let the server follow a file on a volume that it may write, or an object of a bucket"
        )


class BucketSource:
    """An object of a bucket."""

    is_remote = True

    def __init__(self, uri: str) -> None:
        folder, _, self._key = uri.rpartition("/")
        if not self._key or folder in ("s3:/", "gs:/"):
            raise UserError(f"{uri}: names no object; the form is s3://bucket/availability.yaml")
        self._uri, self._store, self.every = uri, open_store(folder), EVERY_OF_BUCKETS

    def __str__(self) -> str:
        return self._uri

    def state(self) -> object:
        return self._store.tag(self._key)

    def read(self) -> str:
        found = self._store.read(self._key)
        if found is None:
            raise UserError(f"{self._uri}: there is no such object; put a YAML file there")
        if len(found[0]) > MAX_BYTES:
            raise _too_large(self)
        try:
            return found[0].decode()
        except UnicodeDecodeError as error:
            raise UserError(f"{self._uri}: cannot be read ({error}); give a YAML file that can") from None

    @contextmanager
    def replacing(self, text: str) -> Iterator[None]:
        try:
            tag = self._store.tag(self._key)
        except UserError as error:
            raise Unwritable(str(error)) from None
        yield
        try:
            written = self._store.write_if(self._key, text.encode(), tag)
        except UserError as error:
            raise Unwritable(str(error)) from None
        if not written:
            raise Unwritable(f"{self._uri}: somebody else has written it meanwhile; look at it, and try again")


def _too_large(source: Source) -> UserError:
    return UserError(f"{source}: is larger than {MAX_BYTES:,} bytes; say less")
