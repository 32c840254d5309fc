"""Scores and explains with a bundle: the one scorer of evaluate, predict and batch scoring."""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache

import numpy as np
import onnxruntime
from numpy.typing import NDArray
from tokenizers import Tokenizer

from longtail.contracts.errors import UserError
from longtail.scoring.bundle import LIKENESS, Bundle, length_bucket
from longtail.scoring.int8 import products
from longtail.scoring.likeness import Likeness
from longtail.scoring.query import Query
from longtail.scoring.rows import unit_vectors
from longtail.scoring.top import top_items

NEAR = 0.95  # "similar" and "matches" are said of what is nearer than this share of the catalogue
SAMPLE = 512  # items whose cosines with each other show how near items of this catalogue are
REMEMBERED = 1024  # interests whose vectors are kept: 1 MB


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
            self._likeness = Likeness.load(bundle.path / LIKENESS)
        self._row_length = int(np.diff(bundle.tensors.neighbours.indptr).max(initial=0))
        self._interest = lru_cache(REMEMBERED)(lambda text: self.text_vectors([text]))  # scores and reasons ask alike
        self._alike = lru_cache(REMEMBERED)(self._neighbours_of_text)
        self._similar = _usual_cosine(bundle, NEAR)

    def _session(self, name: str) -> onnxruntime.InferenceSession:
        return onnxruntime.InferenceSession(
            str(self.bundle.path / name), self._options, providers=["CPUExecutionProvider"]
        )

    def code(self, item_id: str) -> int | None:
        """Code of an item id, None where the catalogue does not hold it."""
        return self._codes.get(item_id)

    def text_vectors(self, texts: Sequence[str]) -> NDArray[np.float32]:
        """What the text encoder makes of texts. ``[texts, text_dim]``"""
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
        return np.asarray(embedding, dtype=np.float32)

    def project(self, text_vectors: NDArray[np.float32]) -> NDArray[np.float32]:
        """Unit item vectors of texts that training has not seen, from their text vectors. ``[texts, dim]``"""
        return unit_vectors(text_vectors @ self.bundle.tensors.text_projection)

    def encode(self, queries: Sequence[Query]) -> NDArray[np.float32]:
        """Query vectors. ``[queries, dim]``"""
        tensors = self.bundle.tensors
        interests = {
            row: self.project(self._interest(query.interests))[0]
            for row, query in enumerate(queries)
            if query.interests
        }
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
        scores = products(self.encode(queries), tensors.item_matrix)
        buckets = _buckets(queries)
        scores += tensors.popularity_weight[buckets, None] * tensors.log_popularity
        for row, query in enumerate(queries):
            if len(query.history):
                columns, contributions = self._neighbour_terms(query.history)
                np.add.at(scores[row], columns, tensors.neighbour_weight[buckets[row]] * contributions)
            if query.interests:
                alike, values = self._alike(query.interests)
                decay = tensors.decay ** len(self._recent(query.history))
                scores[row, alike] += tensors.neighbour_weight[buckets[row]] * decay * values
        return scores

    def _neighbours_of_text(self, interest: str) -> tuple[NDArray[np.intp], NDArray[np.float32]]:
        """The row that the sparse matrix would hold for a stated interest, with the share of words given to its vector."""
        alike = self._likeness.to_items(self._likeness.adapted(self._interest(interest)))[0]
        columns = np.argsort(-alike, kind="stable")[: self._row_length]
        values = alike[columns]
        return columns, self._likeness.shares.sum() * values / max(float(np.linalg.norm(values)), 1e-9)

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
        """Why each item: the item of the history whose neighbour it is, else what known thing it is near, else who buys it.

        "matches" and "similar" are said only of items that are nearer to the interest than ``NEAR`` of the catalogue, or
        to the item of the history than ``NEAR`` of all pairs of items are to each other.
        """
        causes = self._causes(query, items) if len(query.history) else [None] * len(items)
        matching = self._matching(query.interests, items) if query.interests else np.zeros(len(items), bool)
        similar = self._nearest(query.history, items) if len(query.history) else [None] * len(items)
        if len(query.history):
            otherwise = "fits your history as a whole"
        elif any(name in self._attributes for name in query.attributes):
            otherwise = "chosen by newcomers like you"
        else:
            otherwise = "popular with newcomers"
        return [
            f"because of {self._name(cause)} in your history"
            if cause is not None
            else f"matches your interest in {query.interests}"
            if matches
            else f"similar to {self._name(near)}"
            if near is not None
            else otherwise
            for cause, matches, near in zip(causes, matching, similar)
        ]

    def _causes(self, query: Query, items: NDArray[np.intp]) -> list[int | None]:
        """The item of the history from which the sparse term gives each item most; among equals the latest."""
        tensors = self.bundle.tensors
        weight = tensors.neighbour_weight[_buckets([query])[0]]
        recent = self._recent(query.history)[::-1]
        decays = tensors.decay ** np.arange(len(recent))
        contributions = weight * tensors.neighbours[recent][:, items].toarray() * decays[:, None]  # [recent, items]
        best, largest = contributions.argmax(axis=0), contributions.max(axis=0)
        return [int(recent[place]) if value > 0 else None for place, value in zip(best, largest)]

    def _nearest(self, history: NDArray[np.int32], items: NDArray[np.intp]) -> list[int | None]:
        """The item of the history that is most like each item, where they are alike; among equals the latest."""
        matrix = self.bundle.tensors.item_matrix
        recent = self._recent(history)[::-1]
        similarities = matrix[recent] @ matrix[items].T  # [recent, items]
        best, largest = similarities.argmax(axis=0), similarities.max(axis=0)
        return [int(recent[place]) if value > self._similar else None for place, value in zip(best, largest)]

    def _matching(self, interest: str, items: NDArray[np.intp]) -> NDArray[np.bool_]:
        """Which items have texts nearer to a stated interest than ``NEAR`` of the catalogue. ``[items]``"""
        nearest, values = self._alike(interest)
        count = max(round((1 - NEAR) * len(self.bundle.item_ids)), 1)
        return np.isin(items, nearest[:count][values[:count] > 0])

    def _recent(self, history: NDArray[np.int32]) -> NDArray[np.int32]:
        """The items that scoring reads."""
        return history[-int(self.bundle.facts["max_history"]) :]

    def _name(self, item: int) -> str:
        return self.bundle.titles[item] or self.bundle.item_ids[item]


def _buckets(queries: Sequence[Query]) -> NDArray[np.intp]:
    """Which weights serve each query: a stated interest counts as one more item, the oldest. ``[queries]``"""
    return length_bucket(np.array([len(query.history) + bool(query.interests) for query in queries]))


def _usual_cosine(bundle: Bundle, share: float) -> float:
    """The cosine above which the pair is nearer than ``share`` of the pairs of a sample of items; 0 at least."""
    count = len(bundle.item_ids)
    if count < 2:
        return 0.0
    rows = np.sort(np.random.default_rng(0).choice(count, min(SAMPLE, count), replace=False))
    vectors = bundle.tensors.item_matrix[rows]
    pairs = (vectors @ vectors.T)[np.triu_indices(len(rows), k=1)]
    return max(float(np.quantile(pairs, share)), 0.0)
