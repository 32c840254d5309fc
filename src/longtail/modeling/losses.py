"""Losses of the sequence encoder and of the text adaptation."""

import torch
from torch import Tensor


def cross_entropy(target: Tensor, logits: Tensor) -> Tensor:
    """Mean of L = -sum p(y) log p^(y) over rows. target: probabilities p [n, classes]; logits of p^ [n, classes]."""
    return -(target * torch.log_softmax(logits.float(), dim=-1)).sum(dim=-1).mean()


def label_cross_entropy(labels: Tensor, logits: Tensor) -> Tensor:
    """``cross_entropy`` where all of p lies on one class. labels [n] int64; logits [n, classes]."""
    return torch.nn.functional.cross_entropy(logits.float(), labels)


def distillation(teacher_logits: Tensor, student_logits: Tensor, temperature: float) -> Tensor:
    """Cross-entropy with the teacher's softened scores, scaled by T^2 (Hinton et al. 2015, section 2). Both [n, classes]."""
    target = torch.softmax(teacher_logits.float() / temperature, dim=-1)
    return cross_entropy(target, student_logits.float() / temperature) * temperature**2


def contrastive(
    vectors: Tensor, rows: Tensor, target: Tensor, log_popularity: Tensor, temperature: float, correction: float
) -> Tensor:
    """In-batch softmax over the other items, with part of the logQ correction (Yi et al. 2019, RecSys, eq. 3).

    vectors [batch, dim], unit rows; rows [n]: the items that have a partner; target [n, batch] rows sum to 1;
    log_popularity [batch]; correction 0..1 is the share of it that is taken off. No item is its own negative.
    """
    logits = vectors[rows].float() @ vectors.float().T / temperature - correction * log_popularity
    own = rows[:, None] == torch.arange(len(vectors), device=vectors.device)[None, :]
    return cross_entropy(target, logits.masked_fill(own, -1e9))
