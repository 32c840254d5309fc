"""New items in a bundle, known by their text alone, without training.

- Vector: the text's, as a stated interest's; the model adds a learned id vector only to items of training.
- Neighbours: an item's nearest by cosine of item vectors, as many as a row of the bundle holds, in both directions. The
  r-th nearest gets the mean of the r-th greatest values of the bundle's rows: cosines have another scale in every model.
- Popularity: that of the catalogue's median item, since nobody can have chosen what was not there.

All that is stored of other items stays as it is, and so do their scores for users who have no new item.
"""

import logging
import os
from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray
from scipy import sparse

from longtail.contracts.artifacts import BUNDLE, MANIFEST, sha256, write_artifact
from longtail.contracts.columns import Columns
from longtail.contracts.errors import UserError
from longtail.retrieval.bundle import (
    Bundle,
    Tensors,
    copy_encoders,
    items_table,
    load_bundle,
    values_by_rank,
    write_tables,
)
from longtail.retrieval.int8 import Int8Rows, Matrix, products
from longtail.retrieval.neighbours import SparseRows
from longtail.retrieval.scorer import Scorer

log = logging.getLogger(__name__)
BATCH = 64  # texts, or rows of similarities, at once
SHOWN = 3


@dataclass(frozen=True)
class Added:
    """How many items of the table were new, replaced, or there already with the same title and attributes."""

    new: int
    replaced: int
    unchanged: int


def add_items(
    bundle: str | os.PathLike[str], items: pa.Table, output: str | os.PathLike[str], replace_known: bool = False
) -> Added:
    """Write the bundle with the items of a table ``item_id, title, attributes, text`` to ``output`` (it may be ``bundle``).

    An item of the catalogue is left alone where title and attributes are the same. With ``replace_known`` it is taken out
    and comes in anew by its text; what training learnt of it is given up but for its popularity.

    Raises:
        UserError: an item of the catalogue with other content, unless ``replace_known``; a bundle without text encoder.
    """
    loaded = load_bundle(bundle)
    if not loaded.has_text_encoder:
        raise UserError(f"{loaded.path}: holds no text encoder, so nothing can be known of new items; train with text")
    if loaded.facts.get("numeric_names"):
        names = ", ".join(loaded.facts["numeric_names"])
        log.warning("the model reads numbers (%s); a new item counts as average in all of them", names)
    rows = items.to_pylist()
    codes = {item: code for code, item in enumerate(loaded.item_ids)}
    known = [row for row in rows if row[Columns.ITEM] in codes]
    differing = [row for row in known if not _same(row, codes[row[Columns.ITEM]], loaded)]
    if differing and not replace_known:
        names = ", ".join(repr(row[Columns.ITEM]) for row in differing[:SHOWN])
        raise UserError(
            f"{len(differing)} items are in the catalogue of {loaded.path} with other titles or attributes: {names}"
            f"{', …' if len(differing) > SHOWN else ''}; leave them out, or give --replace"
        )
    replaced = known if replace_known else []
    new = [row for row in rows if row[Columns.ITEM] not in codes]
    chosen = [*replaced, *new]
    places = np.array([codes[row[Columns.ITEM]] for row in replaced], dtype=np.int64)
    vectors = _text_vectors(loaded, [row[Columns.TEXT] for row in chosen])
    facts = dict(loaded.facts)
    lineage = {"new": len(new), "replaced": len(replaced), "from_manifest": sha256(loaded.path / MANIFEST)}
    facts["added_items"] = [*facts.get("added_items", []), lineage]
    with write_artifact(output, BUNDLE, facts) as folder:
        write_tables(
            folder, _tensors(loaded.tensors, vectors, places), _items(loaded, chosen, places), loaded.attributes
        )
        copy_encoders(loaded.path, folder)
    return Added(len(new), len(replaced), len(known) - len(replaced))


def _same(row: dict[str, object], code: int, bundle: Bundle) -> bool:
    return (row[Columns.TITLE], row[Columns.ATTRIBUTES] or []) == (bundle.titles[code], bundle.item_attributes[code])


