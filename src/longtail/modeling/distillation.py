"""The distillation layer: what a student learns from teachers beside its labels."""

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from longtail.modeling.lesson_settings import LessonSettings
from longtail.modeling.losses import distillation
from longtail.modeling.sequence_model import SequenceModel
from longtail.modeling.sequences import Batch
from longtail.modeling.techniques.alignment import Alignment
from longtail.modeling.techniques.several_teachers import mean_scores
from longtail.modeling.techniques.soft_label_top import top_distillation


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


@dataclass(frozen=True)
class Answers:
    """What the student says at every position of a batch.

    valid [batch, length]; queries [positions, dim]; items [positions, dim], the vectors of the labels' items; logits
    [positions, items], of which term [positions, items] is the sparse part; weights [positions].
    """

    valid: Tensor
    queries: Tensor
    items: Tensor
    logits: Tensor
    term: Tensor | None
    weights: Tensor | None


class Lesson(nn.Module):
    """Soft labels, and vectors to be like where ``alignment_weight`` is set."""

    def __init__(self, teachers: Sequence[Teacher], settings: LessonSettings, dim: int) -> None:
        super().__init__()
        self.teachers, self.settings = list(teachers), settings
        widths = [teacher.vectors.shape[1] for teacher in teachers]
        self.alignment = Alignment(dim, widths) if settings.alignment_weight else None

    def forward(self, label_loss: Tensor, batch: Batch, answers: Answers) -> Tensor:
        """The loss of labels and teachers together."""
        settings, loss = self.settings, label_loss
        with torch.no_grad():
            asked = [teacher.queries(batch, answers.valid) for teacher in self.teachers]
        if settings.soft_label_weight:
            loss = (1 - settings.soft_label_weight) * loss + settings.soft_label_weight * self._soft(asked, answers)
        if self.alignment is not None:
            codes = batch.histories.to(answers.valid.device)[answers.valid]
            taught = [(query, teacher.vectors[codes]) for query, teacher in zip(asked, self.teachers)]
            apart = self.alignment(answers.queries, answers.items, taught, answers.weights)
            loss = loss + settings.alignment_weight * apart
        return loss

    def _soft(self, asked: Sequence[Tensor], answers: Answers) -> Tensor:
        """The loss that follows the teachers' scores; what the sparse term adds to the student's is added to theirs, too."""
        with torch.no_grad():
            scores = mean_scores(query @ teacher.vectors.T for query, teacher in zip(asked, self.teachers))
            if answers.term is not None:
                scores = scores + answers.term
        temperature, top = self.settings.soft_label_temperature, self.settings.soft_label_top
        if 0 < top < scores.shape[1]:
            return top_distillation(scores, answers.logits, temperature, top, answers.weights)
        return distillation(scores, answers.logits, temperature, answers.weights)
