"""Scores with a bundle: the one scorer of evaluate, predict and batch scoring."""

from collections.abc import Iterator, Sequence
from functools import cached_property, lru_cache

import numpy as np
import onnxruntime
from numpy.typing import NDArray
from tokenizers import Tokenizer

from longtail.contracts.errors import UserError
from longtail.scoring.bundle import PARTS, Bundle, length_bucket
from longtail.scoring.int8 import Matrix
from longtail.scoring.item_index import INDEX, ItemIndex, linear_query, linear_scores
from longtail.scoring.products import ItemProducts
from longtail.scoring.query import Query
from longtail.scoring.relevance import Answered, Relevance, texts_to_read
from longtail.scoring.rows import standardised, unit_vectors
from longtail.scoring.scores import Scores, distinct
from longtail.scoring.similar import Similarity

REMEMBERED = 1024  # interests whose vectors are kept: 3 MB at 768 numbers, more where they hold several wishes
REMEMBERED_ANSWERS = 16  # interests for which the relevance of the whole catalogue is kept
RELEVANCE_WEIGHT = 2.5  # of what fits the words of an interest, beside standardised scores of what users choose


Codes = NDArray[np.integer]  # of items
Terms = tuple[Codes, NDArray[np.float32]]  # items, with repeats, and what is added to their scores


