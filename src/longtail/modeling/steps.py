"""A fixed number of optimizer steps whose state a killed run finds again: text adaptation and domain pretraining."""

import logging
import math
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

import torch
from torch import Tensor, nn
from tqdm import tqdm

from longtail.contracts.errors import UserError
from longtail.modeling.adaptation_settings import AdaptationSettings
from longtail.modeling.checkpoint import load_checkpoint, save_checkpoint
from longtail.modeling.optimization import make_optimizer, schedule, set_learning_rate

log = logging.getLogger(__name__)
CHECKPOINT_STEPS = 25


class Ranks(Protocol):
    """What AdaLoRA does between steps."""

    def share_out(self, step: int) -> None: ...
    def tensors(self) -> dict[str, Tensor]: ...
    def numbers(self) -> dict[str, Any]: ...
    def load(self, tensors: dict[str, Tensor], numbers: dict[str, Any]) -> None: ...


@dataclass
class Steps:
    """``count`` steps on ``parameters``. The rest of the course (optimizer, schedule, clipping) is that of ``settings``.

    setting: the key of the learning rate, for messages.
    """

    name: str
    count: int
    setting: str
    learning_rate: float
    parameters: dict[str, nn.Parameter]
    settings: AdaptationSettings
    seed: int
    checkpoint: Path
    ranks: Ranks | None = None

    def run(self, backward: Callable[[int], float | None]) -> None:
        """Take the steps, or those before the first whose loss or gradients are not finite: then the last checkpoint is kept.

        backward: adds the gradients of a step, from 0 on, and returns its loss, or None where it has nothing to learn from.

        Raises:
            UserError: where no checkpoint before such a step is good.
        """
        settings = self.settings
        optimizer = make_optimizer(
            self.parameters.values(), settings.optimizer, self.learning_rate, settings.weight_decay
        )
        begin = self._go_on(optimizer)
        if begin:
            log.info("going on from %s after step %d", self.checkpoint, begin)
        running = None
        for step in tqdm(range(begin, self.count), desc=self.name, unit="step", disable=None):
            torch.manual_seed(self.seed * 1_000_003 + step)
            factor = schedule(settings.schedule, step / self.count, settings.warmup_share)
            set_learning_rate(optimizer, self.learning_rate * factor)
            optimizer.zero_grad(set_to_none=True)
            loss = backward(step)
            if loss is None:
                continue
            norm = nn.utils.clip_grad_norm_(self.parameters.values(), settings.clip)
            if not math.isfinite(loss) or not math.isfinite(norm.item()):
                self._go_back(step, loss, optimizer)
                return
            optimizer.step()
            if self.ranks is not None:
                self.ranks.share_out(step)
            running = loss if running is None else 0.95 * running + 0.05 * loss
            if (step + 1) % CHECKPOINT_STEPS == 0 or step + 1 == self.count:
                self._save(step + 1, optimizer)
                log.info("%s: step %d of %d, loss %.3f", self.name, step + 1, self.count, running)

    def _go_on(self, optimizer: torch.optim.Optimizer) -> int:
        """Put back the last checkpoint, and return its number of steps; 0 where there is none."""
        self.checkpoint.parent.mkdir(parents=True, exist_ok=True)
        if not self.checkpoint.is_file():
            return 0
        tensors, numbers = load_checkpoint(self.checkpoint, optimizer)
        with torch.no_grad():
            for name, parameter in self.parameters.items():
                parameter.copy_(tensors[name])
        if self.ranks is not None:
            self.ranks.load(tensors, numbers)
        return int(numbers["step"])

    def _go_back(self, step: int, loss: float, optimizer: torch.optim.Optimizer) -> None:
        """Put back the last checkpoint, if a step was taken from it: the weights that failed may be its own."""
        what = f"{self.setting}: is {self.learning_rate:g}, and step {step + 1} went beyond finite numbers (loss {loss:.3g})"
        remedy = f"take a smaller one, for example {self.learning_rate / 10:g}"
        kept = self._go_on(optimizer)
        if kept in (0, step):
            raise UserError(f"{what} before anything was learnt that could be kept; {remedy}")
        log.warning("%s: stopping; the weights of step %d are kept. To go on, %s", what, kept, remedy)

    def _save(self, step: int, optimizer: torch.optim.Optimizer) -> None:
        held, facts = (self.ranks.tensors(), self.ranks.numbers()) if self.ranks is not None else ({}, {})
        save_checkpoint(self.checkpoint, self.parameters | held, optimizer, {"step": step} | facts)
