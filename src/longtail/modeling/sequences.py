"""Training and scoring batches of the sequence model."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from longtail.modeling.sequence_model import SequenceModel


@dataclass(frozen=True)
class Batch:
    """Sequences of similar length.

    histories [batch, length] item codes; valid [batch, length]; attribute codes are flat; hidden [batch, length]: items
    that the encoder reads as zero; weights [batch]: what a position of each sequence counts.
    """

    histories: Tensor
    valid: Tensor
    attributes: Tensor
    offsets: Tensor
    hidden: Tensor | None = None
    weights: Tensor | None = None


class Sequences:
    """Histories with their users' attributes.

    Args:
        histories: item codes of each user, oldest first.
        attributes: attribute codes of each user.
        max_history: latest items that are read.
        hidden: items of each history that the encoder reads as zero.
    """

    def __init__(
        self,
        histories: Sequence[NDArray[np.int32]],
        attributes: Sequence[NDArray[np.int64]],
        max_history: int,
        hidden: Sequence[NDArray[np.bool_]] | None = None,
    ) -> None:
        self.whole = list(histories)
        self.histories = [history[-max_history:] for history in histories]
        self.attributes = list(attributes)
        self.max_history = max_history
        self.hidden = [row[-max_history:] for row in hidden] if hidden is not None else None
        self.lengths = np.array([len(history) for history in self.histories], dtype=np.int64)

    def __len__(self) -> int:
        return len(self.histories)

    def weights(self, power: float) -> NDArray[np.float32] | None:
        """length ** -power of each sequence, scaled to mean 1 over all positions; None where all are alike. ``[n]``"""
        if power == 0:
            return None
        weights = np.maximum(self.lengths, 1).astype(np.float64) ** -power
        return np.asarray(weights * self.lengths.sum() / max((weights * self.lengths).sum(), 1e-12), dtype=np.float32)

    def batch(
        self,
        rows: NDArray[np.integer],
        hide_attributes: NDArray[np.bool_] | None = None,
        weights: NDArray[np.float32] | None = None,
    ) -> Batch:
        """The given rows, padded at the end to the longest of them. weights: of all sequences."""
        lengths = self.lengths[rows]
        width = int(lengths.max(initial=0))
        histories = np.zeros((len(rows), width), dtype=np.int64)
        valid = np.arange(width)[None, :] < lengths[:, None]
        histories[valid] = np.concatenate([self.histories[row] for row in rows]) if width else 0
        known = [self.attributes[row] for row in rows]
        if hide_attributes is not None:
            known = [codes[:0] if hide else codes for codes, hide in zip(known, hide_attributes)]
        offsets = np.concatenate([[0], np.cumsum([len(codes) for codes in known])[:-1]]).astype(np.int64)
        flat = np.concatenate(known).astype(np.int64) if known else np.zeros(0, np.int64)
        hidden = None
        if self.hidden is not None:
            hidden = np.zeros_like(valid)
            hidden[valid] = np.concatenate([self.hidden[row] for row in rows]) if width else False
        return Batch(
            torch.from_numpy(histories),
            torch.from_numpy(valid),
            torch.from_numpy(flat),
            torch.from_numpy(offsets),
            torch.from_numpy(hidden) if hidden is not None else None,
            torch.from_numpy(weights[rows]) if weights is not None else None,
        )

    def bucketed(self, positions: int, rng: np.random.Generator) -> Iterator[NDArray[np.intp]]:
        """Rows of each training batch, in random order: about ``positions`` items each, of similar length."""
        noise = rng.random(len(self)) * 0.999
        order = np.argsort(self.lengths + noise, kind="stable")
        order = order[self.lengths[order] > 0]
        widths = np.cumsum(self.lengths[order])
        chunks = np.split(
            order, np.searchsorted(widths, np.arange(positions, widths[-1] if len(widths) else 0, positions))
        )
        for chunk in rng.permutation(len(chunks)):
            if len(chunks[chunk]):
                yield chunks[chunk]

    def by_length(self, size: int) -> Iterator[NDArray[np.intp]]:
        """All rows, ``size`` at a time, in order of length: for scoring."""
        order = np.argsort(self.lengths, kind="stable")
        for begin in range(0, len(order), size):
            yield order[begin : begin + size]


@torch.no_grad()
def query_vectors(model: SequenceModel, sequences: Sequences, size: int = 1024) -> Tensor:
    """The query vector at the end of every history, in the order of ``sequences``. ``[n, dim]``"""
    model.eval()
    device = model.start.device
    vectors = model.item_vectors()
    result = torch.empty(len(sequences), model.shape.dim, device=device)
    for rows in sequences.by_length(size):
        batch = sequences.batch(rows)
        starts = model.starts(batch.attributes.to(device), batch.offsets.to(device))
        queries = model(vectors, batch.histories.to(device), starts)
        last = batch.valid.sum(dim=1).to(device)
        result[torch.from_numpy(rows).to(device)] = queries[torch.arange(len(rows), device=device), last]
    return result
