"""A bundle small enough to compute by hand.

Four items in two dimensions, an encoder that sums its inputs, and a text encoder that knows two words.
"""

import json

import numpy as np
import onnx
import pyarrow as pa
from onnx import TensorProto, helper, numpy_helper
from scipy import sparse
from tokenizers import Tokenizer
from tokenizers.models import WordLevel
from tokenizers.pre_tokenizers import Whitespace

from longtail.contracts.artifacts import BUNDLE, write_artifact
from longtail.contracts.segments import SegmentRule
from longtail.scoring.bundle import LENGTH_BUCKETS, LIKENESS, TEXT_VECTORS, Tensors, bundle_facts
from longtail.scoring.bundle_writing import write_tables
from longtail.scoring.likeness import Likeness
from longtail.scoring.relevance import save_text_vectors

A, B, C, D = range(4)
ITEMS = np.array([[1, 0], [0, 1], [0.6, 0.8], [-1, 0]], dtype=np.float32)
START = np.array([0.1, 0.2], dtype=np.float32)
FEMALE = np.array([0.0, -0.5], dtype=np.float32)
POPULARITY = np.array([1, 0.5, -0.5, -1], dtype=np.float32)
DECAY = 0.5
MAX_HISTORY = 3
WORDS = {"[PAD]": 0, "red": 1, "lamp": 2}
WORD_VECTORS = np.array([[0, 0, 0], [2, 0, 0], [0, 2, 0]], dtype=np.float32)  # [words, text_dim]
PROJECTION = np.array([[3, 0], [0, 4], [0, 0]], dtype=np.float32)  # [text_dim, dim]
TEXTS = ["red lamp", "lamp", "red", "lamp chair"]

# computed by hand in tests/scoring/test_scorer.py
GOLDEN = [
    {
        "history": [],
        "attributes": [],
        "context": [],
        "expected": ["a", "b", "c", "d"],
        "scores": [2.1, 1.2, -0.78, -2.1],
    },
    {"history": ["a"], "attributes": [], "context": [], "expected": ["b", "c", "d"], "scores": [1.05, 0.97, -1.2]},
    {"history": [], "attributes": ["gender=F"], "context": [], "expected": ["a", "b"], "scores": [2.1, 0.7]},
]


TRAIT_BASE = np.array([2, 0, 0, 0], dtype=np.float32)


def traits():
    """Nothing of ``gender=F``, and of ``occasion=party`` that b is chosen then, and d even more."""
    return sparse.csr_array(np.array([[0, 0, 0, 0], [0, 1, 0, 3]], dtype=np.float32))


def neighbours():
    matrix = np.zeros((4, 4), dtype=np.float32)
    matrix[A, B], matrix[A, C], matrix[B, C] = 0.8, 0.2, 0.5
    return sparse.csr_array(matrix)


def likeness():
    """Vectors of TEXTS, and rows that texts add to by halves and quarters."""
    text_vectors = np.array([[0.5**0.5, 0.5**0.5, 0], [0, 1, 0], [1, 0, 0], [0, 1, 0]], dtype=np.float32)
    word_row, text_row = np.array([[0.5, 0.25, 0, 0.1], [0.25, 0.5, 1, 0]], dtype=np.float32)
    return Likeness(text_vectors, word_row, text_row, np.array([0.4, 0.6], dtype=np.float32))


def save(nodes, inputs, outputs, constants, path):
    graph = helper.make_graph(
        nodes,
        "encoder",
        [helper.make_tensor_value_info(name, kind, shape) for name, kind, shape in inputs],
        [helper.make_tensor_value_info(name, TensorProto.FLOAT, shape) for name, shape in outputs],
        [numpy_helper.from_array(value, name) for name, value in constants.items()],
    )
    onnx.save(helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=9), path)


def write_hand_bundle(
    path,
    text=True,
    exclude_history=True,
    titles=("Red lamp", "Blue lamp", None, "Chair"),
    texts=TEXTS,
    attributes=(("x",),) * 4,
    numbers=None,  # name -> of a, b, c, d
):
    neighbour_weight = np.arange(LENGTH_BUCKETS, dtype=np.float32)  # 0, 1, 2, 3, ...: the bucket's number
    popularity_weight = np.full(LENGTH_BUCKETS, 0.1, dtype=np.float32)
    popularity_weight[0] = 2
    trait_weight = np.full(LENGTH_BUCKETS, 0.5, dtype=np.float32)
    weights = (np.ones(LENGTH_BUCKETS, np.float32), neighbour_weight, popularity_weight, trait_weight)
    known = (FEMALE[None], PROJECTION, neighbours(), traits(), np.array([0, 1], np.float32), TRAIT_BASE)
    tensors = Tensors(ITEMS, POPULARITY, START, *known, *weights, DECAY)
    items = pa.table(
        {
            "item_id": ["a", "b", "c", "d"],
            "title": list(titles),
            "attributes": [list(row) for row in attributes],
            "text": list(texts),
            "train_count": [9, 5, 1, 0],
        }
    )
    if numbers:
        items = items.append_column("numbers", pa.array(zip(*numbers.values()), pa.list_(pa.float64())))
    counted = {"popularity_half_life": None, "trait_columns": {}, "numeric_names": list(numbers or ())}
    facts = bundle_facts(SegmentRule(), exclude_history, MAX_HISTORY, 8, "digest", **counted)
    with write_artifact(path, BUNDLE, facts) as folder:
        write_tables(folder, tensors, items, ["gender=F", "occasion=party"])
        save(
            [helper.make_node("ReduceSum", ["inputs", "axes"], ["query"], keepdims=0)],
            [("inputs", TensorProto.FLOAT, ["n", "length", 2]), ("lengths", TensorProto.INT64, ["n"])],
            [("query", ["n", 2])],
            {"axes": np.array([1])},
            folder / "sequence_encoder.onnx",
        )
        if text:
            likeness().save(folder / LIKENESS)
            save_text_vectors(folder / TEXT_VECTORS, likeness().text_vectors)
            save(
                [
                    helper.make_node("Gather", ["words", "input_ids"], ["vectors"]),
                    helper.make_node("ReduceSum", ["vectors", "axes"], ["text_vector"], keepdims=0),
                ],
                [("input_ids", TensorProto.INT64, ["n", "t"]), ("attention_mask", TensorProto.INT64, ["n", "t"])],
                [("text_vector", ["n", 3])],
                {"axes": np.array([1]), "words": WORD_VECTORS},
                folder / "text_encoder.onnx",
            )
            tokenizer = Tokenizer(WordLevel(WORDS, unk_token="[PAD]"))
            tokenizer.pre_tokenizer = Whitespace()
            tokenizer.save(str(folder / "tokenizer.json"))
    return path


def write_dated_bundle(path, data_until, folder):
    """As ``write_hand_bundle``, which it writes to ``folder``; data_until: seconds since 1970 of the newest interaction."""
    bundle = write_hand_bundle(folder)
    facts = json.loads((bundle / "manifest.json").read_text())["facts"]
    with write_artifact(path, BUNDLE, facts | {"data_until": data_until}) as dated:
        for file in bundle.iterdir():
            if file.name != "manifest.json":
                (dated / file.name).write_bytes(file.read_bytes())
    return path
