"""The sequence model: item vectors from ids and text, and a causal transformer over the history."""

import math
from dataclasses import dataclass

import torch
from torch import Tensor, nn
from torch.nn import functional as F  # noqa: N812

from longtail.modeling.training_settings import TrainingSettings


@dataclass(frozen=True)
class Shape:
    """Sizes of a sequence model."""

    dim: int
    blocks: int
    heads: int
    max_history: int
    dropout: float
    temperature: float

    @classmethod
    def of(cls, settings: TrainingSettings, max_history: int) -> "Shape":
        return cls(settings.dim, settings.blocks, settings.heads, max_history, settings.dropout, settings.temperature)


class RelativeAttention(nn.Module):
    """Causal self-attention whose positions are a learned bias per head and distance."""

    def __init__(self, shape: Shape) -> None:
        super().__init__()
        self.heads = shape.heads
        self.project_in = nn.Linear(shape.dim, 3 * shape.dim)
        self.project_out = nn.Linear(shape.dim, shape.dim)
        self.distance_bias = nn.Parameter(torch.zeros(shape.heads, shape.max_history + 2))
        self.dropout = shape.dropout

    def at_end(self, x: Tensor, end: Tensor) -> Tensor:
        """What ``forward`` makes of the place ``end`` [batch] of each sequence alone. ``[batch, length, dim] -> [batch, 1, dim]``"""
        batch, length, dim = x.shape
        size = (self.heads, dim // self.heads)
        weight, bias = self.project_in.weight, self.project_in.bias  # of queries, keys and values
        q = F.linear(at(x, end), weight[:dim], bias[:dim]).reshape(batch, 1, *size).transpose(1, 2)
        k, v = F.linear(x, weight[dim:], bias[dim:]).reshape(batch, length, 2, *size).permute(2, 0, 3, 1, 4)
        distance = end[:, None] - torch.arange(length, device=x.device)[None, :]  # [batch, length]
        distances = distance.clamp(0, self.distance_bias.shape[1] - 1)
        near = F.embedding(distances, self.distance_bias.T).masked_fill((distance < 0)[..., None], float("-inf"))
        near = near.permute(0, 2, 1)[:, :, None]  # [batch, heads, 1, length]
        weights = torch.softmax((q @ k.transpose(-1, -2)) / math.sqrt(size[1]) + near, dim=-1)
        mixed: Tensor = self.project_out((weights @ v).transpose(1, 2).reshape(batch, 1, dim))
        return mixed

    def forward(self, x: Tensor) -> Tensor:  # [batch, length, dim] -> the same
        batch, length, dim = x.shape
        q, k, v = self.project_in(x).reshape(batch, length, 3, self.heads, dim // self.heads).permute(2, 0, 3, 1, 4)
        place = torch.arange(length, device=x.device)
        distance = place[:, None] - place[None, :]  # [length, length]
        distances = distance.clamp(0, self.distance_bias.shape[1] - 1)
        bias = F.embedding(distances, self.distance_bias.T).permute(2, 0, 1)  # as in ``of_items``
        bias = bias.masked_fill(distance < 0, float("-inf"))  # [heads, length, length]
        weights = torch.softmax((q @ k.transpose(-1, -2)).float() / math.sqrt(dim // self.heads) + bias, dim=-1)
        weights = F.dropout(weights, self.dropout, self.training).to(v.dtype)
        mixed: Tensor = self.project_out((weights @ v).transpose(1, 2).reshape(batch, length, dim))
        return mixed


class Block(nn.Module):
    """Pre-norm transformer block."""

    def __init__(self, shape: Shape) -> None:
        super().__init__()
        self.norm_attention, self.norm_feed = nn.LayerNorm(shape.dim), nn.LayerNorm(shape.dim)
        self.attention = RelativeAttention(shape)
        self.feed = nn.Sequential(
            nn.Linear(shape.dim, 4 * shape.dim),
            nn.GELU(),
            nn.Dropout(shape.dropout),
            nn.Linear(4 * shape.dim, shape.dim),
        )
        self.dropout = nn.Dropout(shape.dropout)

    def forward(self, x: Tensor) -> Tensor:  # [batch, length, dim] -> the same
        return self._fed(x + self.dropout(self.attention(self.norm_attention(x))))

    def at_end(self, x: Tensor, end: Tensor) -> Tensor:
        """What ``forward`` makes of one place of each sequence. ``[batch, length, dim], [batch] -> [batch, 1, dim]``"""
        return self._fed(at(x, end) + self.attention.at_end(self.norm_attention(x), end))

    def _fed(self, x: Tensor) -> Tensor:
        fed: Tensor = x + self.dropout(self.feed(self.norm_feed(x)))
        return fed


class SequenceEncoder(nn.Module):
    """Input vectors -> query vectors (unit length divided by the temperature) at every position. Exported to ONNX."""

    def __init__(self, shape: Shape) -> None:
        super().__init__()
        self.shape = shape
        self.dropout = nn.Dropout(shape.dropout)
        self.blocks = nn.ModuleList(Block(shape) for _ in range(shape.blocks))
        self.norm = nn.LayerNorm(shape.dim)

    def forward(self, inputs: Tensor) -> Tensor:  # [batch, length, dim] -> the same
        x = self.dropout(inputs * math.sqrt(self.shape.dim))
        for block in self.blocks:
            x = block(x)
        return self._query(x)

    def last(self, inputs: Tensor, lengths: Tensor) -> Tensor:
        """The query after the last valid input, without what the last block makes of other places: scoring reads nothing else.

        inputs [batch, length, dim], lengths [batch] -> [batch, dim]
        """
        x = inputs * math.sqrt(self.shape.dim)
        for block in self.blocks[:-1]:
            x = block(x)
        last = self.blocks[-1]
        assert isinstance(last, Block)
        return self._query(last.at_end(x, lengths - 1))[:, 0]

    def _query(self, x: Tensor) -> Tensor:
        return F.normalize(self.norm(x).float(), dim=-1) / self.shape.temperature


class SequenceModel(nn.Module):
    """Item vector = unit(id vector + projected features); features are text vectors, pictures and numbers, fixed.

    Args:
        features: [items, feature_dim]; the first ``text_dim`` columns are the text vector, the next ``image_dim`` the picture's.
        text_dim: width of the text vector.
        n_attributes: size of the vocabulary of user attributes.
        image_dim: width of the picture's vector; 0 where there are no pictures.
    """

    def __init__(self, shape: Shape, features: Tensor, text_dim: int, n_attributes: int, image_dim: int = 0) -> None:
        super().__init__()
        self.shape, self.text_dim, self.image_dim = shape, text_dim, image_dim
        self.register_buffer("features", features, persistent=False)
        self.ids = nn.Embedding(len(features), shape.dim)
        nn.init.normal_(self.ids.weight, std=0.02)
        self.project = nn.Linear(features.shape[1], shape.dim, bias=False)
        self.start = nn.Parameter(torch.randn(shape.dim) / math.sqrt(shape.dim))
        self.attributes = nn.EmbeddingBag(max(n_attributes, 1), shape.dim, mode="sum")
        nn.init.normal_(self.attributes.weight, std=0.02)
        self.encoder = SequenceEncoder(shape)

    def item_vectors(self, unseen: Tensor | None = None) -> Tensor:
        """Unit rows. ``[items, dim]``; unseen [items]: whose pictures are left out, as if they had none."""
        features: Tensor = self.features  # type: ignore[assignment]
        projected = self.project(features)
        if unseen is not None:
            columns = slice(self.text_dim, self.text_dim + self.image_dim)
            pictures = F.linear(features[:, columns], self.project.weight[:, columns])
            projected = projected - pictures * unseen[:, None]
        return F.normalize(self.ids.weight + projected.float(), dim=-1)

    def starts(self, attributes: Tensor, offsets: Tensor) -> Tensor:
        """First input of each sequence, from flat attribute codes and each user's offset. ``[batch, dim]``"""
        first: Tensor = self.start + self.attributes(attributes, offsets)
        return first

    def forward(self, vectors: Tensor, histories: Tensor, starts: Tensor) -> Tensor:
        """Query vectors after the start and after every item. ``[batch, 1 + length, dim]``

        vectors: ``item_vectors()``; histories [batch, length] item codes, padding at the end; starts [batch, dim].
        """
        queries: Tensor = self.encoder(self.inputs(vectors, histories, starts))
        return queries

    def inputs(self, vectors: Tensor, histories: Tensor, starts: Tensor) -> Tensor:
        """What the encoder reads. ``[batch, 1 + length, dim]``"""
        return torch.cat([starts[:, None], of_items(vectors, histories)], dim=1)


def at(x: Tensor, places: Tensor) -> Tensor:
    """One place of each sequence. ``[batch, length, dim], [batch] -> [batch, 1, dim]``"""
    return torch.gather(x, 1, places[:, None, None].expand(-1, 1, x.shape[2]))


def of_items(vectors: Tensor, codes: Tensor) -> Tensor:
    """``vectors[codes]``, but with gradients that are added up in order: those of an index are not on a CPU, so that runs differ.

    vectors [items, dim]; codes [...] -> [..., dim]
    """
    return F.embedding(codes, vectors)
