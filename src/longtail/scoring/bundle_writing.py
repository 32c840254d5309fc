"""Writes the tables of a scoring bundle, whose format ``scoring.bundle`` says."""

import json
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from safetensors.numpy import save_file

from longtail.contracts.columns import Columns
from longtail.scoring.bundle import ITEM_COLUMNS, Tensors, sparse_arrays
from longtail.scoring.int8 import Int8Rows
from longtail.scoring.item_index import INDEX, INDEXED_FROM, ItemIndex


def write_tables(folder: Path, tensors: Tensors, items: pa.Table, attributes: list[str]) -> None:
    """Write all but the ONNX files and the manifest into ``folder`` (inside ``write_artifact``)."""
    arrays = {
        name: np.ascontiguousarray(value) for name, value in vars(tensors).items() if isinstance(value, np.ndarray)
    }
    if isinstance(tensors.item_matrix, Int8Rows):
        arrays |= {"item_matrix": tensors.item_matrix.codes, "item_matrix.scale": tensors.item_matrix.scale}
    arrays |= sparse_arrays(tensors.neighbours) | sparse_arrays(tensors.traits, "traits")
    arrays |= {"decay": np.array([tensors.decay], dtype=np.float32)}
    save_file(arrays, folder / "tensors.safetensors")
    kept = [name for name in (*ITEM_COLUMNS, Columns.TEXT) if name in items.column_names]
    pq.write_table(items.select(kept), folder / "items.parquet")
    (folder / "attributes.json").write_text(json.dumps(attributes))
    index = (
        ItemIndex.build(tensors) if len(tensors.log_popularity) >= INDEXED_FROM and tensors.dense_weight.any() else None
    )
    if index is not None:
        index.save(folder / INDEX)
