"""What is trained in the adapted layers: LoRA, or a method of ``techniques``. Vectors are equal at step 0 with each."""

from peft import LoraConfig, inject_adapter_in_model
from torch import nn
from transformers.pytorch_utils import Conv1D

from longtail.modeling.adaptation_settings import AdaptationSettings
from longtail.modeling.language_model import UpperLayers
from longtail.modeling.techniques.adalora import AdaLora
from longtail.modeling.techniques.bottleneck import add_bottlenecks
from longtail.modeling.techniques.full_layers import train_whole_layers
from longtail.modeling.techniques.prefix import add_prefix


def add_adapters(upper: UpperLayers, settings: AdaptationSettings) -> AdaLora | None:
    """Put what ``settings.method`` names into the layers and let nothing else be trained.

    Returns AdaLoRA's allocation of ranks, which the training loop must call. After training: ``merge_lora``.
    """
    upper.requires_grad_(False)
    before = {id(parameter) for parameter in upper.parameters()}
    ranks = None
    if settings.method == "lora":
        add_lora(upper, settings.lora_rank)
    elif settings.method == "adalora":
        names = _linear_maps(upper)
        ranks = AdaLora(upper.backbone, names, settings.lora_rank, settings.steps, _is_transposed(upper))
    elif settings.method == "prefix":
        add_prefix(upper, settings.prefix_length)
    elif settings.method == "adapter":
        add_bottlenecks(upper, settings.adapter_dim)
    for name, parameter in upper.named_parameters():
        parameter.requires_grad_(id(parameter) not in before and "ranknum" not in name)
    if settings.method == "full":
        train_whole_layers(upper)
    upper.to(next(upper.parameters()).device)
    return ranks


def add_lora(upper: UpperLayers, rank: int) -> None:
    """Low-rank matrices beside all linear maps of the adapted layers (Hu et al. 2022, ICLR)."""
    config = LoraConfig(
        r=rank,
        lora_alpha=2 * rank,
        lora_dropout=0.0,
        target_modules=_linear_maps(upper),
        fan_in_fan_out=_is_transposed(upper),
    )
    inject_adapter_in_model(config, upper.backbone)


def merge_lora(upper: UpperLayers) -> None:
    """Fold low-rank matrices into the layers' own weights, so that plain modules remain; other adapters stay as they are."""
    for name, module in list(upper.backbone.named_modules()):
        if hasattr(module, "base_layer") and hasattr(module, "merge"):
            module.merge()
            parent, _, child = name.rpartition(".")
            setattr(upper.backbone.get_submodule(parent), child, module.base_layer)


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
