"""Texts as people wrote them: lists written as text become lists, HTML's ``&amp;`` becomes ``&``, once."""

import ast
import html
import json
import re
import tempfile
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import narwhals as nw
import pyarrow as pa
import pyarrow.parquet as pq

from longtail.components.preprocess.column_sql import LIST
from longtail.contracts.ids import canonical_id
from longtail.tables.engine import Engine, Frame
from longtail.tables.sources import Source

Rewrite = Callable[[str], str | None]
ENTITY = "&(?:#[0-9]+|#[xX][0-9a-fA-F]+|[A-Za-z][A-Za-z0-9]*);"
WRITTEN_LIST = r"^\[.*\]$"
BLANK_ITEM = f"(?:^|{LIST})\\s*(?:{LIST}|$)"
NEEDS = f"(?s){ENTITY}|{WRITTEN_LIST}|{BLANK_ITEM}"


def rewritten(engine: Engine, frame: Frame, functions: Mapping[str, Rewrite]) -> Frame:
    """The frame with functions applied to columns of text; untouched where no text needs it.

    functions: column -> what becomes of a text that holds an HTML entity, is written as a list, or has a blank item.
    """
    needs = [nw.col(name).str.contains(NEEDS).fill_null(False) for name in functions]
    needing = engine.collect(frame.filter(nw.any_horizontal(*needs, ignore_nulls=True)).select(n=nw.len()))
    if not needing.to_pylist()[0]["n"]:
        return frame
    names = frame.collect_schema().names()
    folder = Path(tempfile.mkdtemp(prefix="texts-", dir=engine.folder))
    before, after = folder / "before.parquet", folder / "after.parquet"
    engine.write(frame, before, names[:1])
    file = pq.ParquetFile(before)
    schema = pa.schema([field.with_nullable(True) for field in file.schema_arrow])  # a rewritten text may be none
    with pq.ParquetWriter(after, schema) as writer:
        for batch in file.iter_batches():
            columns = dict(zip(names, batch.columns))
            for name, function in functions.items():
                texts = [None if text is None else function(text) for text in columns[name].to_pylist()]
                columns[name] = pa.array(texts, schema.field(name).type)
            writer.write_table(pa.table([columns[field.name] for field in schema], schema=schema))
    scan = engine.scan(Source(str(after), (str(after),), "parquet"))
    return scan.select({name: engine.quote(name) for name in names})


def plain_text(text: str) -> str | None:
    """A title or a description: entities decoded, a written list as its texts one after the other."""
    items = parse_list(text)
    return decoded(text if items is None else " ".join(items))


def attribute_texts(text: str) -> str | None:
    """Attributes joined by ``LIST``, each decoded; blank ones go."""
    items = (decoded(item) for item in (list_items(text) or "").split(LIST))
    return LIST.join(item for item in items if item) or None


def filled_items(text: str) -> str | None:
    """Items joined by ``LIST``, without the blank ones."""
    return LIST.join(item for item in text.split(LIST) if item.strip()) or None


def list_items(text: str) -> str | None:
    """A written list as its items joined by ``LIST``; another text as it is."""
    items = parse_list(text)
    return text if items is None else LIST.join(items) or None


def decoded(text: str) -> str | None:
    """HTML entities as the signs they mean, once: ``&amp;amp;`` is ``&amp;``. A sign without its semicolon stays."""
    return re.sub(ENTITY, lambda entity: html.unescape(entity[0]), text).replace("\u00a0", " ").strip() or None


def parse_list(text: str) -> list[str] | None:
    """The texts of a list of scalars as JSON, Python or NumPy write it; None where the text is no such list.

    >>> parse_list('["a", 1]'), parse_list("['a', None]"), parse_list("['a' 'b']"), parse_list("[Limited edition]")
    (['a', '1'], ['a'], ['a', 'b'], None)
    """
    if not re.match(WRITTEN_LIST, text, re.DOTALL):
        return None
    items = _parsed(json.loads, text)
    if items is None and re.search(r"""['"]\s+['"]""", text):  # NumPy's, whose texts Python would run together
        items = [one or other for one, other in re.findall(r"""'([^']*)'|"([^"]*)\"""", text)]
    if items is None:
        items = _parsed(ast.literal_eval, text)
    if items is None or any(isinstance(item, list | dict | tuple | set) for item in items):
        return None
    return [found for item in items if (found := canonical_id(item)) is not None]


def _parsed(parse: Callable[[str], Any], text: str) -> list[Any] | None:
    try:
        found = parse(text)
    except (ValueError, SyntaxError, RecursionError, MemoryError):
        return None
    return found if isinstance(found, list) else None
