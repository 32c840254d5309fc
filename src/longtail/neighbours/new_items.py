"""New items in a bundle, known by their text alone, without training.

- Vector: the text's, as a stated interest's; the model adds a learned id vector only to items of training.
- Neighbours, in both directions: what training gives to an item that nobody has chosen, so the likeness of words and of
  text vectors, with the shares that validation gave them, but nothing of what is chosen beside or after it.
- Popularity: that of the catalogue's median item, since nobody can have chosen what was not there. (``added_items``, for items
  added while serving, has another.)

All that is stored of other items stays as it is, and so do their scores for users who have no new item.
"""

import logging
import os
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray
from scipy import sparse

from longtail.contracts.artifacts import BUNDLE, check_place, manifest_digest, write_artifact
from longtail.contracts.columns import Columns
from longtail.contracts.errors import UserError
from longtail.neighbours.tfidf import tfidf_vectors
from longtail.scoring.bundle import (
    ENCODERS,
    LIKENESS,
    POSTERIOR,
    TEXT_VECTORS,
    Bundle,
    OfTexts,
    Tensors,
    copy_files,
    items_table,
    load_bundle,
)
from longtail.scoring.bundle_writing import write_tables
from longtail.scoring.int8 import Int8Rows, Matrix
from longtail.scoring.likeness import Likeness, put
from longtail.scoring.relevance import save_text_vectors
from longtail.scoring.rows import SparseRows, inverse_norms, keep_top, unit_vectors
from longtail.scoring.scorer import Scorer

log = logging.getLogger(__name__)
BATCH = 64  # texts, or rows of likeness to the whole catalogue, at once
REPORTED = 8  # batches of texts between two lines of the log, about three seconds
SHOWN = 3


@dataclass(frozen=True)
class Added:
    """How many items of the table were new, replaced, or there already with the same title, attributes and text."""

    new: int
    replaced: int
    unchanged: int


def add_items(
    bundle: str | os.PathLike[str], items: pa.Table, output: str | os.PathLike[str], replace_known: bool = False
) -> Added:
    """Write the bundle with the items of a table ``item_id, title, attributes, text`` to ``output`` (it may be ``bundle``).

    An item of the catalogue is left alone where all of these are the same. With ``replace_known`` it is taken out and comes
    in anew by its text; what training learnt of it is given up but for its popularity.

    Raises:
        UserError: an item of the catalogue with other content, unless ``replace_known``; a bundle without text encoder.
    """
    check_place(output, BUNDLE)
    loaded = load_bundle(bundle)
    if not loaded.has_text_encoder:
        raise UserError(f"{loaded.path}: holds no text encoder, so nothing can be known of new items; train with text")
    if loaded.facts.get("numeric_names"):
        names = ", ".join(loaded.facts["numeric_names"])
        log.warning(
            "the model reads numbers (%s); a new item counts as average in all of them, and has none for filters by range",
            names,
        )
    rows, catalogue = items.to_pylist(), items_table(loaded)
    old = catalogue.to_pylist()
    codes = {item: code for code, item in enumerate(loaded.item_ids)}
    known = [row for row in rows if row[Columns.ITEM] in codes]
    differing = [row for row in known if _content(row) != _content(old[codes[row[Columns.ITEM]]])]
    if differing and not replace_known:
        names = ", ".join(repr(row[Columns.ITEM]) for row in differing[:SHOWN])
        raise UserError(
            f"{len(differing)} items are in the catalogue of {loaded.path} with other titles, attributes or texts: {names}"
            f"{', …' if len(differing) > SHOWN else ''}; leave them out, or give --replace"
        )
    replaced = known if replace_known else []
    new = [row for row in rows if row[Columns.ITEM] not in codes]
    facts = dict(loaded.facts)
    lineage = {"new": len(new), "replaced": len(replaced), "from_manifest": manifest_digest(loaded.path)}
    facts["added_items"] = [*facts.get("added_items", []), lineage]
    places = [codes[row[Columns.ITEM]] for row in replaced] + list(range(len(old), len(old) + len(new)))
    merged = [*old, *({Columns.TRAIN_COUNT: 0} for _ in new)]
    for place, row in zip(places, [*replaced, *new]):
        merged[place] |= row
    table = pa.Table.from_pylist(merged, schema=catalogue.schema)
    with write_artifact(output, BUNDLE, facts) as folder:
        _write(folder, loaded, table, np.array(places, dtype=np.int64))
    return Added(len(new), len(replaced), len(known) - len(replaced))


def _content(row: dict[str, object]) -> tuple[object, ...]:
    return row[Columns.TITLE], row[Columns.ATTRIBUTES] or [], row[Columns.TEXT]


def _write(folder: Path, bundle: Bundle, items: pa.Table, codes: NDArray[np.int64]) -> None:
    """items: all of them; codes: those that come in by their texts."""
    texts = items.column(Columns.TEXT).to_pylist()
    popularity = float(np.median(bundle.tensors.log_popularity))
    tensors, known = with_texts(bundle, Scorer(bundle), texts, codes, popularity)
    write_tables(folder, tensors, items, bundle.attributes)
    copy_files(bundle.path, folder, (*ENCODERS, POSTERIOR))
    known.likeness.save(folder / LIKENESS)
    save_text_vectors(folder / TEXT_VECTORS, known.frozen)


