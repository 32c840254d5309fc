"""The sparse item-to-item term beside the dense scores while a sequence model trains."""

import numpy as np
import torch
from torch import Tensor

from longtail.modeling.training_settings import TrainingSettings
from longtail.neighbours.item_to_item import ItemToItem


class NeighbourTerm:
    """``weight`` times the sparse term, so that the dense part learns what the sparse one does not know.

    The sparse matrix counts the training histories themselves. What a history's own pairs add to it is taken off (leave one
    out), or the model would learn to trust answers that it saw. Computed on the CPU.
    """

    def __init__(self, term: ItemToItem, weight: float) -> None:
        self.term, self.weight = term, weight

    @classmethod
    def of(cls, term: ItemToItem, settings: TrainingSettings) -> "NeighbourTerm | None":
        """None where the settings train the dense part alone."""
        return cls(term, settings.term_weight) if settings.term_weight else None

    def before_each_item(self, histories: Tensor, valid: Tensor) -> Tensor:
        """The term of the items before each place. histories, valid [batch, length] -> ``[positions, items]``"""
        known = valid.cpu().numpy()
        codes = histories.cpu().numpy()
        codes = np.where(known, codes, codes[:, :1])  # what stands for padding has no values of its own
        term = self.term
        batch, length = codes.shape
        scores = np.zeros((batch, length, term.neighbours.shape[0]), dtype=np.float32)
        own = term.own.of(codes)
        taken = np.zeros_like(own)
        for place in range(1, length):
            rows = term.neighbours[codes[:, place - 1]].toarray()
            scores[:, place] = np.float32(term.decay) * scores[:, place - 1] + rows
            taken[:, place] = np.float32(term.decay) * taken[:, place - 1] + own[:, place - 1]
        index = np.broadcast_to(codes[:, None, :], own.shape)
        corrected = np.maximum(np.take_along_axis(scores, index, axis=2) - taken, 0.0)
        np.put_along_axis(scores, index, corrected, axis=2)
        return torch.from_numpy(self.weight * scores[known]).to(histories.device)

    def after(self, histories: list[np.ndarray[tuple[int], np.dtype[np.int32]]]) -> Tensor:
        """The term of whole histories that were not counted. ``[histories, items]``"""
        return torch.from_numpy(self.weight * self.term.scores(histories))