def _text_vectors(bundle: Bundle, texts: Sequence[str]) -> NDArray[np.float32]:
    """``[texts, dim]``"""
    scorer = Scorer(bundle)
    batches = [scorer.embed_text(texts[begin : begin + BATCH]) for begin in range(0, len(texts), BATCH)]
    return np.concatenate([np.zeros((0, len(bundle.tensors.start)), np.float32), *batches])


def _items(bundle: Bundle, chosen: Sequence[dict[str, object]], places: NDArray[np.int64]) -> pa.Table:
    """Replaced items in their places, new ones at the end."""
    columns = (Columns.TITLE, Columns.ATTRIBUTES)
    table = items_table(bundle)
    rows = table.to_pylist()
    for place, row in zip(places, chosen):
        rows[place] |= {name: row[name] for name in columns}
    rows += [
        {Columns.ITEM: row[Columns.ITEM], Columns.TRAIN_COUNT: 0} | {name: row[name] for name in columns}
        for row in chosen[len(places) :]
    ]
    return pa.Table.from_pylist(rows, schema=table.schema)


def _tensors(old: Tensors, vectors: NDArray[np.float32], places: NDArray[np.int64]) -> Tensors:
    """vectors [replaced + new, dim]; places [replaced]: codes of the items that the first vectors replace."""
    count = len(old.log_popularity)
    n_new = len(vectors) - len(places)
    codes = np.concatenate([places, np.arange(count, count + n_new)])
    matrix = _with_rows(old.item_matrix, vectors, places)
    popularity = np.full(n_new, np.median(old.log_popularity) if count else 0.0, dtype=np.float32)
    return replace(
        old,
        item_matrix=matrix,
        log_popularity=np.concatenate([old.log_popularity, popularity]),
        neighbours=_neighbours(old, matrix, codes),
    )


def _with_rows(matrix: Matrix, vectors: NDArray[np.float32], places: NDArray[np.int64]) -> Matrix:
    """The first vectors in ``places``, the rest at the end."""

    def joined(old: NDArray[np.generic], given: NDArray[np.generic]) -> NDArray[np.generic]:
        whole = np.concatenate([old, given[len(places) :]])
        whole[places] = given[: len(places)]
        return whole

    if not isinstance(matrix, Int8Rows):
        return joined(matrix, vectors)  # type: ignore[return-value]
    given = Int8Rows.of(vectors)
    return Int8Rows(joined(matrix.codes, given.codes), joined(matrix.scale, given.scale))  # type: ignore[arg-type]


def _neighbours(old: Tensors, matrix: Matrix, codes: NDArray[np.int64]) -> SparseRows:
    """The sparse matrix with rows and columns of the items ``codes``, whose former entries are dropped."""
    entries = old.neighbours.tocoo()
    kept = ~np.isin(entries.row, codes) & ~np.isin(entries.col, codes)
    usual = values_by_rank(old.neighbours)
    rows: list[NDArray[np.integer]] = [entries.row[kept]]
    columns: list[NDArray[np.integer]] = [entries.col[kept]]
    values: list[NDArray[np.floating]] = [entries.data[kept]]
    for begin in range(0, len(codes), BATCH):
        given = codes[begin : begin + BATCH]
        cosines = products(matrix[given], matrix)
        cosines[np.arange(len(given)), given] = -np.inf
        near = np.argsort(-cosines, axis=1, kind="stable")[:, : min(len(usual), len(matrix) - 1)]  # [given, neighbours]
        row, column = np.repeat(given, near.shape[1]), near.ravel()
        value = np.tile(usual[: near.shape[1]], len(given))
        outside = ~np.isin(column, codes)  # among themselves, each has its row
        rows += [row, column[outside]]
        columns += [column, row[outside]]
        values += [value, value[outside]]
    data = np.concatenate(values).astype(np.float32)
    shape = (len(matrix), len(matrix))
    return sparse.csr_array((data, (np.concatenate(rows), np.concatenate(columns))), shape=shape)
