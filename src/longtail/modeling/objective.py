"""The training loss of a batch: labels at every place of a history, and what teachers add to them."""

import torch
from torch import Tensor, nn

from longtail.modeling.distillation import Lesson
from longtail.modeling.losses import cross_entropy, label_cross_entropy
from longtail.modeling.neighbour_term import NeighbourTerm
from longtail.modeling.sequence_model import SequenceModel, of_items
from longtail.modeling.sequences import Batch
from longtail.modeling.training_settings import TrainingSettings

START_WEIGHT = 0.5  # of the loss of any item after the start alone


class Objective(nn.Module):
    """Full-softmax cross-entropy of the next items at every place, of any item after the start alone, and a lesson."""

    def __init__(
        self,
        model: SequenceModel,
        settings: TrainingSettings,
        lesson: Lesson | None = None,
        neighbours: NeighbourTerm | None = None,
    ) -> None:
        super().__init__()
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
        model, settings = self.model, self.settings
        device = model.start.device
        histories, valid = batch.histories.to(device), batch.valid.to(device)
        vectors = model.item_vectors()
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
        labels, label_shares = histories[valid], None
        if settings.future_items > 1:
            labels, label_shares = following_items(histories, valid, settings.future_items, settings.future_decay)
        loss = label_cross_entropy(labels, logits, weights, settings.label_smoothing, label_shares)
        if self.lesson is not None:
            loss = self.lesson(loss, batch, valid, places, of_items(vectors, histories[valid]), logits, term, weights)
        # What any newcomer with these attributes goes on to choose: p is uniform over the user's items.
        chosen = torch.zeros(len(histories), len(vectors), device=device)
        chosen.scatter_add_(1, histories, valid.float() / valid.sum(dim=1, keepdim=True).clamp(min=1))
        first = cross_entropy(chosen, queries[:, 0] @ vectors.T)
        return shares[0] * loss + shares[1] * START_WEIGHT * first, inputs


def following_items(histories: Tensor, valid: Tensor, count: int, decay: float) -> tuple[Tensor, Tensor]:
    """The next items at every place, and shares ``decay ** j``, scaled to sum 1. Both ``[positions, count]``

    histories [batch, length] item codes; valid [batch, length].
    """
    later = torch.arange(count, device=histories.device)
    index = torch.arange(histories.shape[1], device=histories.device)[:, None] + later  # [length, count]
    exists = index[None] < valid.sum(dim=1)[:, None, None]  # [batch, length, count]
    shares = (decay**later * exists)[valid]
    return histories[:, index.clamp(max=histories.shape[1] - 1)][valid], shares / shares.sum(dim=1, keepdim=True)
