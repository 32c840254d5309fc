"""Where tables come from: a URI (file, glob, folder, bucket) becomes a list of files of one known format."""

import csv
import gzip
import io
import os
import shutil
import tempfile
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import fsspec

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
DELIMITERS = ",;\t|"


@dataclass(frozen=True)
class Source:
    """Files of one table. ``header`` holds a headerless file's column names; a CSV with a header line has None."""

    uri: str
    files: tuple[str, ...]
    format: str
    header: tuple[str, ...] | None = None
    delimiter: str = ","
    encoding: str = "utf-8"

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
    source = Source(uri, files, str(formats.pop()))
    if source.format == "csv":
        line = first_line(files[0])
        source = replace(source, delimiter=max(DELIMITERS, key=line.count))
    return source


def csv_columns(source: Source) -> tuple[str, ...]:
    """Column names of a CSV table: those given, or its header line, which all its files must share."""
    if source.header is not None:
        return source.header
    lines = {file: first_line(file) for file in source.files}
    for file, line in lines.items():
        if line != lines[source.files[0]]:
            raise UserError(f"{file}: has another header line than {source.files[0]}; give files with the same columns")
    columns = tuple(name.strip() for name in next(csv.reader([lines[source.files[0]]], delimiter=source.delimiter), []))
    if "" in columns or len(set(columns)) != len(columns):
        raise UserError(
            f"{source.files[0]}: its header line {columns} has an empty or repeated name; name every column"
        )
    return columns


def list_files(uri: str) -> tuple[str, ...]:
    """Every data file behind ``uri``, sorted; hidden files and those that start with ``_`` are left out."""
    with reaching(uri):
        filesystem, path = _filesystem(uri)
        if any(sign in path for sign in "*?["):
            found = filesystem.glob(path)
        elif filesystem.isdir(path):
            found = [file for file in filesystem.find(path) if _is_data(file[len(path) :])]
        else:
            found = [path] if filesystem.exists(path) else []
        remote = "://" in (place := readable(uri)) and not place.startswith(("file://", "local://"))
        files = sorted(filesystem.unstrip_protocol(file) if remote else str(file) for file in found)
        sizes = {file: filesystem.size(file) for file in files}
    if not files:
        raise UserError(f"{uri}: no such file; give an existing file, folder or glob")
    for file, size in sizes.items():
        if size == 0:
            raise UserError(f"{file}: is empty; give a file with rows, or take it out")
    return tuple(files)


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


def first_line(file: str) -> str:
    with reaching(file), open_file(file) as stream:
        try:
            lines: Any = gzip.GzipFile(fileobj=stream) if file.endswith(".gz") else io.BufferedReader(stream)
            line: bytes = lines.readline(1 << 20)
        except (EOFError, zlib.error, gzip.BadGzipFile) as error:
            raise UserError(f"{file}: is no complete gzip file ({error}); copy it again") from None
    return line.decode("utf-8-sig", errors="replace").rstrip("\r\n")


def open_file(file: str) -> Any:
    filesystem, path = _filesystem(file)
    return filesystem.open(path, "rb")


def _filesystem(uri: str) -> tuple[Any, str]:
    place = readable(uri)
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
