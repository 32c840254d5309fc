"""Prefix tuning: learned keys and values that every token of an adapted layer attends to (Li & Liang 2021).

Ours and not peft's, because peft hands its prefixes over as ``past_key_values``, which encoders do not read, and does not
inject prompt learning into a module. As in LLaMA-Adapter (Zhang et al. 2023, eq. 4) the prefix has a softmax of its own
and a gate that starts at zero, so that training starts from the pretrained model; it is the form of He et al. 2022, eq. 7.
"""

import sys
from typing import Any

import torch
from torch import Tensor, nn
from transformers import AttentionInterface, AttentionMaskInterface
from transformers.masking_utils import eager_mask

from longtail.contracts.errors import UserError
from longtail.modeling.language_model import UpperLayers

ATTENTION = "longtail_prefix"


class Prefix(nn.Module):
    """Keys and values ``[heads, length, head_dim]`` of one attention, and a gate a head."""

    def __init__(self, heads: int, length: int, key_dim: int, value_dim: int) -> None:
        super().__init__()
        self.keys = nn.Parameter(0.5 * torch.randn(heads, length, key_dim))
        self.values = nn.Parameter(0.5 * torch.randn(heads, length, value_dim))
        self.gate = nn.Parameter(torch.zeros(heads))

    def forward(self, query: Tensor, scaling: float) -> Tensor:
        """query [batch, heads, tokens, key_dim] -> what is added to the attention's output ``[batch, tokens, heads, value_dim]``"""
        weights = torch.softmax(query @ self.keys.transpose(1, 2) * scaling, dim=-1)
        gated = torch.tanh(self.gate)[:, None, None] * (weights.to(self.values.dtype) @ self.values)
        return gated.transpose(1, 2)


def add_prefix(upper: UpperLayers, length: int) -> None:
    """Put a prefix on the attention of every adapted layer.

    Raises:
        UserError: where the backbone's attention cannot be reached.
    """
    config: Any = upper.backbone.config
    attentions = _attentions(upper)
    if not attentions:
        raise UserError(
            f"finetune.adaptation.method: prefix cannot be put into a {config.model_type} model, whose attention is closed; "
            "take lora or adapter"
        )
    for attention, (heads, key_dim, value_dim) in attentions.items():
        attention.prefix = Prefix(heads, length, key_dim, value_dim)
    AttentionInterface.register(ATTENTION, _attend)
    AttentionMaskInterface.register(ATTENTION, eager_mask)
    config._attn_implementation = ATTENTION


def _attend(module: nn.Module, query: Tensor, *others: Any, **settings: Any) -> tuple[Tensor, Tensor | None]:
    """The model's own attention, and the module's prefix if it has one."""
    output, weights = sys.modules[type(module).__module__].eager_attention_forward(module, query, *others, **settings)
    prefix = getattr(module, "prefix", None)
    if prefix is None:
        return output, weights
    return output + prefix(query, settings.get("scaling") or query.shape[-1] ** -0.5).to(output.dtype), weights


@torch.no_grad()
def _attentions(upper: UpperLayers) -> dict[nn.Module, tuple[int, int, int]]:
    """Every attention module that a forward pass meets -> heads, size of a key, size of a value."""
    config: Any = upper.backbone.config
    found: dict[nn.Module, tuple[int, int, int]] = {}

    def notice(module: nn.Module, query: Tensor, key: Tensor, value: Tensor, *_: Any, **settings: Any) -> Any:
        found[module] = query.shape[1], query.shape[3], value.shape[3]
        return _attend(module, query, key, value, *_, **settings)

    before = config._attn_implementation
    AttentionInterface.register(ATTENTION, notice)
    AttentionMaskInterface.register(ATTENTION, eager_mask)
    config._attn_implementation = ATTENTION
    states = torch.zeros(1, 2, config.hidden_size, device=next(upper.parameters()).device)
    upper(states, torch.ones(1, 2, dtype=torch.long, device=states.device))
    config._attn_implementation = before
    return found
