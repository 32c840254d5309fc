"""Gradient checkpointing (Chen et al. 2016): less memory for a second forward pass."""

from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from functools import partial

from torch import nn
from torch.utils.checkpoint import checkpoint


@contextmanager
def checkpointed(layers: Iterable[nn.Module], on: bool) -> Iterator[None]:
    """While open, the layers keep no inner activations but compute them again in the backward pass."""
    changed = list(layers) if on else []
    for layer in changed:
        layer.forward = partial(checkpoint, layer.forward, use_reentrant=False)
    try:
        yield
    finally:
        for layer in changed:
            del layer.forward  # the class's own shows again
