"""Label smoothing (Szegedy et al. 2016, CVPR): a share of every label is spread evenly over the catalogue."""

import torch
from torch import Tensor
from torch.nn import functional as F  # noqa: N812


def smoothed_rows(labels: Tensor, logits: Tensor, smoothing: float, shares: Tensor | None = None) -> Tensor:
    """Cross-entropy of each row with its smoothed label; 0 smooths nothing. ``[n]``

    labels [n] or, with shares [n, few] that sum to 1, [n, few] int64; logits [n, classes].
    """
    if shares is None:
        return F.cross_entropy(logits.float(), labels, reduction="none", label_smoothing=smoothing)
    log_p = torch.log_softmax(logits.float(), dim=-1)
    return -(1 - smoothing) * (shares * log_p.gather(1, labels)).sum(dim=1) - smoothing * log_p.mean(dim=1)
