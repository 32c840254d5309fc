"""Adapts the language model's upper layers by LoRA to what users choose together."""

import logging
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from peft import LoraConfig, inject_adapter_in_model
from scipy import sparse
from torch import Tensor, nn
from tqdm import tqdm
from transformers.pytorch_utils import Conv1D

from longtail.contracts.settings import FinetuneSettings
from longtail.modeling.checkpoint import load_checkpoint, save_checkpoint
from longtail.modeling.language_model import CachedStates, LanguageModel, UpperLayers
from longtail.modeling.losses import contrastive
from longtail.modeling.training import set_learning_rate, warm_up_then_linear

log = logging.getLogger(__name__)
CHECKPOINT_STEPS = 25


def add_lora(upper: UpperLayers, rank: int) -> None:
    """Put LoRA matrices on every linear map of the adapted layers and freeze all else."""
    names = [
        name
        for name, module in upper.backbone.named_modules()
        if isinstance(module, (nn.Linear, Conv1D))
        and "pooler" not in name
        and any(part.isdigit() for part in name.split("."))
    ]
    inject_adapter_in_model(
        LoraConfig(r=rank, lora_alpha=2 * rank, lora_dropout=0.0, target_modules=names), upper.backbone
    )
    for name, parameter in upper.named_parameters():
        parameter.requires_grad_("lora_" in name)


def merge_lora(upper: UpperLayers) -> None:
    """Fold the LoRA matrices into the layers' own weights, so that plain modules remain."""
    for name, module in list(upper.backbone.named_modules()):
        if hasattr(module, "base_layer") and hasattr(module, "merge"):
            module.merge()
            parent, _, child = name.rpartition(".")
            setattr(upper.backbone.get_submodule(parent), child, module.base_layer)


def pair_matrix(sequences: Sequence[NDArray[np.int32]], n_items: int) -> sparse.csr_array:
    """How often two items lie in one training history, each history counting 1 / (its length - 1). ``[items, items]``"""
    used = [np.unique(sequence) for sequence in sequences if len(np.unique(sequence)) > 1]
    users = np.repeat(np.arange(len(used)), [len(items) for items in used])
    items = np.concatenate([*used, np.zeros(0, np.int32)])
    scale = np.concatenate([np.full(len(items), 1.0 / np.sqrt(len(items) - 1)) for items in used] or [np.zeros(0)])
    incidence = sparse.csr_array((scale, (users, items)), shape=(len(used), n_items))
    pairs = sparse.csr_array(incidence.T @ incidence)
    pairs.setdiag(0.0)
    pairs.eliminate_zeros()
    return pairs


def adapt(
    language_model: LanguageModel,
    cached: CachedStates,
    sequences: Sequence[NDArray[np.int32]],
    settings: FinetuneSettings,
    seed: int,
    device: torch.device,
    bf16: bool,
    folder: Path,
) -> UpperLayers:
    """Contrastive LoRA training of the upper layers on items of one history, then merged.

    A batch is the items of random whole histories; an item's target distribution is its share of common histories within
    the batch. Checkpoints in ``folder`` let a killed run go on.
    """
    first = len(language_model.layers) - settings.adapted_layers
    upper = UpperLayers(language_model, first).to(device)
    if settings.adapt_steps == 0:
        return upper
    torch.manual_seed(seed)
    add_lora(upper, settings.lora_rank)
    n_items = len(cached.states)
    pairs = pair_matrix(sequences, n_items)
    popularity = np.log1p(np.bincount(np.concatenate([*sequences, np.zeros(0, np.int32)]), minlength=n_items))
    histories = [sequence for sequence in sequences if len(np.unique(sequence)) > 1]
    if not histories:
        log.warning("no history holds two items: the language model stays as it is")
        merge_lora(upper)
        return upper
    parameters = {name: p for name, p in upper.named_parameters() if p.requires_grad}
    optimizer = torch.optim.AdamW(
        parameters.values(), lr=settings.adapt_learning_rate, weight_decay=settings.weight_decay
    )
    folder.mkdir(parents=True, exist_ok=True)
    checkpoint = folder / "adaptation.safetensors"
    begin = 0
    if checkpoint.is_file():
        tensors, numbers = load_checkpoint(checkpoint, optimizer)
        upper.load_state_dict(tensors, strict=False)
        begin = int(numbers["step"])
        log.info("going on from %s after step %d", checkpoint, begin)
    upper.eval()  # no dropout: on CPUs it costs more than the products do
    steps, running = settings.adapt_steps, 0.0
    for step in tqdm(range(begin, steps), desc="adapt", unit="step", disable=None):
        torch.manual_seed(seed * 1_000_003 + step)
        set_learning_rate(
            optimizer, settings.adapt_learning_rate * warm_up_then_linear(step / steps, settings.warmup_share)
        )
        items = _batch_items(histories, settings.adapt_batch, np.random.default_rng([seed, step]))
        states, mask = cached.batch(torch.from_numpy(items))
        with torch.autocast(device.type, torch.bfloat16, enabled=bf16):
            vectors = upper(states.to(device, torch.float32), mask.to(device))
        loss = pair_loss(vectors, pairs[items][:, items].toarray(), popularity[items], settings)
        optimizer.zero_grad(set_to_none=True)
        loss.backward()  # type: ignore[no-untyped-call]
        nn.utils.clip_grad_norm_(parameters.values(), 1.0)
        optimizer.step()
        running = loss.item() if step == begin else 0.95 * running + 0.05 * loss.item()
        if (step + 1) % CHECKPOINT_STEPS == 0 or step + 1 == steps:
            save_checkpoint(checkpoint, dict(parameters), optimizer, {"step": step + 1})
            log.info("adapt: step %d of %d, loss %.3f", step + 1, steps, running)
    merge_lora(upper)
    upper.eval()
    return upper


def pair_loss(
    vectors: Tensor, pairs: NDArray[np.float64], log_popularity: NDArray[np.float64], settings: FinetuneSettings
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
        settings.adapt_temperature,
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
