import math

import pytest
import torch

from longtail.modeling.losses import contrastive, cross_entropy, distillation


def test_cross_entropy_of_the_definition() -> None:
    p, p_hat = torch.tensor([[0.2, 0.5, 0.3]]), torch.tensor([[0.1, 0.5, 0.4]])
    assert cross_entropy(p, p_hat.log()).item() == pytest.approx(1.082, abs=5e-4)


def test_distillation_is_least_for_the_teachers_own_scores() -> None:
    teacher = torch.tensor([[2.0, 0.0, -1.0]])
    same = distillation(teacher, teacher, 2.0).item()
    p = torch.softmax(teacher / 2, dim=-1)
    assert same == pytest.approx(4 * -(p * p.log()).sum().item(), abs=1e-6)  # T^2 times the teacher's entropy
    assert distillation(teacher, torch.tensor([[0.0, 2.0, -1.0]]), 2.0).item() > same


def test_contrastive_by_hand() -> None:
    # three unit vectors in the plane; item 0's partner is item 1; item 0 itself is no negative
    vectors = torch.tensor([[1.0, 0.0], [0.6, 0.8], [0.0, 1.0]])
    popularity = torch.tensor([0.0, 1.0, 0.0])
    loss = contrastive(vectors, torch.tensor([0]), torch.tensor([[0.0, 1.0, 0.0]]), popularity, 0.5, 1.0)
    logits = [0.6 / 0.5 - 1.0, 0.0 / 0.5 - 0.0]  # items 1 and 2 after the correction
    expected = -(logits[0] - math.log(sum(math.exp(value) for value in logits)))
    assert loss.item() == pytest.approx(expected, abs=1e-5)
