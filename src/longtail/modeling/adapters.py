"""What can be trained in the adapted layers. Each kind starts from the pretrained model: vectors are equal at step 0."""

from collections.abc import Iterator
from contextlib import contextmanager
from functools import partial
from typing import Any

from peft import LoraConfig, inject_adapter_in_model
from torch import Tensor, nn
from torch.utils.checkpoint import checkpoint
from transformers.pytorch_utils import Conv1D

from longtail.modeling.adaptation_settings import AdaptationSettings
from longtail.modeling.language_model import UpperLayers
from longtail.modeling.techniques.adalora import AdaLora
from longtail.modeling.techniques.prefix import add_prefix


class Bottleneck(nn.Module):
    """x + up(gelu(down(x))) with up = 0 at the start (Houlsby et al. 2019, section 2.1)."""

    def __init__(self, dim: int, width: int) -> None:
        super().__init__()
        self.down, self.up = nn.Linear(dim, width), nn.Linear(width, dim)
        nn.init.zeros_(self.up.weight)
        nn.init.zeros_(self.up.bias)

    def forward(self, states: Tensor) -> Tensor:  # [batch, tokens, dim] -> the same
        change: Tensor = self.up(nn.functional.gelu(self.down(states)))
        return states + change


def add_adapters(upper: UpperLayers, settings: AdaptationSettings) -> AdaLora | None:
    """Put what ``settings.method`` names into the layers and let nothing else be trained.

    Returns AdaLoRA's allocation of ranks, which the training loop must call. After training: ``merge_lora``.
    """
    for parameter in upper.parameters():
        parameter.requires_grad_(False)
    before = {id(parameter) for parameter in upper.parameters()}
    ranks = None
    if settings.method == "lora":
        rank = settings.lora_rank
        config = LoraConfig(
            r=rank,
            lora_alpha=2 * rank,
            lora_dropout=0.0,
            target_modules=_linear_maps(upper),
            fan_in_fan_out=_is_transposed(upper),
        )
        inject_adapter_in_model(config, upper.backbone)
    elif settings.method == "adalora":
        maps = _linear_maps(upper)
        ranks = AdaLora(upper.backbone, maps, settings.lora_rank, settings.steps, _is_transposed(upper))
    elif settings.method == "prefix":
        add_prefix(upper, settings.prefix_length)
    elif settings.method == "adapter":
        for layer in upper.layers:
            layer.adapter = Bottleneck(upper.backbone.config.hidden_size, settings.adapter_dim)
            layer.register_forward_hook(_through_adapter)
    for name, parameter in upper.named_parameters():
        parameter.requires_grad_(id(parameter) not in before and "ranknum" not in name)
    if settings.method == "full":
        for layer in upper.layers:
            layer.requires_grad_(True)
    upper.to(next(upper.parameters()).device)
    return ranks


def merge_lora(upper: UpperLayers) -> None:
    """Fold low-rank matrices into the layers' own weights, so that plain modules remain; other adapters stay as they are."""
    for name, module in list(upper.backbone.named_modules()):
        if hasattr(module, "base_layer") and hasattr(module, "merge"):
            module.merge()
            parent, _, child = name.rpartition(".")
            setattr(upper.backbone.get_submodule(parent), child, module.base_layer)


@contextmanager
def checkpointed(layers: list[nn.Module], on: bool) -> Iterator[None]:
    """While open, the layers keep no inner activations but compute them again in the backward pass (Chen et al. 2016)."""
    if on:
        for layer in layers:
            layer.forward = partial(checkpoint, layer.forward, use_reentrant=False)
    try:
        yield
    finally:
        if on:
            for layer in layers:
                del layer.forward  # the class's own shows again


def _through_adapter(layer: nn.Module, _: Any, output: Any) -> Any:
    """The layer's output, a tensor or a tuple that starts with it, through ``layer.adapter``."""
    adapter = layer.get_submodule("adapter")
    return (adapter(output[0]), *output[1:]) if isinstance(output, tuple) else adapter(output)


def _linear_maps(upper: UpperLayers) -> list[str]:
    """Names of all linear maps of the adapted layers; those below are gone from the backbone."""
    return [
        name
        for name, module in upper.backbone.named_modules()
        if isinstance(module, (nn.Linear, Conv1D))
        and "pooler" not in name
        and any(part.isdigit() for part in name.split("."))
    ]


def _is_transposed(upper: UpperLayers) -> bool:
    return any(isinstance(module, Conv1D) for module in upper.modules())
