"""The scoring bundle: everything that scoring needs, as files that numpy and onnxruntime read.

The teacher's ``scorer`` folder and the Student bundle have this one format. Files:
    items.parquet          item_id, title, attributes, text, train_count, numbers (as the user gave them, in the order of the fact
                           ``numeric_names``; null where an item has none); row = item code
    tensors.safetensors    the arrays of ``Tensors``; a compressed ``item_matrix`` as int8 beside ``item_matrix.scale``
    attributes.json        what may be known of a user and of the moment, ``name=value`` each: first the users' attributes, in the
                           order of ``attribute_matrix``, then context; all of them in the order of ``traits``
    sequence_encoder.onnx  inputs [batch, length, dim], lengths [batch] -> query [batch, dim]
    text_encoder.onnx      input_ids, attention_mask [batch, tokens] -> text_vector [batch, text_dim] (optional)
    tokenizer.json         of the text encoder                                                        (optional)
    text_vectors.safetensors  the items' pretrained text vectors (scoring.relevance)                  (optional)
    item_index.faiss       finds the best of many items (scoring.item_index)                           (of large catalogues)
    likeness.safetensors   how alike items' texts are (scoring.likeness), for texts that come later    (optional)
    posterior.safetensors  how sure a policy that was learnt from a log is (scoring.posterior)          (optional)
Facts in the manifest: ``segment_rule``, ``exclude_history``, ``max_history``, ``max_tokens``, ``train_digest``, ...
"""

import json
import os
import shutil
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from numpy.typing import NDArray
from safetensors.numpy import load_file
from scipy import sparse

from longtail.contracts.artifacts import BUNDLE, read_artifact
from longtail.contracts.columns import Columns
from longtail.contracts.errors import UserError
from longtail.contracts.segments import SegmentRule
from longtail.scoring.int8 import Int8Rows, Matrix
from longtail.scoring.likeness import Likeness
from longtail.scoring.relevance import load_text_vectors
from longtail.scoring.rows import SparseRows

TEXT_VECTORS = "text_vectors.safetensors"
TEXT_ENCODER = ("text_encoder.onnx", "tokenizer.json", TEXT_VECTORS)  # with what it makes of the items
ENCODERS = ("sequence_encoder.onnx", *TEXT_ENCODER)
POSTERIOR = "posterior.safetensors"
LIKENESS = "likeness.safetensors"
ITEM_COLUMNS = [
    Columns.ITEM,
    Columns.TITLE,
    Columns.ATTRIBUTES,
    Columns.TRAIN_COUNT,
    Columns.NUMBERS,
]  # what scoring reads
LENGTH_EDGES = np.array([1, 2, 3, 4, 5, 10])  # histories of 0, 1, 2, 3, 4, 5-9, 10+ items have weights of their own
LENGTH_BUCKETS = len(LENGTH_EDGES) + 1
# of a score; each has a weight for each bucket: ``dense_weight``, ...
PARTS = ("dense", "neighbour", "popularity", "trait")


def length_bucket(lengths: NDArray[np.integer]) -> NDArray[np.intp]:
    """Bucket of each history length. ``[n] -> [n]`` in 0..LENGTH_BUCKETS-1"""
    return np.searchsorted(LENGTH_EDGES, lengths, side="right")


@dataclass(frozen=True)
class Tensors:
    """score(user, i) = dense_weight[b] * query . item_matrix[i] + popularity_weight[b] * log_popularity[i]
    + neighbour_weight[b] * sum over the history of decay ** age * neighbours[item, i]
    + trait_weight[b] * sum over attributes and context of (traits[trait, i] - trait_scale[trait] * trait_base[i])
    + item_offset[i]; b: bucket of the history's length."""

    item_matrix: Matrix  # [items, dim], unit rows; also the sequence encoder's inputs
    log_popularity: NDArray[np.float32]  # [items], standardised
    start: NDArray[np.float32]  # [dim], first input of every sequence
    attribute_matrix: NDArray[np.float32]  # [attributes, dim], added to start
    text_projection: NDArray[np.float32]  # [text_dim, dim], text embedding -> item vector (before normalising)
    neighbours: sparse.csr_array  # [items, items], top neighbours of each row's item
    traits: sparse.csr_array  # [attributes and context, items], see neighbours.traits
    trait_scale: NDArray[np.float32]  # [attributes and context]
    trait_base: NDArray[np.float32]  # [items]
    dense_weight: NDArray[np.float32]  # [LENGTH_BUCKETS]
    neighbour_weight: NDArray[np.float32]  # [LENGTH_BUCKETS]
    popularity_weight: NDArray[np.float32]  # [LENGTH_BUCKETS]
    trait_weight: NDArray[np.float32]  # [LENGTH_BUCKETS]
    decay: float
    item_offset: NDArray[np.float32] | None = None  # [items], what a policy learnt of each beyond its parts


@dataclass(frozen=True)
class OfTexts:
    """What is known of items by their texts."""

    texts: list[str]  # "" where an item has none
    frozen: NDArray[np.float32]  # [items, width], the pretrained vectors (scoring.relevance)
    likeness: Likeness


