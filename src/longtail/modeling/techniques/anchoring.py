"""Anchoring: adapted text vectors are held near the pretrained ones (L2-SP, Li et al. 2018, for outputs instead of weights)."""

from torch import Tensor


def anchor_loss(vectors: Tensor, frozen: Tensor) -> Tensor:
    """Mean of 1 - cosine to the pretrained vectors. Both [batch, dim], unit rows."""
    return 1 - (vectors * frozen).sum(dim=-1).mean()
