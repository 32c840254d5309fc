"""Pictures of items, and sounds and videos: addresses, or vectors that somebody made of them."""

import ast
import json
import logging
import posixpath
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import narwhals as nw
import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from longtail.components.preprocess.layouts import Reading
from longtail.contracts.columns import Columns
from longtail.contracts.errors import UserError
from longtail.contracts.prepared import IMAGES
from longtail.tables.engine import Engine, Frame

logger = logging.getLogger(__name__)
ROWS = 1000  # vectors at once
Pictured = tuple[list[int], list[str], list[str]]  # codes, ids and texts of items


@dataclass(frozen=True)
class ReadImages:
    """A file as ``contracts/prepared.py`` documents it, and its facts; both None where no item has one."""

    file: Path | None = None
    facts: dict[str, Any] | None = None

    def put_into(self, folder: Path) -> None:
        if self.file is not None:
            self.file.rename(folder / IMAGES)


def read_images(engine: Engine, reading: Reading, items: Frame, codes: Frame) -> ReadImages:
    """Check the column ``image`` and write what it holds beside the engine's files.

    items: item_id, image, ...; codes: item_code, item_id.

    Raises:
        UserError: naming the item whose vector is of another length, is no list of finite numbers, or stands among addresses.
    """
    if Columns.IMAGE not in reading.columns:
        return ReadImages()
    uri = reading.scan.source.uri
    filled = items.filter(~nw.col(Columns.IMAGE).is_null()).select(Columns.ITEM, Columns.IMAGE)
    given, file = engine.folder / "image-texts.parquet", engine.folder / IMAGES
    coded = codes.select(Columns.ITEM_CODE, Columns.ITEM).join(filled, on=Columns.ITEM, how="inner")
    engine.write(coded, given, [Columns.ITEM_CODE])
    first = next((text for _, _, texts in _batches(given) for text in texts), None)
    if first is None:
        logger.warning("%s: column %s is empty", uri, Columns.IMAGE)
        return ReadImages()
    kind = "vectors" if _is_list(first) else "addresses"
    type_ = pa.list_(pa.float32()) if kind == "vectors" else pa.string()
    schema = pa.schema([(Columns.ITEM_CODE, pa.int32()), (Columns.IMAGE, type_)])
    base, width, count = _common_folder(reading.scan.source.files), None, 0
    with pq.ParquetWriter(file, schema, compression="zstd") as writer:
        for numbers, ids, texts in _batches(given):
            _refuse_mixture(uri, ids, texts, kind)
            if kind == "vectors":
                vectors = _vectors(uri, ids, texts, width)
                width = vectors.shape[1]
                starts = np.arange(len(ids) + 1, dtype=np.int32) * width
                values = pa.ListArray.from_arrays(starts, vectors.ravel())
            else:
                values = pa.array([_address(text, base) for text in texts], pa.string())
            writer.write_table(pa.table([pa.array(numbers, pa.int32()), values], schema=schema))
            count += len(ids)
    logger.info("%s: %d items have an image (%s)", uri, count, f"vectors of {width}" if width else kind)
    return ReadImages(file, {"kind": kind, "items": count, "width": width})


def _batches(file: Path) -> Iterator[Pictured]:
    """Without empty lists, which are missing."""
    for batch in pq.ParquetFile(file).iter_batches(ROWS):
        rows = [row for row in zip(*(column.to_pylist() for column in batch.columns)) if not _is_empty(row[2])]
        if rows:
            codes, ids, texts = map(list, zip(*rows))
            yield codes, ids, texts


def _is_list(text: str) -> bool:
    return text.startswith("[") and text.endswith("]")


def _is_empty(text: str) -> bool:
    return _is_list(text) and not text[1:-1].strip()


def _refuse_mixture(uri: str, ids: list[str], texts: list[str], kind: str) -> None:
    for item, text in zip(ids, texts):
        if _is_list(text) != (kind == "vectors"):
            raise UserError(
                f"{uri}: column {Columns.IMAGE}: holds {kind}, but that of item {item!r} is {text[:40]!r}; give addresses "
                "for all items that have one, or vectors"
            )


def _vectors(uri: str, ids: list[str], texts: list[str], width: int | None) -> "np.ndarray[Any, np.dtype[np.float32]]":
    """``[rows, width]``"""
    rows = []
    for item, text in zip(ids, texts):
        row = _numbers(text)
        if row is None or not np.isfinite(row).all():
            raise UserError(
                f"{uri}: column {Columns.IMAGE}: that of item {item!r} is {text[:40]!r}, which is no list of finite numbers; "
                "mend it, or leave it empty"
            )
        width = width or len(row)
        if len(row) != width:
            raise UserError(
                f"{uri}: column {Columns.IMAGE}: that of item {item!r} has {len(row)} numbers, and those before it {width}; "
                "give vectors of one length"
            )
        rows.append(row)
    return np.stack(rows)


def _numbers(text: str) -> "np.ndarray[Any, np.dtype[np.float32]] | None":
    """The numbers of a list as JSON or Python write it, infinite where float32 cannot hold one; None of another text."""
    try:
        found = json.loads(text)
    except ValueError:
        try:
            found = ast.literal_eval(text)
        except (ValueError, SyntaxError, RecursionError, MemoryError):
            return None
    if not all(type(number) in (int, float) for number in found):
        return None
    try:
        with np.errstate(over="ignore"):
            return np.array(found, dtype=np.float64).astype(np.float32)
    except OverflowError:
        return None


def _address(text: str, base: str) -> str:
    """An address, or a path; one that is relative lies below ``base``."""
    return text if "://" in text or text.startswith("/") else f"{base}/{text}"


def _common_folder(files: tuple[str, ...]) -> str:
    """The folder in which all files of the table lie."""
    places = files if "://" in files[0] else tuple(str(Path(file).absolute()) for file in files)
    parts = [posixpath.dirname(place).split("/") for place in places]
    shared = 0
    while all(len(part) > shared and part[shared] == parts[0][shared] for part in parts):
        shared += 1
    return "/".join(parts[0][:shared])