def with_texts(
    bundle: Bundle, scorer: Scorer, texts: list[str], codes: NDArray[np.int64], popularity: float
) -> tuple[Tensors, OfTexts]:
    """The bundle's tensors, and what it knows of texts, with rows for items that come in by their texts.

    Args:
        scorer: with the bundle's encoders.
        texts: of all items.
        codes: of those that come in; they may lie right behind the catalogue's end.
        popularity: of the latter ones.
    """
    old, before = bundle.tensors, bundle.read_of_texts()
    blocks = [codes[begin : begin + BATCH] for begin in range(0, len(codes), BATCH)]
    batches = []
    for number, block in enumerate(blocks):
        batches.append(scorer.text_vectors([texts[code] for code in block]))
        if (number + 1) % REPORTED == 0:
            log.info("read the texts of %d of %d new items", (number + 1) * BATCH, len(codes))
    text_vectors = np.concatenate([np.zeros((0, len(old.text_projection)), np.float32), *batches])
    likeness = before.likeness.with_items(text_vectors, codes)
    neighbours, likeness = compare(old.neighbours, likeness, texts, codes)
    added = codes[codes >= len(old.log_popularity)]
    tensors = replace(
        old,
        item_matrix=_with_rows(old.item_matrix, codes, scorer.project(text_vectors)),
        log_popularity=put(old.log_popularity, added, popularity),
        neighbours=neighbours,
        traits=_without(old.traits, codes, len(texts)),
        trait_base=put(old.trait_base, codes, 0.0),
        item_offset=None if old.item_offset is None else put(old.item_offset, codes, 0.0),
    )
    frozen = put(before.frozen, codes, unit_vectors(text_vectors[:, : before.frozen.shape[1]]))
    return tensors, OfTexts(texts, frozen, likeness)


def _without(traits: SparseRows, codes: NDArray[np.int64], n_items: int) -> SparseRows:
    """With a column for every item, and nothing in those of the items ``codes``: nobody has chosen them yet."""
    entries = traits.tocoo()
    kept = ~np.isin(entries.col, codes)
    place = (entries.row[kept], entries.col[kept])
    return sparse.csr_array((entries.data[kept], place), shape=(traits.shape[0], n_items))


def _with_rows(matrix: Matrix, codes: NDArray[np.int64], vectors: NDArray[np.float32]) -> Matrix:
    if not isinstance(matrix, Int8Rows):
        return put(matrix, codes, vectors)
    given = Int8Rows.of(vectors)
    return Int8Rows(put(matrix.codes, codes, given.codes), put(matrix.scale, codes, given.scale))


def compare(
    old: SparseRows, likeness: Likeness, texts: Sequence[str], codes: NDArray[np.int64]
) -> tuple[SparseRows, Likeness]:
    """The sparse term's matrix with rows and columns of the items ``codes``, and the likeness with their rows.

    What the matrix held of them is dropped; all else stays, so rows of other items may come to hold more than before.

    Args:
        likeness: ``with_items`` these.
        texts: of all items, the new ones too.
    """
    entries = old.tocoo()
    kept = ~np.isin(entries.row, codes) & ~np.isin(entries.col, codes)
    rows, columns, values = [entries.row[kept]], [entries.col[kept]], [entries.data[kept]]
    count = int(np.diff(old.indptr).max(initial=0))
    least = np.zeros(len(texts), dtype=np.float32)  # what has to be exceeded to be among the greatest of a row
    for row in np.flatnonzero(np.diff(old.indptr) == count) if count else ():
        least[row] = old.data[old.indptr[row] : old.indptr[row + 1]].min()
    words, word_row, text_row = tfidf_vectors(texts), likeness.word_row.copy(), likeness.text_row.copy()
    terms = sparse.csr_array(words.T)
    for begin in range(0, len(codes), BATCH):
        given = codes[begin : begin + BATCH]
        itself = (np.arange(len(given)), given)
        by_words = (words[given] @ terms).toarray()  # [given, items]
        by_texts = likeness.to_items(likeness.text_vectors[given])
        by_words[itself] = by_texts[itself] = 0.0
        word_row[given] = likeness.shares[0] * inverse_norms(keep_top(by_words, count))
        text_row[given] = likeness.shares[1] * inverse_norms(keep_top(by_texts, count))
        own = keep_top(word_row[given, None] * by_words + text_row[given, None] * by_texts, count).tocoo()
        others = word_row * by_words + text_row * by_texts  # [given, items]: what those items' rows get
        others[:, codes] = 0.0  # among themselves, each has its row
        beside = sparse.coo_array(np.where(others > least, others, 0.0))
        rows += [given[own.row], beside.col]
        columns += [own.col, given[beside.row]]
        values += [own.data, beside.data]
    data = np.concatenate(values).astype(np.float32)
    shape = (len(texts), len(texts))
    matrix = sparse.csr_array((data, (np.concatenate(rows), np.concatenate(columns))), shape=shape)
    return matrix, replace(likeness, word_row=word_row, text_row=text_row)
