"""Bottleneck adapters: a small map behind each adapted layer (Houlsby et al. 2019, ICML)."""

from typing import Any

from torch import Tensor, nn

from longtail.modeling.language_model import UpperLayers


class Bottleneck(nn.Module):
    """x + up(gelu(down(x))) with up = 0 at the start (section 2.1)."""

    def __init__(self, dim: int, width: int) -> None:
        super().__init__()
        self.down, self.up = nn.Linear(dim, width), nn.Linear(width, dim)
        nn.init.zeros_(self.up.weight)
        nn.init.zeros_(self.up.bias)

    def forward(self, states: Tensor) -> Tensor:  # [batch, tokens, dim] -> the same
        change: Tensor = self.up(nn.functional.gelu(self.down(states)))
        return states + change


def add_bottlenecks(upper: UpperLayers, width: int) -> None:
    """Put a bottleneck behind every adapted layer; it stays there after training."""
    for layer in upper.layers:
        layer.adapter = Bottleneck(upper.backbone.config.hidden_size, width)
        layer.register_forward_hook(_through_adapter)


def _through_adapter(layer: nn.Module, _: Any, output: Any) -> Any:
    """The layer's output, a tensor or a tuple that starts with it, through ``layer.adapter``."""
    adapter = layer.get_submodule("adapter")
    return (adapter(output[0]), *output[1:]) if isinstance(output, tuple) else adapter(output)
