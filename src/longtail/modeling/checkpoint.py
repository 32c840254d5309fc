"""Checkpoints of a training run as one safetensors file, written atomically."""

import json
from pathlib import Path
from typing import Any

import torch
from safetensors import safe_open
from safetensors.torch import save_file
from torch import Tensor


def save_checkpoint(
    path: Path, tensors: dict[str, Tensor], optimizer: torch.optim.Optimizer, numbers: dict[str, Any]
) -> None:
    """Replace ``path``. numbers: whatever JSON holds, for example epoch and best score."""
    flat = {f"model.{name}": value.detach().cpu().contiguous().clone() for name, value in tensors.items()}
    for index, state in optimizer.state_dict()["state"].items():
        flat |= {
            f"optimizer.{index}.{name}": value.detach().cpu().contiguous().clone() for name, value in state.items()
        }
    partial = path.with_name(f".{path.name}.partial")
    save_file(flat, partial, metadata={"numbers": json.dumps(numbers)})
    partial.replace(path)


def load_checkpoint(path: Path, optimizer: torch.optim.Optimizer) -> tuple[dict[str, Tensor], dict[str, Any]]:
    """The tensors and numbers of ``save_checkpoint``; the optimizer's state is put back in place."""
    tensors: dict[str, Tensor] = {}
    state: dict[int, dict[str, Tensor]] = {}
    with safe_open(path, framework="pt") as file:
        numbers = json.loads(file.metadata()["numbers"])
        for key in file.keys():  # noqa: SIM118
            kind, _, rest = key.partition(".")
            if kind == "model":
                tensors[rest] = file.get_tensor(key)
            else:
                index, _, name = rest.partition(".")
                state.setdefault(int(index), {})[name] = file.get_tensor(key)
    optimizer.load_state_dict({"state": state, "param_groups": optimizer.state_dict()["param_groups"]})
    return tensors, numbers
