"""Losses of the sequence encoder and of the text adaptation."""

import torch
from torch import Tensor


def cross_entropy(target: Tensor, logits: Tensor, weights: Tensor | None = None) -> Tensor:
    """Mean of L = -sum p(y) log p^(y) over rows. target: probabilities p [n, classes]; logits of p^ [n, classes]."""
    return weighted_mean(-(target * torch.log_softmax(logits.float(), dim=-1)).sum(dim=-1), weights)


def weighted_mean(rows: Tensor, weights: Tensor | None) -> Tensor:
    """The mean of rows [n], each counted with its weight [n]; weights have mean 1 over all of the training data."""
    return rows.mean() if weights is None else (rows * weights).mean()


def distillation(
    teacher_logits: Tensor, student_logits: Tensor, temperature: float, weights: Tensor | None = None
) -> Tensor:
    """Cross-entropy with the teacher's softened scores, scaled by T^2 (Hinton et al. 2015, section 2). Both [n, classes]."""
    target = torch.softmax(teacher_logits.float() / temperature, dim=-1)
    return cross_entropy(target, student_logits.float() / temperature, weights) * temperature**2


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
