"""Adapts the language model's upper layers to what users choose together."""

import logging
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

import numpy as np
import torch
from numpy.typing import NDArray
from scipy import sparse
from torch import Tensor

from longtail.modeling.adaptation_settings import AdaptationSettings
from longtail.modeling.adapters import add_adapters, merge_lora
from longtail.modeling.language_model import CachedStates, UpperLayers
from longtail.modeling.losses import contrastive
from longtail.modeling.steps import Steps
from longtail.modeling.techniques.adversarial import adversarial_step
from longtail.modeling.techniques.anchoring import anchor_loss
from longtail.modeling.techniques.gradient_checkpointing import checkpointed
from longtail.neighbours.counting import shared_histories

log = logging.getLogger(__name__)


class TextBatches(Protocol):
    """Where the adaptation's batches of texts come from."""

    def __len__(self) -> int: ...

    def batch(self, items: NDArray[np.int64], rng: np.random.Generator) -> tuple[Tensor, Tensor, Tensor]:
        """States before the adapted layers [n, tokens, dim], mask [n, tokens], pretrained unit vectors [n, dim]."""
        ...


@dataclass
class PlainTexts:
    """The items' texts as they are, from the cache. frozen [items, dim] unit rows."""

    cached: CachedStates
    frozen: NDArray[np.float32]

    def __len__(self) -> int:
        return len(self.cached.states)

    def batch(self, items: NDArray[np.int64], _: np.random.Generator) -> tuple[Tensor, Tensor, Tensor]:
        states, mask = self.cached.batch(torch.from_numpy(items))
        return states, mask, torch.from_numpy(self.frozen[items])


def adapt(
    upper: UpperLayers,
    texts: TextBatches,
    sequences: Sequence[NDArray[np.int32]],
    settings: AdaptationSettings,
    seed: int,
    bf16: bool,
    folder: Path,
) -> None:
    """Contrastive training of the upper layers, in place, on items of one history.

    A batch is the items of random whole histories; an item's target distribution is its share of common histories within
    the batch. Checkpoints in ``folder`` let a killed run go on.
    """
    histories = [sequence for sequence in sequences if len(np.unique(sequence)) > 1]
    if settings.steps and not histories:
        log.warning("no history holds two items: the language model stays as it is")
    if settings.steps == 0 or not histories:
        return
    torch.manual_seed(seed)
    ranks = add_adapters(upper, settings)
    objective = _Objective.of(sequences, len(texts), settings)

    def backward(step: int) -> float:
        loss, parts = 0.0, settings.accumulation
        for part in range(step * parts, (step + 1) * parts):
            rng = np.random.default_rng([seed, part])
            items = _batch_items(histories, settings.batch, rng)
            states, mask, frozen = texts.batch(items, rng)
            loss += objective.backward(upper, items, states, mask, frozen, bf16) / parts
        if ranks is not None:
            ranks.penalty().backward()  # type: ignore[no-untyped-call]
        return loss

    parameters = {name: p for name, p in upper.named_parameters() if p.requires_grad}
    upper.eval()  # no dropout: on CPUs it costs more than the products do
    with checkpointed(upper.layers, settings.gradient_checkpointing):
        Steps(
            "adapt",
            settings.steps,
            "finetune.adaptation.learning_rate",
            settings.learning_rate,
            parameters,
            settings,
            seed,
            folder / "adaptation.safetensors",
            ranks,
        ).run(backward)
    merge_lora(upper)
    upper.eval()


@dataclass
class _Objective:
    """The adaptation's loss: contrastive; anchored to the pretrained vectors, or asked once more under attack, where set."""

    pairs: sparse.csr_array  # [items, items]
    log_popularity: NDArray[np.float64]  # [items]
    settings: AdaptationSettings

    @classmethod
    def of(cls, sequences: Sequence[NDArray[np.int32]], n_items: int, settings: AdaptationSettings) -> "_Objective":
        counts = np.bincount(np.concatenate([*sequences, np.zeros(0, np.int32)]), minlength=n_items)
        return cls(shared_histories(sequences, n_items), np.log1p(counts), settings)

    def backward(
        self, upper: UpperLayers, items: NDArray[np.int64], states: Tensor, mask: Tensor, frozen: Tensor, bf16: bool
    ) -> float:
        """Add the gradients of one batch (shapes as in ``TextBatches.batch``), and return its loss."""
        device = next(upper.parameters()).device
        epsilon, parts = self.settings.fgm_epsilon, self.settings.accumulation
        states, mask, frozen = states.to(device, torch.float32), mask.to(device), frozen.to(device)
        pairs = self.pairs[items][:, items].toarray()

        def once(states: Tensor) -> float:
            with torch.autocast(device.type, torch.bfloat16, enabled=bf16):
                vectors = upper(states, mask)
            loss = pair_loss(vectors, pairs, self.log_popularity[items], self.settings)
            if self.settings.anchor_weight:
                loss = loss + self.settings.anchor_weight * anchor_loss(vectors, frozen)
            (loss / parts).backward()  # type: ignore[no-untyped-call]
            return loss.item()

        if not epsilon:
            return once(states)
        states.requires_grad_()
        loss = once(states)
        assert states.grad is not None
        once(states.detach() + adversarial_step(states.grad * parts * mask[..., None], epsilon))
        return loss


def pair_loss(
    vectors: Tensor, pairs: NDArray[np.float64], log_popularity: NDArray[np.float64], settings: AdaptationSettings
) -> Tensor:
    """The contrastive loss over the batch's items that have a partner in it.

    vectors [batch, dim]; pairs [batch, batch] how often two items share a history; log_popularity [batch].
    """
    device = vectors.device
    with_partner = torch.from_numpy(np.flatnonzero(pairs.sum(axis=1) > 0)).to(device)
    shares = torch.from_numpy(pairs / np.maximum(pairs.sum(axis=1, keepdims=True), 1e-12)).float().to(device)
    return contrastive(
        vectors,
        with_partner,
        shares[with_partner],
        torch.from_numpy(log_popularity).float().to(device),
        settings.temperature,
        settings.popularity_correction,
    )


def _batch_items(histories: Sequence[NDArray[np.int32]], size: int, rng: np.random.Generator) -> NDArray[np.int64]:
    """``size`` items of random whole histories, each once."""
    chosen: dict[int, None] = {}
    for row in rng.permutation(len(histories)):
        chosen.update(dict.fromkeys(histories[row].tolist()))
        if len(chosen) >= size:
            break
    return np.array(sorted(list(chosen)[:size]), dtype=np.int64)


@torch.no_grad()
def adapted_vectors(
    upper: UpperLayers, cached: CachedStates, device: torch.device, bf16: bool, size: int = 256
) -> NDArray[np.float32]:
    """Unit vectors of all texts by the adapted layers. ``[texts, dim]``"""
    upper.eval()
    order = torch.argsort(cached.lengths, stable=True)
    parts = []
    for begin in range(0, len(order), size):
        states, mask = cached.batch(order[begin : begin + size])
        with torch.autocast(device.type, torch.bfloat16, enabled=bf16):
            parts.append(upper(states.to(device, torch.float32), mask.to(device)).cpu())
    vectors = torch.empty(len(order), parts[0].shape[1])
    vectors[order] = torch.cat(parts)
    return vectors.numpy()