class Scorer:
    """Scores queries with a bundle. Safe to share between threads.

    Args:
        bundle: what to score with.
        threads: CPU threads of onnxruntime; 0 takes all cores.
        like: a scorer of the same files, whose encoders are used.
    """

    def __init__(self, bundle: Bundle, threads: int = 0, like: "Scorer | None" = None) -> None:
        self.bundle = bundle
        self._options = onnxruntime.SessionOptions()
        self._options.intra_op_num_threads = threads
        self._sequence: onnxruntime.InferenceSession = (
            like._sequence if like else self._session("sequence_encoder.onnx")
        )
        self.attributes = {name: row for row, name in enumerate(bundle.attributes)}
        self._text: onnxruntime.InferenceSession | None = None
        if bundle.has_text_encoder:
            self._text = like._text if like else self._session("text_encoder.onnx")
            self._tokenizer: Tokenizer = (
                like._tokenizer if like else Tokenizer.from_file(str(bundle.path / "tokenizer.json"))
            )
            self._tokenizer.enable_truncation(bundle.facts["max_tokens"])
            self._tokenizer.enable_padding()
            known = bundle.read_of_texts()
            self._likeness, self._frozen, self._item_texts = known.likeness, known.frozen, known.texts
        held = bundle.path / INDEX
        self.item_index = ItemIndex.load(held, bundle.tensors, threads) if held.is_file() else None
        self._row_length = int(np.diff(bundle.tensors.neighbours.indptr).max(initial=0))
        self._corrected = lru_cache(REMEMBERED)(lambda interest: self.index.corrected(interest))
        self._read = lru_cache(REMEMBERED)(lambda texts: self.text_vectors(texts))
        self.relevance = lru_cache(REMEMBERED_ANSWERS)(self._relevance_to)  # scores and reasons ask alike

    def _session(self, name: str) -> onnxruntime.InferenceSession:
        return onnxruntime.InferenceSession(
            str(self.bundle.path / name), self._options, providers=["CPUExecutionProvider"]
        )

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
        histories = [self.recent(query.history) for query in queries]
        lengths = np.array(
            [1 + (row in interests) + len(history) for row, history in enumerate(histories)], dtype=np.int64
        )
        of_users = len(tensors.attribute_matrix)  # attributes, in front of context
        inputs = np.zeros((len(queries), lengths.max(initial=1), tensors.start.shape[0]), dtype=np.float32)
        for row, (query, history) in enumerate(zip(queries, histories)):
            known = self.traits_of(query)
            inputs[row, 0] = tensors.start + tensors.attribute_matrix[known[known < of_users]].sum(axis=0)
            if row in interests:
                inputs[row, 1] = interests[row]  # a stated interest is an item known by its text alone
            inputs[row, lengths[row] - len(history) : lengths[row]] = tensors.item_matrix[history]
        (vectors,) = self._sequence.run(None, {"inputs": inputs, "lengths": lengths})
        return np.asarray(vectors, dtype=np.float32)

    def score(self, queries: Sequence[Query]) -> NDArray[np.float32]:
        """Scores of the whole catalogue; items of the history are not excluded. ``[queries, items]``

        What fits a stated interest comes first; what users choose orders what fits, and fills up.
        """
        scores = self.behaviour(queries)
        for row, query in enumerate(queries):
            if query.interests:
                relevance = self.relevance(query.interests).ranking
                scores[row] = standardised(scores[row : row + 1])[0] + RELEVANCE_WEIGHT * relevance
        return scores

    def behaviour(self, queries: Sequence[Query]) -> NDArray[np.float32]:
        """What users choose; a stated interest counts as an item known by its text alone. ``[queries, items]``"""
        tensors, buckets = self.bundle.tensors, buckets_of(queries)
        if tensors.dense_weight[buckets].any():
            scores = self._products(self.encode(queries))
            scores *= tensors.dense_weight[buckets, None]
        else:
            scores = np.zeros((len(queries), len(self.bundle.item_ids)), dtype=np.float32)
        scores += tensors.popularity_weight[buckets, None] * tensors.log_popularity
        for row, query in enumerate(queries):
            known = self.traits_of(query)
            if len(known) and (weight := tensors.trait_weight[buckets[row]]):
                scores[row] -= weight * tensors.trait_scale[known].sum() * tensors.trait_base
            for columns, values in self._sparse_terms(query):
                np.add.at(scores[row], columns, values)
        return scores

    def parts(self, query: Query) -> NDArray[np.float32]:
        """What the bundle's weights weigh, in the order of ``bundle.PARTS``; no words are read. ``[items, PARTS]``"""
        tensors, known = self.bundle.tensors, self.traits_of(query)
        found = np.zeros((len(PARTS), len(self.bundle.item_ids)), dtype=np.float32)
        if self.has_dense_part:
            found[0] = self._products(self.encode([query]))[0]
        if len(query.history):
            _, columns, contributions = self._neighbour_terms(query.history)
            np.add.at(found[1], columns, contributions)
        found[2] = tensors.log_popularity
        if len(known):
            found[3] = tensors.traits[known].sum(axis=0) - tensors.trait_scale[known].sum() * tensors.trait_base
        return found.T

    def found(self, queries: Sequence[Query], among: Sequence[Codes | None]) -> Iterator[Scores]:
        """Scores of items that are worth a look, by the index; of all of ``among``, ascending, where a query has them. No query has interests."""
        assert self.item_index is not None
        tensors, buckets = self.bundle.tensors, buckets_of(queries)
        scales = [tensors.trait_scale[self.traits_of(query)].sum() for query in queries]
        linear = linear_query(tensors, self.encode(queries), buckets, np.array(scales, dtype=np.float32))
        searched = [row for row, codes in enumerate(among) if codes is None]
        found = dict(zip(searched, self.item_index.find(linear[searched]))) if searched else {}
        for row, (query, codes) in enumerate(zip(queries, among)):
            sparse = list(self._sparse_terms(query))
            if codes is None:
                codes = distinct([found[row], self.item_index.always, *(columns for columns, _ in sparse)])
            yield Scores(self._scores_of(linear[row], sparse, codes), codes, row not in found)

    def _scores_of(self, linear: NDArray[np.float32], sparse: Sequence[Terms], codes: Codes) -> NDArray[np.float32]:
        """codes: ascending, each once. ``[codes]``"""
        scores = linear_scores(self.bundle.tensors, codes, linear)
        for columns, values in sparse:
            places = np.minimum(np.searchsorted(codes, columns), max(len(codes) - 1, 0))
            asked = codes[places] == columns if len(codes) else np.zeros(len(columns), dtype=bool)
            np.add.at(scores, places[asked], values[asked])
        return scores

    def _sparse_terms(self, query: Query) -> Iterator[Terms]:
        """Codes of items, with repeats, and what is added to their scores."""
        tensors, bucket = self.bundle.tensors, buckets_of([query])[0]
        if tensors.item_offset is not None:
            lifted_items = np.flatnonzero(tensors.item_offset)
            yield lifted_items, tensors.item_offset[lifted_items]
        known = self.traits_of(query)
        if len(known) and (weight := tensors.trait_weight[bucket]):
            lifted = tensors.traits[known]
            yield lifted.indices, weight * lifted.data
        if len(query.history):
            _, columns, contributions = self._neighbour_terms(query.history)
            yield columns, tensors.neighbour_weight[bucket] * contributions
        if query.interests:
            alike, values = self._neighbours_of_text(query.interests)
            decay = tensors.decay ** len(self.recent(query.history))
            yield alike, np.float32(tensors.neighbour_weight[bucket] * decay) * values

    def always_score(self, items: Codes) -> None:
        """From now on give the scores of these items, too, whatever an index finds."""
        if self.item_index is not None:
            self.item_index.always = np.union1d(self.item_index.always, items)

    @property
    def has_dense_part(self) -> bool:
        """Whether something was learnt of the item vectors."""
        return bool(self.bundle.tensors.dense_weight.any())

    @cached_property
    def _products(self) -> ItemProducts:
        return ItemProducts(self.bundle.tensors.item_matrix, self._options)

    @cached_property
    def similarity(self) -> Similarity | None:
        """Made when the first item is looked at. None where nothing is known of the items but how often they are chosen."""
        kinds: list[Matrix] = [self.bundle.tensors.item_matrix] if self.has_dense_part else []
        kinds += [self._frozen] if self._text is not None else []
        return Similarity(kinds) if kinds else None

    @cached_property
    def index(self) -> Relevance:
        """Made when the first interest is read: a second for 10,000 items."""
        if self._text is None:
            raise UserError(f"{self.bundle.path}: holds no text encoder, so it cannot use stated interests")
        return Relevance(self._frozen, self._item_texts, self._read, self.is_word)

    def _interest(self, interest: str) -> NDArray[np.float32]:
        """``[1, text_dim]``"""
        return self._read(texts_to_read(self._corrected(interest)))[:1]

    def _relevance_to(self, interest: str) -> Answered:
        return self.index.of(self._corrected(interest))

    def is_word(self, word: str) -> bool:
        """Whether it is one token, so that the language model has met it often."""
        tokens = self._tokenizer.encode(word, add_special_tokens=False).tokens
        return len(tokens) == 1 and tokens[0].lstrip("Ġ▁").lower() == word

    def _neighbours_of_text(self, interest: str) -> tuple[NDArray[np.intp], NDArray[np.float32]]:
        """The row that the sparse matrix would hold for a stated interest, with the share of words given to its vector."""
        asked = self._interest(interest)
        columns, values = self._likeness.nearest(self._likeness.adapted(asked)[0], self._row_length)
        return columns, self._likeness.shares.sum() * values / max(float(np.linalg.norm(values)), 1e-9)

    def given_by(self, history: NDArray[np.int32], items: NDArray[np.intp]) -> NDArray[np.float32]:
        """What each item that is read of a history, oldest first, gives to ``items``, one at least, by the sparse term. ``[recent, items]``"""
        rows, columns, values = self._neighbour_terms(history)
        order = np.argsort(items)
        found = order[np.minimum(np.searchsorted(items, columns, sorter=order), len(items) - 1)]
        asked = items[found] == columns
        given = np.zeros((len(self.recent(history)), len(items)), dtype=np.float32)
        given[rows[asked], found[asked]] = values[asked]
        return given

    def _neighbour_terms(
        self, history: NDArray[np.int32]
    ) -> tuple[NDArray[np.intp], NDArray[np.int32], NDArray[np.float32]]:
        """The sparse term's entries: places in the recent history, item codes (with repeats) and decayed values."""
        matrix, recent = self.bundle.tensors.neighbours, self.recent(history)
        begins = matrix.indptr[recent]
        lengths = matrix.indptr[recent + 1] - begins
        rows = np.repeat(np.arange(len(recent)), lengths)
        entries = np.arange(len(rows)) + (begins - np.cumsum(lengths) + lengths)[rows]
        decays = self.bundle.tensors.decay ** np.arange(len(recent) - 1, -1, -1)
        return rows, matrix.indices[entries], (matrix.data[entries] * decays[rows]).astype(np.float32)

    def traits_of(self, query: Query) -> NDArray[np.int64]:
        """Codes of the attributes and the context that the bundle knows, each once."""
        known = {self.attributes[name] for name in (*query.attributes, *query.context) if name in self.attributes}
        return np.array(sorted(known), dtype=np.int64)

    def recent(self, history: NDArray[np.int32]) -> NDArray[np.int32]:
        """The items of a history that scoring reads, the latest ones."""
        return history[-int(self.bundle.facts["max_history"]) :]


def buckets_of(queries: Sequence[Query]) -> NDArray[np.intp]:
    """Which weights serve each query: a stated interest counts as one more item, the oldest. ``[queries]``"""
    return length_bucket(np.array([len(query.history) + bool(query.interests) for query in queries]))
