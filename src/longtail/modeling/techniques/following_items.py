"""Following items as labels (after Petrov & Macdonald 2022, RecSys): the label of a position is shared by several next items."""

import torch
from torch import Tensor


def following_items(histories: Tensor, valid: Tensor, count: int, decay: float) -> tuple[Tensor, Tensor]:
    """The next items at every place, and shares ``decay ** j``, scaled to sum 1. Both ``[positions, count]``

    histories [batch, length] item codes; valid [batch, length].
    """
    later = torch.arange(count, device=histories.device)
    index = torch.arange(histories.shape[1], device=histories.device)[:, None] + later  # [length, count]
    exists = index[None] < valid.sum(dim=1)[:, None, None]  # [batch, length, count]
    shares = (decay**later * exists)[valid]
    return histories[:, index.clamp(max=histories.shape[1] - 1)][valid], shares / shares.sum(dim=1, keepdim=True)
