"""A bundle whose sparse term is really counted, so that it can be counted again; its encoder is the tiny one."""

from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

import numpy as np
from helpers_prepared import write_bundle_for

from longtail.contracts.artifacts import BUNDLE, write_artifact
from longtail.contracts.columns import Columns
from longtail.contracts.prepared import PreparedDataset
from longtail.neighbours.counting import log_popularity
from longtail.neighbours.item_to_item import ItemToItem, Mixture, counted, item_to_item
from longtail.neighbours.term_settings import TermSettings
from longtail.neighbours.validation_cases import ValidationCases
from longtail.scoring.bundle import LENGTH_BUCKETS, LIKENESS, copy_files, items_table, load_bundle
from longtail.scoring.bundle_writing import write_tables
from longtail.scoring.int8 import Int8Rows


def term_of(data: PreparedDataset, width: int = 4, **settings: Any) -> ItemToItem:
    """The sparse term of the training events, beside random text vectors."""
    vectors = np.random.default_rng(3).normal(size=(len(data.item_ids), width)).astype(np.float32)
    chosen = TermSettings.model_validate({"neighbours": 7} | settings)
    return item_to_item(data.train_sequences(), data.item_texts, vectors, chosen, ValidationCases.of(data), 0)


def term_by(data: PreparedDataset, mixture: Mixture) -> ItemToItem:
    """The same in a mixture that is given."""
    vectors = term_of(data).likeness.text_vectors
    return counted(data.train_sequences(), data.item_texts, vectors, mixture)


def write_counted_bundle(
    path: Path,
    data: PreparedDataset,
    term: ItemToItem | None = None,
    *,
    int8: bool = False,
    sparse_weight: float = 0.1,
    popularity_weight: float = 0.0,
    **facts: Any,
) -> Path:
    """A bundle of the data's catalogue as training would write its counts."""
    term = term or term_of(data)
    loaded = load_bundle(write_bundle_for(path, data, 5, exclude_history=data.exclude_history))
    tensors = replace(
        loaded.tensors,
        neighbours=term.neighbours,
        decay=term.decay,
        log_popularity=log_popularity(data.train_counts),
        neighbour_weight=np.full(LENGTH_BUCKETS, sparse_weight, np.float32),
        popularity_weight=np.full(LENGTH_BUCKETS, popularity_weight, np.float32),
    )
    if int8:
        tensors = replace(tensors, item_matrix=Int8Rows.of(tensors.item_matrix))
    table = items_table(loaded)
    place = table.schema.get_field_index(Columns.TEXT)
    items = table.set_column(place, Columns.TEXT, [data.item_texts])
    known = loaded.facts | {"sparse_term": asdict(term.mixture), "preprocess": data.facts["settings"]}
    known |= {"popularity_half_life": None, "trait_columns": {}} | facts
    with write_artifact(path, BUNDLE, known) as folder:
        write_tables(folder, tensors, items, loaded.attributes)
        copy_files(loaded.path, folder, ("sequence_encoder.onnx",))
        term.likeness.save(folder / LIKENESS)
    return path
