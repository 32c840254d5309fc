"""Trains a sequence model: labels, soft labels, early stopping on validation, checkpoints that a killed run resumes from."""

import logging
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn
from torch.utils.tensorboard import SummaryWriter  # type: ignore[attr-defined]
from tqdm import tqdm

from longtail.contracts.prepared import PreparedDataset, Split
from longtail.modeling.checkpoint import load_checkpoint, save_checkpoint
from longtail.modeling.device import keep_freed_memory
from longtail.modeling.losses import cross_entropy, distillation, label_cross_entropy
from longtail.modeling.sequence_model import SequenceModel
from longtail.modeling.sequences import Batch, Sequences, query_vectors

log = logging.getLogger(__name__)
HIDDEN_ATTRIBUTES = 0.25  # share of training users whose attributes are hidden, so that none are needed later


class TrainingSettings(Protocol):
    """What this loop reads of a stage's settings."""

    @property
    def epochs(self) -> int: ...
    @property
    def patience(self) -> int: ...
    @property
    def batch_positions(self) -> int: ...
    @property
    def learning_rate(self) -> float: ...
    @property
    def weight_decay(self) -> float: ...
    @property
    def warmup_share(self) -> float: ...


@dataclass(frozen=True)
class SoftLabels:
    """The teacher's part of the loss. ``logits``: (batch, positions of it) -> teacher scores [positions, items]."""

    logits: Callable[[Batch, Tensor], Tensor]
    weight: float
    temperature: float


@dataclass(frozen=True)
class TrainingData:
    """Training sequences, and the validation users that decide when to stop."""

    train: Sequences
    validation: Sequences
    validation_items: list[NDArray[np.int32]]
    exclude_history: bool

    @classmethod
    def of(cls, prepared: PreparedDataset, max_history: int) -> "TrainingData":
        attributes = attribute_codes(prepared)
        targets = prepared.targets(Split.VALIDATION)
        return cls(
            Sequences(prepared.train_sequences(), attributes, max_history),
            Sequences(targets.histories, [attributes[user] for user in targets.users], max_history),
            targets.items,
            prepared.exclude_history,
        )


def attribute_codes(prepared: PreparedDataset) -> list[NDArray[np.int64]]:
    """Each user's attributes as rows of the vocabulary. ``[users]``"""
    codes = {name: code for code, name in enumerate(prepared.facts["user_attributes"])}
    return [np.array([codes[name] for name in row], dtype=np.int64) for row in prepared.user_attributes]


def train(
    model: SequenceModel,
    data: TrainingData,
    settings: TrainingSettings,
    seed: int,
    bf16: bool,
    folder: Path,
    soft_labels: SoftLabels | None = None,
) -> float:
    """Train ``model`` in place up to its best epoch by validation NDCG@10, which is returned.

    After every epoch the state goes to ``folder/checkpoint.safetensors`` and the curves to ``folder/tensorboard``. A run
    that finds a checkpoint goes on from it, so the folder must belong to one set of data, settings and seed.
    """
    keep_freed_memory()
    device = model.start.device
    folder.mkdir(parents=True, exist_ok=True)
    checkpoint = folder / "checkpoint.safetensors"
    optimizer = torch.optim.AdamW(model.parameters(), lr=settings.learning_rate, weight_decay=settings.weight_decay)
    progress = _Progress()
    if checkpoint.is_file():
        tensors, numbers = load_checkpoint(checkpoint, optimizer)
        progress = _Progress.split(tensors, numbers, model)
        log.info("going on from %s after epoch %d", checkpoint, progress.epoch)
    writer = SummaryWriter(str(folder / "tensorboard"))  # type: ignore[no-untyped-call]
    for epoch in range(progress.epoch, settings.epochs):
        if progress.since_best >= settings.patience:
            log.info("no better epoch since %d epochs: stopping", progress.since_best)
            break
        torch.manual_seed(seed * 1000 + epoch)
        rng = np.random.default_rng([seed, epoch])
        losses = []
        model.train()
        batches = list(data.train.bucketed(settings.batch_positions, rng))
        for step, rows in enumerate(tqdm(batches, desc=f"epoch {epoch + 1}", unit="batch", disable=None, leave=False)):
            done = (epoch + step / len(batches)) / settings.epochs
            set_learning_rate(optimizer, settings.learning_rate * warm_up_then_linear(done, settings.warmup_share))
            batch = data.train.batch(rows, hide_attributes=rng.random(len(rows)) < HIDDEN_ATTRIBUTES)
            with torch.autocast(device.type, torch.bfloat16, enabled=bf16):
                loss = sequence_loss(model, batch, soft_labels)
            optimizer.zero_grad(set_to_none=True)
            loss.backward()  # type: ignore[no-untyped-call]
            nn.utils.clip_grad_norm_(model.parameters(), 5.0)
            optimizer.step()
            losses.append(loss.item())
        score = validation_ndcg(model, data)
        loss_mean = float(np.mean(losses)) if losses else 0.0
        writer.add_scalar("loss/train", loss_mean, epoch + 1)  # type: ignore[no-untyped-call]
        writer.add_scalar("ndcg@10/validation", score, epoch + 1)  # type: ignore[no-untyped-call]
        progress.record(epoch + 1, score, model)
        save_checkpoint(checkpoint, progress.tensors(model), optimizer, progress.numbers())
        log.info("epoch %d of %d: loss %.3f, validation NDCG@10 %.4f", epoch + 1, settings.epochs, loss_mean, score)
    writer.close()  # type: ignore[no-untyped-call]
    model.load_state_dict(progress.best or model.state_dict())
    model.eval()
    return progress.best_score


