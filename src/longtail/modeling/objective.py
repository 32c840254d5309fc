"""The training loss of a batch: labels at every place of a history, and what teachers add to them."""

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from longtail.modeling.distillation import Answers, Lesson
from longtail.modeling.losses import cross_entropy, weighted_mean
from longtail.modeling.neighbour_term import NeighbourTerm
from longtail.modeling.sequence_model import SequenceModel, of_items
from longtail.modeling.sequences import Batch
from longtail.modeling.techniques.following_items import following_items
from longtail.modeling.techniques.label_smoothing import smoothed_rows
from longtail.modeling.training_settings import TrainingSettings

START_WEIGHT = 0.5  # of the loss of any item after the start alone


class Objective(nn.Module):
    """Full-softmax cross-entropy of the next item at every place, of any item after the start alone, and a lesson.

    item_weights [items]: what a place counts by the item that is to be told there; None: all alike.
    """

    def __init__(
        self,
        model: SequenceModel,
        settings: TrainingSettings,
        lesson: Lesson | None = None,
        neighbours: NeighbourTerm | None = None,
        item_weights: NDArray[np.float32] | None = None,
    ) -> None:
        super().__init__()
        known = None if item_weights is None else torch.from_numpy(item_weights).to(model.start.device)
        self.register_buffer("item_weights", known, persistent=False)
        self.item_weights: Tensor | None
        self.model, self.settings, self.lesson, self.neighbours = model, settings, lesson, neighbours

    def forward(
        self,
        batch: Batch,
        shares: tuple[float, float] = (1.0, 1.0),
        step: Tensor | None = None,
        with_term: bool = True,
    ) -> tuple[Tensor, Tensor]:
        """Loss, and the encoder's inputs [batch, 1 + length, dim], for whose gradient one may ask.

        shares: factors of the loss over positions and of that over users; step: added to the inputs; with_term: whether the
        sparse term, if there is one, is part of the scores.
        """
        model = self.model
        device = model.start.device
        histories, valid = batch.histories.to(device), batch.valid.to(device)
        vectors = model.item_vectors(self._unseen_pictures())
        starts = model.starts(batch.attributes.to(device), batch.offsets.to(device))
        inputs = model.inputs(vectors, histories, starts)
        if batch.hidden is not None:
            inputs = inputs * nn.functional.pad(~batch.hidden.to(device), (1, 0), value=True)[:, :, None]
        queries = model.encoder(inputs if step is None else inputs + step)  # [batch, 1 + length, dim]
        places = queries[:, :-1][valid]  # [positions, dim]
        logits = places @ vectors.T  # [positions, items]
        term = self.neighbours.before_each_item(histories, valid) if self.neighbours and with_term else None
        if term is not None:
            logits = logits + term
        weights = None
        if batch.weights is not None:
            weights = batch.weights.to(device)[:, None].expand_as(valid)[valid]  # [positions]
        if self.item_weights is not None:
            of_labels = self.item_weights[histories[valid]]
            weights = of_labels if weights is None else weights * of_labels
        loss = weighted_mean(self._label_rows(logits, histories, valid), weights)
        if self.lesson is not None:
            answers = Answers(valid, places, of_items(vectors, histories[valid]), logits, term, weights)
            loss = self.lesson(loss, batch, answers)
        # What any newcomer with these attributes goes on to choose: p is uniform over the user's items, or as these count.
        mass = valid.float() if self.item_weights is None else valid * self.item_weights[histories]
        chosen = torch.zeros(len(histories), len(vectors), device=device)
        chosen.scatter_add_(1, histories, mass / valid.sum(dim=1, keepdim=True).clamp(min=1))
        first = cross_entropy(chosen, queries[:, 0] @ vectors.T)
        return shares[0] * loss + shares[1] * START_WEIGHT * first, inputs

    def _unseen_pictures(self) -> Tensor | None:
        """Items whose pictures this batch does without, so that items without one are known, too. ``[items]``"""
        share = self.settings.image_dropout
        if not (self.model.image_dim and share):
            return None
        return torch.rand(len(self.model.ids.weight), device=self.model.start.device) < share

    def _label_rows(self, logits: Tensor, histories: Tensor, valid: Tensor) -> Tensor:
        """Cross-entropy at every position: the label is the next item, unless a technique spreads it. ``[positions]``"""
        settings = self.settings
        if settings.future_items > 1:
            labels, shares = following_items(histories, valid, settings.future_items, settings.future_decay)
            return smoothed_rows(labels, logits, settings.label_smoothing, shares)
        if settings.label_smoothing:
            return smoothed_rows(histories[valid], logits, settings.label_smoothing)
        return nn.functional.cross_entropy(logits.float(), histories[valid], reduction="none")
