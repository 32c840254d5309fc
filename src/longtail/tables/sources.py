"""Where tables come from: a URI (file, glob, folder, bucket) becomes a list of files of one known format."""

import os
import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import fsspec
from fsspec.implementations.local import LocalFileSystem

from longtail.contracts.errors import UserError
from longtail.system.places import readable, s3_options

# ending -> format; each but Parquet may be followed by .gz
FORMATS = {
    ".parquet": "parquet",
    ".pq": "parquet",
    ".csv": "csv",
    ".tsv": "csv",
    ".jsonl": "jsonl",
    ".ndjson": "jsonl",
    ".json": "jsonl",
    "u.data": "csv",
    "u.item": "csv",
    "u.user": "csv",
}


@dataclass(frozen=True)
class Source:
    """Files of one table, and what is said of text files; what is None is told from the file itself."""

    uri: str
    files: tuple[str, ...]
    format: str
    header: tuple[str, ...] | None = None  # column names, where the files have no header line
    delimiter: str | None = None
    encoding: str | None = None  # of files that are not UTF-8
    quotes: bool | None = None  # whether " encloses fields

    @property
    def is_remote(self) -> bool:
        return "://" in self.files[0]


def find(uri: str) -> Source:
    """Files behind a local path, glob, folder or bucket URI, in sorted order.

    Raises:
        UserError: naming the URI where nothing is there, it cannot be reached, is empty, or mixes formats.
    """
    files = list_files(uri)
    formats = {_format(file) for file in files}
    if None in formats or len(formats) != 1:
        raise UserError(
            f"{uri}: is not a table that can be read (files: {', '.join(Path(file).name for file in files[:5])}); give one "
            "format of .parquet, .csv, .csv.gz, .tsv, .jsonl or .jsonl.gz"
        )
    return Source(uri, files, str(formats.pop()))


def list_files(uri: str) -> tuple[str, ...]:
    """Every data file behind ``uri``, sorted; hidden files and those that start with ``_`` are left out.

    A path that exists is itself, also where it holds a glob's signs.
    """
    if not uri.strip():
        raise UserError(
            f"the address of a table is {uri!r}, which is empty; give a file, folder, glob or bucket address"
        )
    with reaching(uri):
        filesystem, path = _filesystem(uri)
        if not filesystem.exists(path) and any(sign in path for sign in "*?["):
            base = path[: min(path.find(sign) for sign in "*?[" if sign in path)].rpartition("/")[0]
            matched = [place for place in filesystem.glob(path) if _is_data(place[len(base) :])]
        else:
            matched = [path] if filesystem.exists(path) else []
        found = [file for place in matched for file in _files_at(filesystem, place)]
        remote = "://" in (place := readable(uri)) and not place.startswith(("file://", "local://"))
        files = sorted({filesystem.unstrip_protocol(file) if remote else str(file) for file in found})
        sizes = {file: filesystem.size(file) for file in files}
    if not files:
        raise UserError(f"{uri}: no such file; give an existing file, folder or glob")
    for file, size in sizes.items():
        if size == 0:
            raise UserError(f"{file}: is empty; give a file with rows, or take it out")
    return tuple(files)


def _files_at(filesystem: Any, place: str) -> list[str]:
    if not filesystem.isdir(place):
        return [place]
    return [file for file in filesystem.find(place) if _is_data(file[len(place) :])]


def fetch(source: Source, folder: Path) -> Source:
    """Copies of a bucket's files in a new folder below ``folder``; local files stay where they are."""
    if not source.is_remote:
        return source
    target = Path(tempfile.mkdtemp(prefix="fetched-", dir=folder))
    copies = []
    for number, file in enumerate(source.files):
        copy = target / f"{number:05d}-{Path(file).name}"
        with reaching(file), open_file(file) as remote, copy.open("wb") as local:
            shutil.copyfileobj(remote, local, 1 << 20)
        copies.append(str(copy))
    return replace(source, files=tuple(copies))


def fetch_folder(uri: str, folder: Path) -> Path:
    """A copy, inside ``folder``, of all that a bucket's folder holds; a local folder stays where it is.

    Raises:
        UserError: where it cannot be read.
    """
    place = readable(uri)
    if "://" not in place:
        return Path(place)
    target = folder / "fetched"
    with reaching(uri):
        filesystem, path = _filesystem(place)
        filesystem.get(path.rstrip("/"), str(target), recursive=True)
    return target


def open_file(file: str) -> Any:
    filesystem, path = _filesystem(file)
    return filesystem.open(path, "rb")


def _filesystem(uri: str) -> tuple[Any, str]:
    place = readable(uri)
    if "://" not in place:  # not by fsspec's own reading of addresses, which gives a path with :: another meaning
        local = LocalFileSystem()
        return local, str(local._strip_protocol(place))
    options = {"client_kwargs": s3_options()} if place.startswith("s3://") else {}
    filesystem, path = fsspec.core.url_to_fs(place, **options)
    return filesystem, path


@contextmanager
def reaching(uri: str) -> Iterator[None]:
    """Turn what a file system or a bucket's library raises into one message that names the URI."""
    try:
        yield
    except UserError:
        raise
    except ImportError as error:
        raise UserError(f"{uri}: {error}") from None
    except FileNotFoundError:
        raise UserError(f"{uri}: no such file; give an existing file, folder or glob") from None
    except Exception as error:  # every bucket library has exceptions of its own
        is_bug = isinstance(error, TypeError | AttributeError | NameError | AssertionError)
        if is_bug or not ("://" in uri or isinstance(error, OSError | ValueError)):
            raise
        raise UserError(
            f"{uri}: cannot be read ({type(error).__name__}: {error}); check path, credentials and endpoint"
        ) from None


def _is_data(relative: str) -> bool:
    return not any(part.startswith((".", "_")) for part in Path(relative).parts if part != os.sep)


def _format(file: str) -> str | None:
    name = Path(file).name.lower().removesuffix(".gz")
    return next((kind for ending, kind in FORMATS.items() if name.endswith(ending)), None)
