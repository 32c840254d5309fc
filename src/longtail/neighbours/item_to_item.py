"""The sparse term of the scores: items that are chosen together or after each other, items that read or mean alike."""

import logging
from collections.abc import Sequence
from dataclasses import dataclass, fields
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from safetensors.numpy import load_file, save_file
from scipy import sparse

from longtail.metrics.ranking import ndcg, rank_targets
from longtail.neighbours.counting import (
    FOLLOWING_DECAY,
    FOLLOWING_STEPS,
    cosine_cooccurrence,
    follower_scale,
    following_counts,
    vector_similarity,
)
from longtail.neighbours.term_settings import TermSettings
from longtail.neighbours.usual import FEWEST, USUAL, Usual
from longtail.neighbours.validation_cases import ValidationCases
from longtail.neighbours.words import tfidf_similarity
from longtail.scoring.bundle import sparse_arrays, sparse_matrix
from longtail.scoring.likeness import Likeness, stored
from longtail.scoring.rows import SparseRows, history_matrix, inverse_norms, keep_top, unit_rows

log = logging.getLogger(__name__)
DECAYS = (0.5, 0.7, 0.85, 0.95)
ALIKE_SHARES = (0.2, 0.4, 0.5, 0.6, 0.7, 0.8)
TEXT_SHARES = (0.0, 0.3, 0.5)
FOLLOWING_SHARES = (0.0, 1.0)  # what comes after, or what comes beside in any order
SAMPLE = 3000  # validation users at most
CHUNK = 500


@dataclass(frozen=True)
class Mixture:
    """What validation chose for the sparse term, shares of its parts and decay, and how many entries a row keeps.

    With it the term can be counted again from other events (``neighbours.recounting``).
    """

    shares: tuple[float, ...]  # of what is chosen together, what comes after, words, texts
    decay: float
    neighbours: int


@dataclass(frozen=True)
class OwnPairs:
    """What a single training history adds to the matrix.

    Items i and j in it, in any order, add ``together_row[i] * together_column[j]`` to entry (i, j). Where j comes 1 to
    ``FOLLOWING_STEPS`` steps after i, they also add ``FOLLOWING_DECAY ** (steps - 1) * following_row[i] * following_column[j]``.
    All [items].
    """

    together_row: NDArray[np.float32]
    together_column: NDArray[np.float32]
    following_row: NDArray[np.float32]
    following_column: NDArray[np.float32]

    def of(self, codes: NDArray[np.int64]) -> NDArray[np.float32]:
        """What histories add, from each place to each other one. codes [batch, length] -> ``[batch, length, length]``"""
        own = self.together_row[codes][:, :, None] * self.together_column[codes][:, None, :]
        places = np.arange(codes.shape[1])
        steps = places[None, :] - places[:, None]
        near = np.where((steps >= 1) & (steps <= FOLLOWING_STEPS), FOLLOWING_DECAY ** (steps - 1.0), 0.0)
        own += (
            near.astype(np.float32) * self.following_row[codes][:, :, None] * self.following_column[codes][:, None, :]
        )
        own *= codes[:, :, None] != codes[:, None, :]
        return np.asarray(own, dtype=np.float32)


@dataclass(frozen=True)
class ItemToItem:
    """``sum over the history of decay ** age * neighbours[item, :]``. neighbours [items, items]"""

    neighbours: SparseRows
    mixture: Mixture
    own: OwnPairs
    likeness: Likeness

    @property
    def decay(self) -> float:
        return self.mixture.decay

    def scores(self, histories: Sequence[NDArray[np.int32]]) -> NDArray[np.float32]:
        """The term of each history. ``[histories, items]``"""
        matrix = history_matrix(histories, self.neighbours.shape[0], self.decay) @ self.neighbours
        return np.asarray(matrix.toarray(), dtype=np.float32)

    def save(self, path: Path) -> None:
        mixture = np.array([*self.mixture.shares, self.decay, self.mixture.neighbours], dtype=np.float64)
        save_file(sparse_arrays(self.neighbours) | vars(self.own) | self.likeness.arrays() | {"mixture": mixture}, path)

    @classmethod
    def load(cls, path: Path) -> "ItemToItem":
        arrays = load_file(path)
        own = OwnPairs(**{field.name: arrays[field.name] for field in fields(OwnPairs)})
        *shares, decay, neighbours = arrays["mixture"].tolist()
        mixture = Mixture(tuple(shares), decay, int(neighbours))
        return cls(sparse_matrix(arrays), mixture, own, Likeness.from_arrays(arrays))


