import numpy as np
import pytest
import torch
from helpers_ring import SHAPE, make_data, make_model
from test_distillation import loss_of, make_teacher

from longtail.components.distill.settings import StudentTraining
from longtail.modeling.distillation import Lesson, Teacher
from longtail.modeling.lesson_settings import LessonSettings
from longtail.modeling.objective import Objective
from longtail.modeling.techniques.alignment import misalignment


def test_misalignment_by_hand() -> None:
    vectors, target = torch.tensor([[2.0, 0.0], [3.0, 4.0]]), torch.tensor([[1.0, 0.0], [1.0, 0.0]])
    assert misalignment(vectors, target).item() == pytest.approx(0.2)  # cosines 1 and .6
    assert misalignment(vectors, target, torch.tensor([1.75, 0.25])).item() == pytest.approx(0.05)


def test_alignment_is_zero_for_vectors_that_a_linear_map_can_reach() -> None:
    same = make_model()
    plain = loss_of([same], alignment_weight=0.0)[0]
    torch.manual_seed(5)
    settings = LessonSettings(alignment_weight=2.0)
    lesson = Lesson([Teacher(same)], settings, SHAPE.dim)
    assert lesson.alignment is not None
    for linear in (*lesson.alignment.map_query, *lesson.alignment.map_item):
        torch.nn.init.eye_(linear.weight)
        torch.nn.init.zeros_(linear.bias)
    objective = Objective(make_model(), StudentTraining(), lesson).eval()
    batch = make_data().train.batch(np.arange(8))
    assert objective(batch)[0].item() == pytest.approx(plain, abs=1e-4)
    for linear in lesson.alignment.map_query:
        linear.weight.data.neg_()
    # opposite queries: 1 - cosine is 2, for queries alone, so half of the weight times 2
    assert objective(batch)[0].item() == pytest.approx(plain + 2.0, abs=1e-4)


def test_alignment_reaches_a_teacher_of_another_width() -> None:
    plain, _ = loss_of([make_teacher(2, dim=8)])
    aligned, objective = loss_of([make_teacher(2, dim=8)], alignment_weight=1.0)
    assert objective.lesson is not None and objective.lesson.alignment is not None
    assert objective.lesson.alignment.map_query[0].weight.shape == (8, 16)
    assert plain < aligned < plain + 2
