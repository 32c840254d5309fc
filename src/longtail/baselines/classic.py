"""The classic systems that a learned one has to beat. Who has no history gets zeros from all but popularity and naive Bayes."""

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray
from scipy import linalg, sparse

from longtail.contracts.prepared import PreparedDataset
from longtail.neighbours.counting import cosine_cooccurrence, following_counts
from longtail.neighbours.recency import choose_half_life, recent_counts
from longtail.neighbours.tfidf import tfidf_vectors
from longtail.neighbours.traits import TraitTerm, vocabulary
from longtail.neighbours.validation_cases import ValidationCases
from longtail.scoring.query import Query, System
from longtail.scoring.rows import history_matrix, unit_rows

RECENCY = 0.7  # weight of a history's item for each step back
EASE_MOST_ITEMS = 5_000  # it inverts a dense matrix of all items, some times to choose its L2: a minute at this size
MIXTURES = {"cf_tfidf": ("item_cf", "tfidf"), "cf_tfidf_text": ("item_cf", "tfidf", "frozen_text")}


class Popularity:
    """Every item's number of training events, or what is left of them by recency."""

    def __init__(self, counts: NDArray[np.integer] | NDArray[np.floating]) -> None:
        self._counts = counts.astype(np.float32)

    def score(self, queries: Sequence[Query]) -> NDArray[np.float32]:
        return np.tile(self._counts, (len(queries), 1))


class NaiveBayes:
    """Popularity times how much likelier an item is chosen with each of a user's attributes, and in the context."""

    def __init__(self, counts: NDArray[np.floating], term: TraitTerm) -> None:
        self._log_counts = np.log(counts + 1e-3 * max(float(counts.mean()), 1e-9)).astype(np.float32)
        self._term, self._codes = term, {name: code for code, name in enumerate(term.names)}

    def score(self, queries: Sequence[Query]) -> NDArray[np.float32]:
        known = [(*query.attributes, *query.context) for query in queries]
        codes = [
            np.array([self._codes[name] for name in names if name in self._codes], dtype=np.int64) for names in known
        ]
        scores: NDArray[np.float32] = self._log_counts + self._term.scores(codes)
        return scores


class ItemSimilarity:
    """Recency-weighted sum over the history of a sparse item-to-item similarity [items, items]."""

    def __init__(self, similarity: sparse.csr_array) -> None:
        self._similarity = similarity

    def score(self, queries: Sequence[Query]) -> NDArray[np.float32]:
        return _dense(recency_matrix(queries, self._similarity.shape[0]) @ self._similarity)


class Ease:
    """Sum over the items of the history of dense item-to-item weights [items, items]; order does not count."""

    def __init__(self, weights: NDArray[np.float32]) -> None:
        self._weights = weights

    def score(self, queries: Sequence[Query]) -> NDArray[np.float32]:
        histories = [np.unique(query.history) for query in queries]
        return np.asarray(history_matrix(histories, len(self._weights), 1.0) @ self._weights, dtype=np.float32)


class SparseProfile:
    """Dot product of items with the recency-weighted sum of the history's sparse rows [items, terms]."""

    def __init__(self, vectors: sparse.csr_array) -> None:
        self._vectors, self._transposed = vectors, sparse.csr_array(vectors.T)

    def score(self, queries: Sequence[Query]) -> NDArray[np.float32]:
        return _dense(recency_matrix(queries, self._vectors.shape[0]) @ self._vectors @ self._transposed)


class DenseProfile:
    """Dot product of items with the recency-weighted sum of the history's dense rows [items, dim]."""

    def __init__(self, vectors: NDArray[np.float32]) -> None:
        self._vectors = vectors

    def score(self, queries: Sequence[Query]) -> NDArray[np.float32]:
        history = recency_matrix(queries, len(self._vectors))
        if history.nnz == 0:
            return np.zeros((len(queries), len(self._vectors)), dtype=np.float32)
        return np.asarray((history @ self._vectors) @ self._vectors.T, dtype=np.float32)


def ease(sequences: Sequence[NDArray[np.int32]], n_items: int, l2: float) -> Ease:
    """The linear autoencoder with a zero diagonal (Steck 2019, "Embarrassingly Shallow Autoencoders", equation 8).

    sequences: item codes of each user's training events. Meant for at most ``EASE_MOST_ITEMS`` items.
    """
    incidence = history_matrix([np.unique(sequence) for sequence in sequences], n_items, 1.0)
    gram = (incidence.T @ incidence).toarray().astype(np.float64)
    np.fill_diagonal(gram, gram.diagonal() + l2)
    inverse = linalg.inv(gram, overwrite_a=True)
    inverse /= -inverse.diagonal()  # column j by -P[j, j]
    np.fill_diagonal(inverse, 0.0)
    return Ease(inverse.astype(np.float32))


def baselines(prepared: PreparedDataset, text_vectors: NDArray[np.float32]) -> dict[str, System]:
    """The systems that MIXTURES combine, and those for users without a history. text_vectors [items, dim]: of the unadapted language model."""
    n_items = len(prepared.item_ids)
    # an item is as similar to itself here as it is in the text systems, or MIXTURES would compare unlike deviations
    sequences = prepared.train_sequences()
    cosine = cosine_cooccurrence(sequences, n_items) + sparse.eye_array(n_items, dtype=np.float32)
    half_life = choose_half_life(prepared, ValidationCases.of(prepared))
    recent = recent_counts(prepared, half_life)
    by_clock = {"recent_popularity": Popularity(recent)} if half_life is not None else {}
    names = vocabulary(prepared)
    by_traits = {"naive_bayes": NaiveBayes(recent, TraitTerm.counted(prepared, names))} if names else {}
    return {
        "popularity": Popularity(prepared.train_counts),
        **by_clock,
        **by_traits,
        "item_cf": ItemSimilarity(sparse.csr_array(cosine)),
        "next_item": ItemSimilarity(unit_rows(following_counts(sequences, n_items))),
        "tfidf": SparseProfile(tfidf_vectors(prepared.item_texts)),
        "frozen_text": DenseProfile(text_vectors),
    }


def recency_matrix(queries: Sequence[Query], n_items: int) -> sparse.csr_array:
    """RECENCY ** steps back of every item of the histories; repeated items add up. ``[queries, items]``"""
    return history_matrix([query.history for query in queries], n_items, RECENCY)


def _dense(matrix: sparse.csr_array) -> NDArray[np.float32]:
    return np.asarray(matrix.toarray(), dtype=np.float32)
