"""Sharding (FSDP2; Zhao et al. 2023, VLDB): weights, gradients and optimizer state spread over the processes of a team.

It is the function that accelerate's own plugin calls; the plugin itself refuses CPUs. Each process still holds the weights
once, to validate with.
"""

from collections.abc import Iterable, Mapping

import torch
from torch import Tensor, nn
from torch.distributed.fsdp import fully_shard
from torch.distributed.tensor import DTensor, distribute_tensor


def shard(module: nn.Module, layers: Iterable[nn.Module], device: torch.device, processes: int) -> None:
    """Shard the module in place, each of ``layers`` on its own."""
    mesh = torch.distributed.device_mesh.init_device_mesh(device.type, (processes,))
    for layer in layers:
        fully_shard(layer, mesh=mesh)
    fully_shard(module, mesh=mesh)


def whole(tensor: Tensor) -> Tensor:
    """The full tensor of a sharded one; all processes must ask for it."""
    return tensor.full_tensor() if isinstance(tensor, DTensor) else tensor


def load_whole(module: nn.Module, tensors: Mapping[str, Tensor]) -> None:
    """Put full tensors into a module that may be sharded."""
    own = module.state_dict()
    module.load_state_dict({name: sharded_like(own[name], value) for name, value in tensors.items()})


def sharded_like(own: Tensor, tensor: Tensor) -> Tensor:
    """A full tensor spread as ``own`` is."""
    if not isinstance(own, DTensor):
        return tensor
    return distribute_tensor(tensor.to(own.device), own.device_mesh, own.placements)
