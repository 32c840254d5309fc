"""Checkpoints of a training run as one safetensors file, written atomically, and the folder in which a run finds its own."""

import hashlib
import json
import math
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from safetensors import safe_open
from safetensors.torch import save_file
from torch import Tensor

from longtail.contracts.folders import make_folder, place_of
from longtail.contracts.settings_base import Settings
from longtail.modeling.techniques.sharding import sharded_like, whole
from longtail.system.code_version import code_digest, read_digest


def run_folder(
    output: str | Path, checkpoints: str | Path | None, settings: Settings, seed: int, inputs: Sequence[str]
) -> Path:
    """Make the folder of a run's progress: below ``checkpoints``, or beside ``output`` where that is None.

    Its name stands for all that the result depends on, so that a run never goes on with another one's progress: the stage,
    its settings and what lies at the places that they name (a local language model), the seed, the code, and
    ``inputs``, the digests of the manifests of the artifacts that are read.

    Raises:
        UserError: it cannot be made or written.
    """
    known = [type(settings).__name__, settings.canonical(), read_digest(settings), seed, code_digest(), *inputs]
    key = hashlib.sha256(json.dumps(known).encode()).hexdigest()[:16]
    place = place_of(output)
    return make_folder((Path(checkpoints) if checkpoints else place.with_name(f"{place.name}.checkpoints")) / key)


def save_checkpoint(
    path: Path,
    tensors: dict[str, Tensor],
    optimizer: torch.optim.Optimizer,
    numbers: dict[str, Any],
    write: bool = True,
) -> None:
    """Replace ``path``. numbers: whatever JSON holds, for example epoch and best score.

    write: false for all but the first of several processes, which take part because tensors may be sharded.
    """
    flat = {f"model.{name}": _plain(value) for name, value in tensors.items()}
    for index, state in optimizer.state_dict()["state"].items():
        flat |= {f"optimizer.{index}.{name}": _plain(value) for name, value in state.items()}
    if write:
        partial = path.with_name(f".{path.name}.partial")
        save_file(flat, partial, metadata={"numbers": json.dumps(numbers)})
        partial.replace(path)


def _plain(tensor: Tensor) -> Tensor:
    return whole(tensor.detach()).cpu().contiguous().clone()


def load_checkpoint(path: Path, optimizer: torch.optim.Optimizer) -> tuple[dict[str, Tensor], dict[str, Any]]:
    """The tensors and numbers of ``save_checkpoint``; the optimizer's state is put back in place."""
    tensors: dict[str, Tensor] = {}
    state: dict[int, dict[str, Tensor]] = {}
    parameters = [parameter for group in optimizer.param_groups for parameter in group["params"]]
    with safe_open(path, framework="pt") as file:
        numbers = json.loads(file.metadata()["numbers"])
        for key in file.keys():  # noqa: SIM118
            kind, _, rest = key.partition(".")
            if kind == "model":
                tensors[rest] = file.get_tensor(key)
            else:
                index, _, name = rest.partition(".")
                value = file.get_tensor(key)
                own = parameters[int(index)]
                state.setdefault(int(index), {})[name] = sharded_like(own, value) if value.shape == own.shape else value
    optimizer.load_state_dict({"state": state, "param_groups": optimizer.state_dict()["param_groups"]})
    return tensors, numbers


@dataclass
class Progress:
    """Where a training run stands, and the weights of its best epoch."""

    epoch: int = 0
    best_score: float = 0.0
    since_best: int = 0
    best: dict[str, Tensor] | None = None

    def record(self, epoch: int, score: float, weights: dict[str, Tensor], latest: bool = False) -> None:
        """score: finite, or it would never be exceeded. latest: this epoch is kept whatever its score is."""
        assert math.isfinite(score)
        self.epoch = epoch
        if latest or self.best is None or score > self.best_score:
            self.best_score, self.since_best = score, 0
            self.best = {name: value.detach().cpu().clone() for name, value in weights.items()}
        else:
            self.since_best += 1

    def numbers(self) -> dict[str, Any]:
        return {"epoch": self.epoch, "best_score": self.best_score, "since_best": self.since_best}

    @classmethod
    def of(cls, numbers: dict[str, Any], best: dict[str, Tensor]) -> "Progress":
        return cls(int(numbers["epoch"]), float(numbers["best_score"]), int(numbers["since_best"]), best)
