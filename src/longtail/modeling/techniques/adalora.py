"""AdaLoRA (Zhang et al. 2023, ICLR) on the adapted layers: peft's matrices and allocation of ranks, in our training loop."""

import math
from typing import Any

import torch
from peft import AdaLoraConfig
from peft.tuners.adalora import AdaLoraModel
from torch import Tensor, nn


class AdaLora:
    """Low-rank matrices P diag(E) Q on ``names``, whose ranks shrink from 1.5 times ``rank`` to ``rank`` in the mean.

    A first fifth of the steps trains all ranks, a last fifth only those that are left.
    """

    def __init__(self, backbone: nn.Module, names: list[str], rank: int, steps: int, fan_in_fan_out: bool) -> None:
        first = math.ceil(1.5 * rank)
        self.config = AdaLoraConfig(
            target_r=rank,
            init_r=first,
            lora_alpha=2 * first,
            lora_dropout=0.0,
            tinit=steps // 5,
            tfinal=steps // 5,
            deltaT=max(1, steps // 50),
            total_step=steps,
            target_modules=names,
            fan_in_fan_out=fan_in_fan_out,
        )
        self.tuner = AdaLoraModel(backbone, self.config, "default")
        self.sides = [p for name, p in backbone.named_parameters() if "lora_A" in name or "lora_B" in name]

    def penalty(self) -> Tensor:
        """How far P and Q are from orthogonal (eq. 4), with peft's weight."""
        grams = [p @ p.T if p.shape[0] < p.shape[1] else p.T @ p for p in self.sides]
        norms = [torch.linalg.norm(gram - torch.eye(len(gram), device=gram.device)) for gram in grams]
        weight: float = self.config.orth_reg_weight
        return torch.stack(norms).mean() * weight

    def share_out(self, step: int) -> None:
        """After optimizer step number ``step`` (from 0), while gradients are there: mask the ranks that matter least."""
        self.tuner.update_and_allocate(step)

    def tensors(self) -> dict[str, Tensor]:
        """What a checkpoint must hold beside the parameters."""
        allocator = self.tuner.rankallocator
        return {
            f"{kind}/{name}": value
            for kind in ("exp_avg_ipt", "exp_avg_unc")
            for name, value in getattr(allocator, kind).items()
        }

    def numbers(self) -> dict[str, Any]:
        return {"ranks": self.config.rank_pattern}

    def load(self, tensors: dict[str, Tensor], numbers: dict[str, Any]) -> None:
        allocator = self.tuner.rankallocator
        allocator.reset_ipt()
        for key, value in tensors.items():
            kind, _, name = key.partition("/")
            if kind in ("exp_avg_ipt", "exp_avg_unc"):
                getattr(allocator, kind)[name] = value.to(self.sides[0].device)
                allocator.ipt[name] = torch.zeros_like(getattr(allocator, kind)[name])
        self.config.rank_pattern = numbers["ranks"]
