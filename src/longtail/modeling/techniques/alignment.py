"""Alignment of representations (FitNets, Romero et al. 2015, ICLR): the student's vectors, mapped, are like each teacher's."""

from collections.abc import Sequence

import torch
from torch import Tensor, nn
from torch.nn import functional as F  # noqa: N812

from longtail.modeling.losses import weighted_mean


class Alignment(nn.Module):
    """Linear maps from the student's vectors to each teacher's; they are trained with the student.

    Args:
        dim: of the student's vectors.
        widths: of each teacher's.
    """

    def __init__(self, dim: int, widths: Sequence[int]) -> None:
        super().__init__()
        self.map_query = nn.ModuleList(nn.Linear(dim, width) for width in widths)
        self.map_item = nn.ModuleList(nn.Linear(dim, width) for width in widths)

    def forward(
        self, queries: Tensor, items: Tensor, taught: Sequence[tuple[Tensor, Tensor]], weights: Tensor | None
    ) -> Tensor:
        """Mean misalignment over teachers, queries and items.

        The student's queries and items [positions, dim]; taught: each teacher's [positions, its width]; weights [positions].
        """
        parts = [
            misalignment(to_query(queries), query, weights) + misalignment(to_item(items), item, weights)
            for to_query, to_item, (query, item) in zip(self.map_query, self.map_item, taught)
        ]
        return torch.stack(parts).mean() / 2


def misalignment(vectors: Tensor, target: Tensor, weights: Tensor | None = None) -> Tensor:
    """Mean of 1 - cosine between rows. Both [n, dim]; weights [n]."""
    cosine = F.cosine_similarity(vectors.float(), target.float(), dim=-1)
    return weighted_mean(1 - cosine, weights)