@dataclass(frozen=True)
class _Parts:
    """What the sparse term is mixed of, before their rows have length 1. All [items, items]; empty where left out."""

    together: SparseRows
    following: SparseRows
    words: SparseRows
    alike: SparseRows

    @classmethod
    def of(
        cls,
        sequences: Sequence[NDArray[np.int32]],
        texts: Sequence[str],
        vectors: NDArray[np.float32],
        used: Sequence[bool],
        count: int,
    ) -> "_Parts":
        """Those that are used. count: entries that a row of words and of texts keeps."""
        n_items = len(texts)
        empty = sparse.csr_array((n_items, n_items), dtype=np.float32)
        return cls(
            together=cosine_cooccurrence(sequences, n_items) if used[0] else empty,
            following=following_counts(sequences, n_items) if used[1] else empty,
            words=tfidf_similarity(texts, count) if used[2] else empty,
            alike=vector_similarity(vectors, count) if used[3] else empty,
        )

    def unit(self) -> tuple[SparseRows, ...]:
        """The four with rows of length 1, in the order of a mixture's shares."""
        return tuple(unit_rows(part) for part in (self.together, self.following, self.words, self.alike))


def item_to_item(
    sequences: Sequence[NDArray[np.int32]],
    texts: Sequence[str],
    vectors: NDArray[np.float32],
    settings: TermSettings,
    cases: ValidationCases,
    seed: int,
    usual: Usual = USUAL,
) -> ItemToItem:
    """Items chosen together, items chosen afterwards, likeness of words and of text vectors, rows of length 1 each, mixed.

    Validation chooses shares and decay, for the term alone; fewer than ``FEWEST`` users with a history leave it at what is usual.

    Args:
        sequences: training items of each user.
        vectors: of the items' texts [items, dim]; no columns where there is no language model.
    """
    has_text, rounded = vectors.shape[1] > 0, stored(vectors)
    used = (settings.cooccurrence, settings.cooccurrence, settings.lexical, has_text)
    parts = _Parts.of(sequences, texts, rounded, used, settings.neighbours)
    mixtures = _mixtures(settings, has_text)
    chosen, decay = _usual_mixture(mixtures, usual)
    if _count_known(cases) >= FEWEST:
        chosen, decay = _best_mixture(parts.unit(), mixtures, settings.neighbours, cases, seed)
    shares = tuple(share if wanted else 0.0 for share, wanted in zip(chosen, used))
    return _mixed(parts, sequences, rounded, Mixture(shares, decay, settings.neighbours))


def counted(
    sequences: Sequence[NDArray[np.int32]], texts: Sequence[str], vectors: NDArray[np.float32], mixture: Mixture
) -> ItemToItem:
    """The term that ``item_to_item`` makes of these events, to the last bit, where validation has chosen its mixture before.

    vectors: those of the ``Likeness`` of a term.
    """
    used = [share > 0 for share in mixture.shares]
    return _mixed(_Parts.of(sequences, texts, vectors, used, mixture.neighbours), sequences, vectors, mixture)


def _mixed(
    parts: _Parts, sequences: Sequence[NDArray[np.int32]], vectors: NDArray[np.float32], mixture: Mixture
) -> ItemToItem:
    """vectors: ``stored``."""
    items = np.concatenate([*sequences, np.zeros(0, np.int32)])
    return ItemToItem(
        _kept(parts.unit(), mixture.shares, mixture.neighbours),
        mixture,
        _own_pairs(items, parts, mixture.shares),
        Likeness.of(vectors, parts.words, parts.alike, mixture.shares[2:]),
    )