def set_learning_rate(optimizer: torch.optim.Optimizer, rate: float) -> None:
    for group in optimizer.param_groups:
        group["lr"] = rate


def warm_up_then_linear(done: float, warmup_share: float) -> float:
    """Factor of the learning rate at ``done`` (0..1) of the training: a linear rise, then a linear fall to 2 %."""
    if done < warmup_share:
        return max(done / warmup_share, 0.02)
    return max((1 - done) / (1 - warmup_share), 0.02)


def sequence_loss(model: SequenceModel, batch: Batch, soft_labels: SoftLabels | None) -> Tensor:
    """Full-softmax cross-entropy of the next item at every place, of any item after the start alone, and soft labels."""
    device = model.start.device
    histories, valid = batch.histories.to(device), batch.valid.to(device)
    vectors = model.item_vectors()
    starts = model.starts(batch.attributes.to(device), batch.offsets.to(device))
    queries = model(vectors, histories, starts)  # [batch, 1 + length, dim]
    logits = queries[:, :-1][valid] @ vectors.T  # [positions, items]
    loss = label_cross_entropy(histories[valid], logits)
    if soft_labels is not None:
        with torch.no_grad():
            teacher = soft_labels.logits(batch, valid)
        soft = distillation(teacher, logits, soft_labels.temperature)
        loss = (1 - soft_labels.weight) * loss + soft_labels.weight * soft
    # What any newcomer with these attributes goes on to choose: p is uniform over the user's items.
    shares = torch.zeros(len(histories), len(vectors), device=device)
    shares.scatter_add_(1, histories, valid.float() / valid.sum(dim=1, keepdim=True).clamp(min=1))
    return loss + 0.1 * cross_entropy(shares, queries[:, 0] @ vectors.T)


@torch.no_grad()
def validation_ndcg(model: SequenceModel, data: TrainingData, size: int = 1024) -> float:
    """Mean NDCG@10 of the validation targets over the whole catalogue; a tie counts against the model."""
    if len(data.validation) == 0:
        return 0.0
    vectors = model.item_vectors()
    queries = query_vectors(model, data.validation)
    gains = []
    for begin in range(0, len(queries), size):
        scores = queries[begin : begin + size] @ vectors.T
        for row, user in enumerate(range(begin, begin + len(scores))):
            targets = torch.from_numpy(data.validation_items[user].astype(np.int64))
            wanted = scores[row, targets].clone()
            if data.exclude_history:
                scores[row, torch.from_numpy(data.validation.histories[user].astype(np.int64))] = -torch.inf
            ranks = (scores[row][None, :] >= wanted[:, None]).sum(dim=1).cpu().numpy()  # 1 is best
            ideal = (1 / np.log2(np.arange(2, 2 + min(len(ranks), 10)))).sum()
            gains.append((1 / np.log2(1 + ranks[ranks <= 10])).sum() / ideal)
    return float(np.mean(gains))


@dataclass
class _Progress:
    """Where a training run stands."""

    epoch: int = 0
    best_score: float = 0.0
    since_best: int = 0
    best: dict[str, Tensor] | None = None

    def record(self, epoch: int, score: float, model: nn.Module) -> None:
        self.epoch = epoch
        if self.best is None or score > self.best_score:
            self.best_score, self.since_best = score, 0
            self.best = {name: value.detach().cpu().clone() for name, value in model.state_dict().items()}
        else:
            self.since_best += 1

    def numbers(self) -> dict[str, float]:
        return {"epoch": self.epoch, "best_score": self.best_score, "since_best": self.since_best}

    def tensors(self, model: nn.Module) -> dict[str, Tensor]:
        best = {f"best/{name}": value for name, value in (self.best or {}).items()}
        return dict(model.state_dict()) | best

    @classmethod
    def split(cls, tensors: dict[str, Tensor], numbers: dict[str, Any], model: nn.Module) -> "_Progress":
        """Undo ``tensors``: put the model's own state back, and keep the best epoch's."""
        model.load_state_dict({name: value for name, value in tensors.items() if not name.startswith("best/")})
        best = {name.removeprefix("best/"): value for name, value in tensors.items() if name.startswith("best/")}
        return cls(int(numbers["epoch"]), float(numbers["best_score"]), int(numbers["since_best"]), best)
