"""Losses of the sequence encoder and of the text adaptation."""

import torch
from torch import Tensor


def cross_entropy(target: Tensor, logits: Tensor, weights: Tensor | None = None) -> Tensor:
    """Mean of L = -sum p(y) log p^(y) over rows. target: probabilities p [n, classes]; logits of p^ [n, classes]."""
    return weighted_mean(-(target * torch.log_softmax(logits.float(), dim=-1)).sum(dim=-1), weights)


def weighted_mean(rows: Tensor, weights: Tensor | None) -> Tensor:
    """The mean of rows [n], each counted with its weight [n]; weights have mean 1 over all of the training data."""
    return rows.mean() if weights is None else (rows * weights).mean()


def label_cross_entropy(
    labels: Tensor, logits: Tensor, weights: Tensor | None = None, smoothing: float = 0.0, shares: Tensor | None = None
) -> Tensor:
    """``cross_entropy`` where p lies on one class or, with shares, on a few. Smoothing spreads that share of p evenly.

    labels [n] or, with shares [n, few] that sum to 1, [n, few] int64; logits [n, classes].
    """
    if shares is None:
        rows = torch.nn.functional.cross_entropy(logits.float(), labels, reduction="none", label_smoothing=smoothing)
    else:
        log_p = torch.log_softmax(logits.float(), dim=-1)
        rows = -(1 - smoothing) * (shares * log_p.gather(1, labels)).sum(dim=1) - smoothing * log_p.mean(dim=1)
    return weighted_mean(rows, weights)


def distillation(
    teacher_logits: Tensor, student_logits: Tensor, temperature: float, top: int = 0, weights: Tensor | None = None
) -> Tensor:
    """Cross-entropy with the teacher's softened scores, scaled by T^2 (Hinton et al. 2015, section 2). Both [n, classes].

    top: the teacher's best classes stay apart, all others are one class; 0 keeps all apart.
    """
    target = torch.softmax(teacher_logits.float() / temperature, dim=-1)
    student = student_logits.float() / temperature
    if not 0 < top < student.shape[1]:
        return cross_entropy(target, student, weights) * temperature**2
    probabilities, best = target.topk(top, dim=-1)  # [n, top]
    log_q = student.gather(1, best)
    log_rest = torch.logsumexp(student.scatter(1, best, float("-inf")), dim=-1)
    target = torch.cat([probabilities, (1 - probabilities.sum(dim=-1, keepdim=True)).clamp(min=0)], dim=1)
    # the softmax over [top, rest] is that over all classes, as the rest's logit is the log of its sum
    return cross_entropy(target, torch.cat([log_q, log_rest[:, None]], dim=1), weights) * temperature**2


def misalignment(vectors: Tensor, target: Tensor, weights: Tensor | None = None) -> Tensor:
    """Mean of 1 - cosine between rows. Both [n, dim]."""
    cosine = torch.nn.functional.cosine_similarity(vectors.float(), target.float(), dim=-1)
    return weighted_mean(1 - cosine, weights)


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