def _kept(parts: Sequence[SparseRows], shares: Sequence[float], count: int) -> SparseRows:
    """The parts by their shares, the ``count`` greatest entries of each row. ``[items, items]``"""
    nothing = sparse.csr_array(parts[0].shape, dtype=np.float32)
    return keep_top(sum((share * part for share, part in zip(shares, parts) if share), nothing), count)


def _mixtures(settings: TermSettings, has_text: bool) -> list[tuple[float, ...]]:
    """Shares of together, following, words and texts that are tried; those of what is left out are 0."""
    likeness = settings.lexical or has_text
    alike_shares = ALIKE_SHARES if settings.cooccurrence and likeness else (float(not settings.cooccurrence),)
    text_shares = TEXT_SHARES if settings.lexical and has_text else (float(has_text),)
    return [
        ((1 - share) * (1 - after), (1 - share) * after, share * (1 - text), share * text)
        for share in alike_shares
        for after in (FOLLOWING_SHARES if settings.cooccurrence else (0.0,))
        for text in text_shares
    ]


def _own_pairs(items: NDArray[np.int32], parts: _Parts, shares: Sequence[float]) -> OwnPairs:
    """What one history adds to the mixture. items: codes of all training events."""
    n_items = parts.together.shape[0]
    column = 1 / np.sqrt(np.maximum(np.bincount(items, minlength=n_items), 1))
    return OwnPairs(
        together_row=(shares[0] * column * inverse_norms(parts.together)).astype(np.float32),
        together_column=column.astype(np.float32),
        following_row=(shares[1] * inverse_norms(parts.following)).astype(np.float32),
        following_column=follower_scale(items, n_items).astype(np.float32),
    )


def _count_known(cases: ValidationCases) -> int:
    """Validation users with a history."""
    return sum(len(history) > 0 for history in cases.histories)


def _usual_mixture(mixtures: Sequence[tuple[float, ...]], usual: Usual) -> tuple[tuple[float, ...], float]:
    """The mixture that is nearest to the usual shares."""
    return min(mixtures, key=lambda shares: float(np.abs(np.subtract(shares, usual.shares)).sum())), usual.decay


def _best_mixture(
    parts: Sequence[SparseRows],
    mixtures: Sequence[tuple[float, ...]],
    count: int,
    cases: ValidationCases,
    seed: int,
) -> tuple[tuple[float, ...], float]:
    """The mixture of the parts and the decay with the greatest validation NDCG@10, of the term as it is kept.

    What is cut off matters: whole rows tie where rows of ``count`` entries differ clearly (docs/quality-appendix.md).
    """
    known = np.array([row for row, history in enumerate(cases.histories) if len(history)], dtype=np.int64)
    known = np.sort(np.random.default_rng(seed).permutation(known)[:SAMPLE])
    asked, wanted = [cases.histories[row] for row in known], [cases.targets[row][:1] for row in known]
    excluded = asked if cases.exclude_history else []
    weights = {decay: history_matrix(asked, parts[0].shape[0], decay) for decay in DECAYS}
    chunks = [slice(begin, begin + CHUNK) for begin in range(0, len(known), CHUNK)]
    best, chosen = -1.0, (mixtures[0], DECAYS[0])
    for mixture in mixtures:
        matrix = _kept(parts, mixture, count)
        for decay, histories in weights.items():
            gain = sum(
                ndcg(rank_targets((histories[rows] @ matrix).toarray(), wanted[rows], excluded[rows])).sum()
                for rows in chunks
            )
            if gain > best:
                best, chosen = gain, (mixture, decay)
    shares, decay = chosen
    if len(known):
        log.info(
            "sparse term: together %.2f, following %.2f, words %.2f, texts %.2f, decay %.2f: NDCG@10 %.4f",
            *shares,
            decay,
            best / len(known),
        )
    return shares, decay
