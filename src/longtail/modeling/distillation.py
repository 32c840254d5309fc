"""The distillation layer: what a student learns from teachers beside its labels."""

from collections.abc import Sequence

import torch
from torch import Tensor, nn

from longtail.modeling.lesson_settings import LessonSettings
from longtail.modeling.losses import distillation, misalignment
from longtail.modeling.sequence_model import SequenceModel
from longtail.modeling.sequences import Batch


class Teacher:
    """A trained sequence model that is only asked."""

    def __init__(self, model: SequenceModel) -> None:
        self.model = model.eval()
        with torch.no_grad():
            self.vectors = model.item_vectors()  # [items, dim]

    def queries(self, batch: Batch, valid: Tensor) -> Tensor:
        """Query vectors before every item of the batch's histories. ``[positions, dim]``"""
        device = self.vectors.device
        starts = self.model.starts(batch.attributes.to(device), batch.offsets.to(device))
        queries: Tensor = self.model(self.vectors, batch.histories.to(device), starts)
        return queries[:, :-1][valid]


class Lesson(nn.Module):
    """Soft labels, and vectors to be like. Its own weights map the student's vectors to each teacher's; they are trained too.

    The scores of several teachers are averaged; in a softmax that is the same as the average of their log-probabilities.
    """

    def __init__(self, teachers: Sequence[Teacher], settings: LessonSettings, dim: int) -> None:
        super().__init__()
        self.teachers, self.settings = list(teachers), settings
        widths = [teacher.vectors.shape[1] for teacher in teachers] if settings.alignment_weight else []
        self.map_query = nn.ModuleList(nn.Linear(dim, width) for width in widths)
        self.map_item = nn.ModuleList(nn.Linear(dim, width) for width in widths)

    def forward(
        self,
        label_loss: Tensor,
        batch: Batch,
        valid: Tensor,
        queries: Tensor,
        items: Tensor,
        logits: Tensor,
        term: Tensor | None,
        weights: Tensor | None,
    ) -> Tensor:
        """The loss of labels and teachers together.

        valid [batch, length]; the student's queries [positions, dim], vectors of the labels' items [positions, dim] and
        scores [positions, items]; the sparse term in them [positions, items], which teachers have beside their own
        scores, too; weights [positions].
        """
        settings, loss = self.settings, label_loss
        with torch.no_grad():
            asked = [teacher.queries(batch, valid) for teacher in self.teachers]
        if settings.soft_label_weight:
            with torch.no_grad():
                scores = asked[0] @ self.teachers[0].vectors.T
                for query, teacher in zip(asked[1:], self.teachers[1:]):
                    scores = scores + query @ teacher.vectors.T
                scores = scores / len(asked)
                if term is not None:
                    scores = scores + term
            soft = distillation(scores, logits, settings.soft_label_temperature, settings.soft_label_top, weights)
            loss = (1 - settings.soft_label_weight) * loss + settings.soft_label_weight * soft
        if settings.alignment_weight:
            codes = batch.histories.to(valid.device)[valid]
            parts = [
                misalignment(to_query(queries), query, weights)
                + misalignment(to_item(items), teacher.vectors[codes], weights)
                for to_query, to_item, query, teacher in zip(self.map_query, self.map_item, asked, self.teachers)
            ]
            loss = loss + settings.alignment_weight * torch.stack(parts).mean() / 2
        return loss
