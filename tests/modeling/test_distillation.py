import numpy as np
import pytest
import torch
from helpers_ring import SHAPE, make_data, make_model

from longtail.components.distill.settings import DistillSettings, StudentTraining
from longtail.contracts.errors import UserError
from longtail.contracts.settings_base import from_json
from longtail.modeling.distillation import Lesson, Teacher
from longtail.modeling.lesson_settings import LessonSettings
from longtail.modeling.losses import distillation
from longtail.modeling.objective import Objective
from longtail.modeling.sequence_model import SequenceModel, Shape


def make_teacher(seed: int, dim: int = 16) -> SequenceModel:
    torch.manual_seed(seed)
    shape = Shape(dim, SHAPE.blocks, SHAPE.heads, SHAPE.max_history, SHAPE.dropout, SHAPE.temperature)
    return SequenceModel(shape, torch.randn(20, 4), 4, 0)


def loss_of(teachers: list[SequenceModel], **settings: object) -> tuple[float, Objective]:
    chosen = LessonSettings.model_validate(settings)
    torch.manual_seed(5)
    lesson = Lesson([Teacher(model) for model in teachers], chosen, SHAPE.dim)
    objective = Objective(make_model(), StudentTraining(), lesson).eval()
    loss, _ = objective(make_data().train.batch(np.arange(8)))
    loss.backward()
    return float(loss.detach()), objective


def test_teachers_are_asked_but_never_change() -> None:
    teacher = make_teacher(1)
    _, objective = loss_of([teacher], alignment_weight=0.5)
    objective.train()
    assert not teacher.training
    assert all(parameter.grad is None for parameter in teacher.parameters())
    assert all(parameter.grad is not None for parameter in objective.parameters())
    own = {name for name, _ in objective.named_parameters() if name.startswith("lesson")}
    assert own == {f"lesson.alignment.map_{what}.0.{part}" for what in ("query", "item") for part in ("weight", "bias")}


def test_soft_labels_are_a_share_of_the_loss() -> None:
    label, soft = (loss_of([make_teacher(1)], soft_label_weight=weight)[0] for weight in (0.0, 1.0))
    assert loss_of([make_teacher(1)], soft_label_weight=0.25)[0] == pytest.approx(0.75 * label + 0.25 * soft, abs=1e-5)


def test_scores_of_several_teachers_are_averaged() -> None:
    one, two = make_teacher(1), make_teacher(2, dim=8)
    twice = loss_of([one, one], soft_label_weight=1.0)[0]
    assert twice == pytest.approx(loss_of([one], soft_label_weight=1.0)[0], abs=1e-5)
    batch = make_data().train.batch(np.arange(8))
    student = make_model().eval()
    vectors = student.item_vectors()
    logits = Teacher(student).queries(batch, batch.valid) @ vectors.T
    teachers = [Teacher(one), Teacher(two)]
    logs = [torch.log_softmax(teacher.queries(batch, batch.valid) @ teacher.vectors.T, dim=-1) for teacher in teachers]
    both = distillation((logs[0] + logs[1]) / 2, logits, 2.0)
    alone = distillation(logs[0], logits, 2.0)
    settings = {"soft_label_weight": 1.0, "soft_label_temperature": 2.0}
    difference = loss_of([one, two], **settings)[0] - loss_of([one], **settings)[0]
    assert difference == pytest.approx((both - alone).item(), abs=1e-4)
    assert abs(difference) > 1e-3


@pytest.mark.parametrize(
    "settings", ['{"soft_label_weight": 0, "soft_label_top": 5}', '{"soft_label_weight": 0, "extra_teachers": ["t"]}']
)
def test_what_cannot_act_is_refused(settings: str) -> None:
    with pytest.raises(UserError, match=r"soft_label_top is 5|extra_teachers are never asked"):
        from_json(DistillSettings, settings)