@dataclass(frozen=True)
class Bundle:
    """A loaded scoring bundle.

    added: items at its end that were added in memory (neighbours.added_items); of_texts: what is known of all then; else the files say.
    """

    path: Path
    facts: dict[str, Any]
    tensors: Tensors
    item_ids: list[str]
    titles: list[str | None]
    item_attributes: list[list[str]]
    train_counts: NDArray[np.int64]
    attributes: list[str]
    number_names: list[str]
    numbers: NDArray[np.float64]  # [items, number_names], as the user gave them; NaN where an item has none
    has_text_encoder: bool
    added: int = 0
    of_texts: OfTexts | None = None

    def read_of_texts(self) -> OfTexts:
        """Of a bundle with a text encoder."""
        if self.of_texts is not None:
            return self.of_texts
        frozen = load_text_vectors(self.path / TEXT_VECTORS)
        return OfTexts(self.item_texts(), frozen, Likeness.load(self.path / LIKENESS))

    def item_texts(self) -> list[str]:
        """Read from its file, as only questions in words need them."""
        return [text or "" for text in items_table(self).column(Columns.TEXT).to_pylist()]

    def codes_of(self, item_ids: Sequence[str]) -> NDArray[np.int32]:
        """Code of each item in this bundle; -1 for one that it does not know. ``[n]``"""
        codes = {item: code for code, item in enumerate(self.item_ids)}
        return np.array([codes.get(item, -1) for item in item_ids], dtype=np.int32)

    @property
    def segment_rule(self) -> SegmentRule:
        return SegmentRule(**self.facts["segment_rule"])

    @property
    def part_weights(self) -> NDArray[np.float32]:
        """What each part of a score counts for, for each bucket of the history's length. ``[LENGTH_BUCKETS, PARTS]``"""
        return np.stack([getattr(self.tensors, f"{part}_weight") for part in PARTS], axis=1)


def sparse_arrays(matrix: sparse.csr_array, name: str = "neighbours") -> dict[str, NDArray[Any]]:
    """The matrix as arrays that safetensors holds; ``sparse_matrix`` makes it again."""
    return {
        f"{name}.data": matrix.data.astype(np.float32),
        f"{name}.indices": matrix.indices.astype(np.int32),
        f"{name}.indptr": matrix.indptr.astype(np.int64),
        f"{name}.columns": np.array([matrix.shape[1]], dtype=np.int64),
    }


def sparse_matrix(arrays: dict[str, NDArray[Any]], name: str = "neighbours") -> SparseRows:
    """Takes the arrays of ``sparse_arrays`` out of ``arrays``."""
    data, indices, indptr, columns = (arrays.pop(f"{name}.{part}") for part in ("data", "indices", "indptr", "columns"))
    return sparse.csr_array((data, indices, indptr), shape=(len(indptr) - 1, int(columns[0])))


def items_table(bundle: Bundle) -> pa.Table:
    """The items of a loaded bundle, as ``write_tables`` takes them."""
    return pq.read_table(bundle.path / "items.parquet")


def copy_files(source: Path, folder: Path, names: Sequence[str]) -> None:
    """Take files of another bundle as they are, those of them that it has."""
    for name in names:
        if (source / name).is_file():
            shutil.copyfile(source / name, folder / name)


def bundle_facts(
    segment_rule: SegmentRule, exclude_history: bool, max_history: int, max_tokens: int, train_digest: str, **more: Any
) -> dict[str, Any]:
    """The facts that a scorer reads, and whatever else the writer wants to record."""
    return {
        "segment_rule": asdict(segment_rule),
        "exclude_history": exclude_history,
        "max_history": max_history,
        "max_tokens": max_tokens,
        "train_digest": train_digest,
    } | more


def load_bundle(path: str | os.PathLike[str]) -> Bundle:
    """Read and check a bundle.

    Raises:
        UserError: naming the file that is missing, changed or of another version.
    """
    artifact = read_artifact(path, BUNDLE)
    try:
        arrays = load_file(artifact.file("tensors.safetensors"))
        file = artifact.file("items.parquet")
        held = pq.read_schema(file).names  # a bundle made before numbers were kept holds none
        items = pq.read_table(file, columns=[name for name in ITEM_COLUMNS if name in held])
        attributes: list[str] = json.loads(artifact.file("attributes.json").read_text())
    except (OSError, ValueError) as error:
        raise UserError(f"{artifact.path}: cannot be read as a bundle ({error}); make it again") from None
    neighbours, traits = sparse_matrix(arrays), sparse_matrix(arrays, "traits")
    numbers = items.column(Columns.NUMBERS).to_pylist() if Columns.NUMBERS in items.column_names else []
    names = artifact.facts["numeric_names"] if numbers else []
    decay = float(arrays.pop("decay")[0])
    stored = arrays.pop("item_matrix")
    item_matrix: Matrix = Int8Rows(stored, arrays.pop("item_matrix.scale")) if "item_matrix.scale" in arrays else stored
    return Bundle(
        path=artifact.path,
        facts=dict(artifact.facts),
        tensors=Tensors(item_matrix=item_matrix, neighbours=neighbours, traits=traits, decay=decay, **arrays),
        item_ids=items.column(Columns.ITEM).to_pylist(),
        titles=items.column(Columns.TITLE).to_pylist(),
        item_attributes=[row or [] for row in items.column(Columns.ATTRIBUTES).to_pylist()],
        train_counts=items.column(Columns.TRAIN_COUNT).to_numpy(),
        attributes=attributes,
        number_names=names,
        numbers=np.array([row or [None] * len(names) for row in numbers], np.float64).reshape(len(numbers), len(names)),
        has_text_encoder=artifact.file("text_encoder.onnx").is_file(),
    )
