"""Training in several processes: those that ``accelerate launch`` or torchrun started, each with its share of every batch.

Each process holds the whole model and gradients are averaged, unless the team shards (``techniques.sharding``). Files are
written by the first process alone, so all must see one file system. Tested with two CPU processes (gloo); NCCL and several
GPUs are not.
"""

import datetime
import os
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import nn

from longtail.contracts.errors import UserError
from longtail.modeling.device import choose_device
from longtail.modeling.techniques.sharding import shard as shard_module
from longtail.system.machine import available_cores

LONGEST_WAIT = datetime.timedelta(days=2)  # the others wait while the first adapts the language model


class Team:
    """The processes of one training run; a process that nobody launched as one of several is a team of its own.

    Raises:
        UserError: sharding is asked for, but there is one process.
    """

    def __init__(self, device: torch.device, shard: bool = False) -> None:
        self.size, self.rank, self.device, self.shard = 1, 0, device, shard
        self._accelerator: Any = None
        if int(os.environ.get("WORLD_SIZE", "1")) > 1:
            from accelerate import Accelerator, InitProcessGroupKwargs

            self._accelerator = Accelerator(
                cpu=device.type == "cpu", kwargs_handlers=[InitProcessGroupKwargs(timeout=LONGEST_WAIT)]
            )
            self.size, self.rank = self._accelerator.num_processes, self._accelerator.process_index
            self.device = self._accelerator.device
        if shard and self.size == 1:
            raise UserError(
                "finetune.shard: is true, but this is one process; start several with accelerate launch or torchrun "
                "-m longtail.components.finetune, or take shard: false"
            )

    @property
    def first(self) -> bool:
        return self.rank == 0

    @property
    def neighbours(self) -> int:
        """Processes of the team on this machine, which share its cores."""
        return int(os.environ.get("LOCAL_WORLD_SIZE", "1")) if self.size > 1 else 1

    def share(self, rows: NDArray[np.intp], lengths: NDArray[np.int64]) -> tuple[NDArray[np.intp], tuple[float, float]]:
        """Places in ``rows`` that this process takes, and factors of its mean loss over positions and over users.

        With the factors, the mean over processes is that over the whole batch. A process for which no row is left takes
        one with factors 0, as all must take part in each step.
        """
        places = np.arange(len(rows))[self.rank :: self.size]
        if not len(places):
            return np.arange(1), (0.0, 0.0)
        taken, whole = lengths[rows[places]].sum(), lengths[rows].sum()
        return places, (float(taken * self.size / whole), len(places) * self.size / len(rows))

    def spread(self, module: nn.Module, layers: nn.ModuleList) -> None:
        """Shard the module in place, each of ``layers`` on its own, where the team shards."""
        if self.shard:
            shard_module(module, layers, self.device, self.size)

    def average_gradients(self, module: nn.Module) -> None:
        """Replace each gradient by its mean over the processes; sharded modules do that themselves."""
        if self.size > 1 and not self.shard:
            for parameter in module.parameters():
                if parameter.grad is not None:
                    parameter.grad = self._accelerator.reduce(parameter.grad, "mean")

    def mean(self, number: float) -> float:
        """The mean of each process's number, the same in all of them."""
        if self.size == 1:
            return number
        total = self._accelerator.reduce(torch.tensor(number, dtype=torch.float64, device=self.device), "mean")
        return float(total)

    def wait(self) -> None:
        """Go on when all processes have come here."""
        if self.size > 1:
            self._accelerator.wait_for_everyone()


def form_team(device: str, shard: bool = False) -> Team:
    """The team that settings ask for; its processes on one machine share the cores, unless OMP_NUM_THREADS says how many."""
    team = Team(choose_device(device), shard)
    said = os.environ.get("OMP_NUM_THREADS")
    if not said or (team.size > 1 and said == "1"):  # torchrun says 1 where nobody has said anything
        torch.set_num_threads(max(available_cores() // team.neighbours, 1))
    return team
