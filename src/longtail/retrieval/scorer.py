"""Scores and explains with a bundle: the one scorer of evaluate, predict and batch scoring."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import onnxruntime
from numpy.typing import NDArray
from tokenizers import Tokenizer

from longtail.contracts.errors import UserError
from longtail.retrieval.bundle import Bundle, length_bucket
from longtail.retrieval.query import Query
from longtail.retrieval.top import top_items


@dataclass(frozen=True)
class Recommendation:
    item_id: str
    title: str | None
    score: float
    reason: str


class Scorer:
    """Scores queries with a bundle. Safe to share between threads.

    Args:
        bundle: what to score with.
        threads: CPU threads of onnxruntime; 0 takes all cores.
    """

    def __init__(self, bundle: Bundle, threads: int = 0) -> None:
        self.bundle = bundle
        self._options = onnxruntime.SessionOptions()
        self._options.intra_op_num_threads = threads
        self._sequence = self._session("sequence_encoder.onnx")
        self._codes = {item: code for code, item in enumerate(bundle.item_ids)}
        self._attributes = {name: row for row, name in enumerate(bundle.attributes)}
        self._text: onnxruntime.InferenceSession | None = None
        if bundle.has_text_encoder:
            self._text = self._session("text_encoder.onnx")
            self._tokenizer = Tokenizer.from_file(str(bundle.path / "tokenizer.json"))
            self._tokenizer.enable_truncation(bundle.facts["max_tokens"])
            self._tokenizer.enable_padding()

    def _session(self, name: str) -> onnxruntime.InferenceSession:
        return onnxruntime.InferenceSession(
            str(self.bundle.path / name), self._options, providers=["CPUExecutionProvider"]
        )

    def code(self, item_id: str) -> int | None:
        """Code of an item id, None where the catalogue does not hold it."""
        return self._codes.get(item_id)

    def embed_text(self, texts: Sequence[str]) -> NDArray[np.float32]:
        """Unit item vectors of texts: interests, or items that training has not seen. ``[texts, dim]``"""
        if self._text is None:
            raise UserError(f"{self.bundle.path}: holds no text encoder, so it cannot use stated interests")
        encodings = self._tokenizer.encode_batch(list(texts))
        (embedding,) = self._text.run(
            None,
            {
                "input_ids": np.array([encoding.ids for encoding in encodings], dtype=np.int64),
                "attention_mask": np.array([encoding.attention_mask for encoding in encodings], dtype=np.int64),
            },
        )
        vectors = embedding @ self.bundle.tensors.text_projection
        return np.asarray(vectors / np.maximum(np.linalg.norm(vectors, axis=1, keepdims=True), 1e-9), dtype=np.float32)

    def encode(self, queries: Sequence[Query]) -> NDArray[np.float32]:
        """Query vectors. ``[queries, dim]``"""
        tensors = self.bundle.tensors
        stated = [row for row, query in enumerate(queries) if query.interests]
        interests = (
            dict(zip(stated, self.embed_text([queries[row].interests or "" for row in stated]))) if stated else {}
        )
        histories = [self._recent(query.history) for query in queries]
        lengths = np.array(
            [1 + (row in interests) + len(history) for row, history in enumerate(histories)], dtype=np.int64
        )
        inputs = np.zeros((len(queries), lengths.max(initial=1), tensors.start.shape[0]), dtype=np.float32)
        for row, (query, history) in enumerate(zip(queries, histories)):
            known = [self._attributes[name] for name in query.attributes if name in self._attributes]
            inputs[row, 0] = tensors.start + tensors.attribute_matrix[known].sum(axis=0)
            if row in interests:
                inputs[row, 1] = interests[row]  # a stated interest is an item known by its text alone
            inputs[row, lengths[row] - len(history) : lengths[row]] = tensors.item_matrix[history]
        (vectors,) = self._sequence.run(None, {"inputs": inputs, "lengths": lengths})
        return np.asarray(vectors, dtype=np.float32)

    def score(self, queries: Sequence[Query]) -> NDArray[np.float32]:
        """Scores of the whole catalogue; items of the history are not excluded. ``[queries, items]``"""
        tensors = self.bundle.tensors
        scores = self.encode(queries) @ tensors.item_matrix.T
        buckets = length_bucket(np.array([len(query.history) for query in queries]))
        scores += tensors.popularity_weight[buckets, None] * tensors.log_popularity
        for row, query in enumerate(queries):
            if len(query.history):
                columns, contributions = self._neighbour_terms(query.history)
                np.add.at(scores[row], columns, tensors.neighbour_weight[buckets[row]] * contributions)
        return scores

    def _neighbour_terms(self, history: NDArray[np.int32]) -> tuple[NDArray[np.int32], NDArray[np.float32]]:
        """The sparse term's entries: item codes (with repeats) and decayed values."""
        matrix = self.bundle.tensors.neighbours
        recent = self._recent(history)
        rows = [slice(matrix.indptr[item], matrix.indptr[item + 1]) for item in recent]
        decays = self.bundle.tensors.decay ** np.arange(len(recent) - 1, -1, -1)
        columns = np.concatenate([matrix.indices[row] for row in rows])
        values = np.concatenate([matrix.data[row] * decay for row, decay in zip(rows, decays)])
        return columns, values.astype(np.float32)

    def recommend(self, queries: Sequence[Query], k: int) -> list[list[Recommendation]]:
        """The best ``k`` items of each query with a reason each.

        Raises:
            UserError: where ``k`` is not between 1 and the size of the catalogue.
        """
        count = len(self.bundle.item_ids)
        if not 1 <= k <= count:
            raise UserError(f"k is {k}; the catalogue holds {count} items, so k must lie between 1 and {count}")
        scores = self.score(queries)
        answers = []
        for query, row in zip(queries, scores):
            excluded = query.history if self.bundle.facts["exclude_history"] else query.history[:0]
            chosen = top_items(row, k, excluded)
            answers.append(
                [
                    Recommendation(self.bundle.item_ids[item], self.bundle.titles[item], float(row[item]), reason)
                    for item, reason in zip(chosen, self.reasons(query, chosen))
                ]
            )
        return answers

    def reasons(self, query: Query, items: NDArray[np.intp]) -> list[str]:
        """Why each item: "because of" only where the sparse term contributed, else by the nearest of what is known."""
        if len(query.history):
            return self._reasons_by_history(query.history, items)
        if query.interests:
            return [f"matches your interest in {query.interests}"] * len(items)
        if any(name in self._attributes for name in query.attributes):
            return ["chosen by newcomers like you"] * len(items)
        return ["popular with newcomers"] * len(items)

    def _reasons_by_history(self, history: NDArray[np.int32], items: NDArray[np.intp]) -> list[str]:
        tensors = self.bundle.tensors
        weight = tensors.neighbour_weight[length_bucket(np.array([len(history)]))[0]]
        recent = self._recent(history)[::-1]  # latest first, so that among equals the latest is named
        decays = tensors.decay ** np.arange(len(recent))
        contributions = weight * tensors.neighbours[recent][:, items].toarray() * decays[:, None]  # [recent, items]
        similarities = tensors.item_matrix[recent] @ tensors.item_matrix[items].T  # [recent, items]
        return [
            f"because of {self._name(recent[cause])} in your history"
            if largest > 0
            else f"similar to {self._name(recent[near])}"
            for cause, largest, near in zip(
                contributions.argmax(axis=0), contributions.max(axis=0), similarities.argmax(axis=0)
            )
        ]

    def _recent(self, history: NDArray[np.int32]) -> NDArray[np.int32]:
        """The items that scoring reads."""
        return history[-int(self.bundle.facts["max_history"]) :]

    def _name(self, item: int) -> str:
        return self.bundle.titles[item] or self.bundle.item_ids[item]
