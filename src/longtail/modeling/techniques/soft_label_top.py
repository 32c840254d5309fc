"""Top-n soft labels (after Tang & Wang 2018, KDD): the teacher's best candidates stay apart, all others count as one."""

import torch
from torch import Tensor

from longtail.modeling.losses import cross_entropy


def top_distillation(
    teacher_logits: Tensor, student_logits: Tensor, temperature: float, top: int, weights: Tensor | None = None
) -> Tensor:
    """``losses.distillation`` with the teacher's ``top`` best classes apart, and the rest as one class. Both [n, classes]."""
    target = torch.softmax(teacher_logits.float() / temperature, dim=-1)
    student = student_logits.float() / temperature
    probabilities, best = target.topk(top, dim=-1)  # [n, top]
    log_q = student.gather(1, best)
    log_rest = torch.logsumexp(student.scatter(1, best, float("-inf")), dim=-1)
    target = torch.cat([probabilities, (1 - probabilities.sum(dim=-1, keepdim=True)).clamp(min=0)], dim=1)
    # the softmax over [top, rest] is that over all classes, as the rest's logit is the log of its sum
    return cross_entropy(target, torch.cat([log_q, log_rest[:, None]], dim=1), weights) * temperature**2
