import pytest
import torch
from test_distillation import loss_of, make_teacher
from torch import Tensor

from longtail.modeling.losses import distillation
from longtail.modeling.techniques.soft_label_top import top_distillation


def soft_by_hand(teacher: Tensor, student: Tensor, top: int, temperature: float) -> float:
    p, q = torch.softmax(teacher / temperature, -1), torch.softmax(student / temperature, -1)
    total = 0.0
    for row in range(len(p)):
        best = torch.argsort(-p[row])[:top]
        rest_p, rest_q = 1 - p[row, best].sum(), 1 - q[row, best].sum()
        total += float(-(p[row, best] * q[row, best].log()).sum() - rest_p * rest_q.log())
    return temperature**2 * total / len(p)


def test_the_top_candidates_stay_apart_and_the_rest_is_one() -> None:
    generator = torch.Generator().manual_seed(3)
    teacher, student = torch.randn(6, 9, generator=generator), torch.randn(6, 9, generator=generator)
    assert top_distillation(teacher, student, 2.0, 3).item() == pytest.approx(
        soft_by_hand(teacher, student, 3, 2.0), abs=1e-5
    )
    everything = distillation(teacher, student, 2.0).item()
    assert top_distillation(teacher, student, 2.0, 8).item() == pytest.approx(everything, abs=1e-5)  # a rest of one
    assert loss_of([make_teacher(1)], soft_label_top=20)[0] == loss_of([make_teacher(1)])[0]  # there are no more
    assert loss_of([make_teacher(1)], soft_label_top=3)[0] != pytest.approx(loss_of([make_teacher(1)])[0], abs=1e-3)
