"""A random scoring bundle for any catalogue; its encoder is the mean over the inputs."""

from pathlib import Path

import numpy as np
import pyarrow as pa
from helpers_hand_bundle import save
from onnx import TensorProto, helper
from scipy import sparse

from longtail.contracts.artifacts import BUNDLE, write_artifact
from longtail.contracts.segments import SegmentRule
from longtail.scoring.bundle import LENGTH_BUCKETS, Tensors, bundle_facts
from longtail.scoring.bundle_writing import write_tables


def write_tiny_bundle(
    path: Path,
    n_items: int = 30,
    dim: int = 8,
    seed: int = 0,
    *,
    item_ids: list[str] | None = None,
    train_counts: np.ndarray | None = None,
    attributes: tuple[str, ...] = ("gender=F", "gender=M"),
    train_digest: str = "digest",
    exclude_history: bool = True,
    item_matrix: np.ndarray | None = None,
) -> Path:
    """Write a bundle without a text encoder. ``item_matrix`` [items, dim]: random unit rows where not given."""
    rng = np.random.default_rng(seed)
    ids = item_ids or [f"i{code:03d}" for code in range(n_items)]
    matrix = rng.normal(size=(len(ids), dim)).astype(np.float32) if item_matrix is None else item_matrix
    matrix = matrix / np.linalg.norm(matrix, axis=1, keepdims=True)
    dim = matrix.shape[1]
    counts = np.zeros(len(ids), np.int64) if train_counts is None else train_counts
    tensors = Tensors(
        item_matrix=matrix.astype(np.float32),
        log_popularity=np.log1p(counts).astype(np.float32),
        start=np.zeros(dim, np.float32),
        attribute_matrix=(0.1 * rng.normal(size=(len(attributes), dim))).astype(np.float32),
        text_projection=np.zeros((3, dim), np.float32),
        neighbours=sparse.csr_array(sparse.random(len(ids), len(ids), density=0.1, rng=rng, dtype=np.float32)),
        traits=sparse.csr_array((len(attributes), len(ids)), dtype=np.float32),
        trait_scale=np.zeros(len(attributes), np.float32),
        trait_base=np.zeros(len(ids), np.float32),
        dense_weight=np.ones(LENGTH_BUCKETS, np.float32),
        neighbour_weight=np.full(LENGTH_BUCKETS, 0.1, np.float32),
        popularity_weight=np.full(LENGTH_BUCKETS, 0.1, np.float32),
        trait_weight=np.zeros(LENGTH_BUCKETS, np.float32),
        decay=0.7,
    )
    items = pa.table(
        {
            "item_id": ids,
            "title": [f"Item {item}" for item in ids],
            "attributes": [["x"]] * len(ids),
            "text": [f"item {item}" for item in ids],
            "train_count": counts,
        }
    )
    facts = bundle_facts(SegmentRule(), exclude_history, 50, 16, train_digest)
    with write_artifact(path, BUNDLE, facts) as folder:
        write_tables(folder, tensors, items, list(attributes))
        _write_mean_encoder(folder / "sequence_encoder.onnx", dim)
    return path


def _write_mean_encoder(path: Path, dim: int) -> None:
    """query = mean of the first ``lengths`` inputs."""
    node = helper.make_node
    nodes = [
        node("Shape", ["inputs"], ["length"], start=1, end=2),
        node("Squeeze", ["length"], ["length_scalar"]),
        node("Range", ["zero", "length_scalar", "one"], ["places"]),
        node("Unsqueeze", ["lengths", "last"], ["column"]),
        node("Less", ["places", "column"], ["valid"]),
        node("Cast", ["valid"], ["mask"], to=TensorProto.FLOAT),
        node("Unsqueeze", ["mask", "last"], ["mask3"]),
        node("Mul", ["inputs", "mask3"], ["kept"]),
        node("ReduceSum", ["kept", "middle"], ["total"], keepdims=0),
        node("Cast", ["column"], ["count"], to=TensorProto.FLOAT),
        node("Div", ["total", "count"], ["query"]),
    ]
    save(
        nodes,
        [("inputs", TensorProto.FLOAT, ["n", "length", dim]), ("lengths", TensorProto.INT64, ["n"])],
        [("query", ["n", dim])],
        {"zero": np.array(0), "one": np.array(1), "last": np.array([-1]), "middle": np.array([1])},
        path,
    )
