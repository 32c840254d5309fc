"""Trains a sequence model: early stopping on validation, checkpoints that a killed run resumes from."""

import copy
import logging
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn
from torch.utils.tensorboard import SummaryWriter  # type: ignore[attr-defined]
from tqdm import tqdm

from longtail.contracts.prepared import PreparedDataset, Split
from longtail.metrics.ranking import TargetRanks, ndcg, rank_targets
from longtail.modeling.augmentation import augment
from longtail.modeling.checkpoint import Progress, load_checkpoint, save_checkpoint
from longtail.modeling.device import keep_freed_memory
from longtail.modeling.distillation import Lesson
from longtail.modeling.neighbour_term import NeighbourTerm
from longtail.modeling.objective import Objective
from longtail.modeling.optimization import (
    WeightAverage,
    adversarial_step,
    make_optimizer,
    schedule,
    set_learning_rate,
)
from longtail.modeling.parallel import Team, load_whole, whole
from longtail.modeling.sequence_model import SequenceModel
from longtail.modeling.sequences import Sequences, query_vectors
from longtail.modeling.training_settings import TrainingSettings

log = logging.getLogger(__name__)
HIDDEN_ATTRIBUTES = 0.25  # share of training users whose attributes are hidden, so that none are needed later


@dataclass(frozen=True)
class TrainingData:
    """Training sequences, the validation users that decide when to stop, and the sparse term beside the dense scores."""

    train: Sequences
    validation: Sequences
    validation_items: list[NDArray[np.int32]]
    exclude_history: bool
    neighbours: NeighbourTerm | None = None

    @classmethod
    def of(cls, prepared: PreparedDataset, max_history: int, neighbours: NeighbourTerm | None = None) -> "TrainingData":
        attributes = attribute_codes(prepared)
        targets = prepared.targets(Split.VALIDATION)
        return cls(
            Sequences(prepared.train_sequences(), attributes, max_history),
            Sequences(targets.histories, [attributes[user] for user in targets.users], max_history),
            targets.items,
            prepared.exclude_history,
            neighbours,
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
    precision: torch.dtype,
    folder: Path,
    lesson: Lesson | None = None,
    team: Team | None = None,
) -> float:
    """Train ``model`` in place up to its best epoch by validation NDCG@10, which is returned.

    After every epoch the state goes to ``folder/checkpoint.safetensors`` and the curves to ``folder/tensorboard``. A run
    that finds a checkpoint goes on from it, so the folder must belong to one set of data, settings and seed.
    """
    keep_freed_memory()
    team = team or Team(model.start.device, shard=False)
    folder.mkdir(parents=True, exist_ok=True)
    checkpoint = folder / "checkpoint.safetensors"
    # averaged or sharded weights are validated in a model beside the one that learns
    learner = copy.deepcopy(model) if settings.average_decay or team.shard else model
    objective = Objective(learner, settings, lesson, data.neighbours)
    learner.encoder.recompute = settings.block_checkpointing
    team.spread(objective, learner.encoder.blocks)
    optimizer = make_optimizer(
        objective.parameters(), settings.optimizer, settings.learning_rate, settings.weight_decay
    )
    average = WeightAverage(learner.state_dict(), settings.average_decay) if settings.average_decay else None
    scaler = torch.amp.GradScaler(model.start.device.type, enabled=precision is torch.float16)
    progress = Progress()
    if checkpoint.is_file():
        progress = _go_on(checkpoint, objective, optimizer, average, scaler)
        log.info("going on from %s after epoch %d", checkpoint, progress.epoch)
    writer = SummaryWriter(str(folder / "tensorboard")) if team.first else None  # type: ignore[no-untyped-call]
    for epoch in range(progress.epoch, settings.epochs):
        if progress.since_best >= settings.patience and _term_has_joined(settings, epoch):
            log.info("no better epoch since %d epochs: stopping", progress.since_best)
            break
        loss = _epoch(objective, data.train, settings, seed, epoch, precision, optimizer, average, scaler, team)
        weights = {name: whole(value) for name, value in (average.values if average else learner.state_dict()).items()}
        if learner is not model:
            model.load_state_dict(weights)
        score = team.mean(validation_ndcg(model, data))
        progress.record(epoch + 1, score, weights)
        _save(checkpoint, objective, optimizer, average, scaler, progress, team)
        if writer is not None:
            writer.add_scalar("loss/train", loss, epoch + 1)  # type: ignore[no-untyped-call]
            writer.add_scalar("ndcg@10/validation", score, epoch + 1)  # type: ignore[no-untyped-call]
            log.info("epoch %d of %d: loss %.3f, validation NDCG@10 %.4f", epoch + 1, settings.epochs, loss, score)
    if writer is not None:
        writer.close()  # type: ignore[no-untyped-call]
    model.load_state_dict(progress.best or model.state_dict())
    model.eval()
    model.encoder.recompute = False
    return progress.best_score


def _epoch(
    objective: Objective,
    sequences: Sequences,
    settings: TrainingSettings,
    seed: int,
    epoch: int,
    precision: torch.dtype,
    optimizer: torch.optim.Optimizer,
    average: WeightAverage | None,
    scaler: torch.amp.GradScaler,
    team: Team,
) -> float:
    """The mean of the batches' losses."""
    torch.manual_seed(seed * 1000 + epoch + 1_000_003 * team.rank)  # dropout of its own in each process
    rng = np.random.default_rng([seed, epoch])
    with_term = _term_has_joined(settings, epoch)
    batches = _batches(sequences, settings, rng, np.random.default_rng([seed, epoch, 1]))
    device = objective.model.start.device.type
    objective.train()
    losses = []
    bar = tqdm(batches, f"epoch {epoch + 1}", unit="batch", disable=None if team.first else True, leave=False)
    for step, (changed, weights, rows) in enumerate(bar):
        hide = rng.random(len(rows)) < HIDDEN_ATTRIBUTES
        places, shares = team.share(rows, changed.lengths)
        batch = changed.batch(rows[places], hide[places], weights)
        in_group = step % settings.accumulation
        group = min(settings.accumulation, len(batches) - (step - in_group))
        if in_group == 0:
            optimizer.zero_grad(set_to_none=True)
        with torch.autocast(device, precision, enabled=precision is not torch.float32):
            loss, inputs = objective(batch, shares, with_term=with_term)
        if settings.fgm_epsilon:
            inputs.retain_grad()
        scaler.scale(loss / group).backward()
        if settings.fgm_epsilon:
            assert inputs.grad is not None
            direction = adversarial_step(inputs.grad, settings.fgm_epsilon)
            with torch.autocast(device, precision, enabled=precision is not torch.float32):
                worse, _ = objective(batch, shares, direction, with_term)
            scaler.scale(worse / group).backward()
        losses.append(loss.item())
        if in_group + 1 < group:
            continue
        done = (epoch + step / len(batches)) / settings.epochs
        set_learning_rate(optimizer, settings.learning_rate * schedule(settings.schedule, done, settings.warmup_share))
        team.average_gradients(objective)
        scaler.unscale_(optimizer)
        if settings.clip:
            nn.utils.clip_grad_norm_(objective.parameters(), settings.clip)
        scaler.step(optimizer)
        scaler.update()
        if average is not None:
            average.update(objective.model.state_dict())
    return team.mean(float(np.mean(losses)) if losses else 0.0)


def _term_has_joined(settings: TrainingSettings, epoch: int) -> bool:
    return epoch >= settings.term_after * settings.epochs


def _batches(
    sequences: Sequences, settings: TrainingSettings, order: np.random.Generator, changes: np.random.Generator
) -> list[tuple[Sequences, NDArray[np.float32] | None, NDArray[np.intp]]]:
    """Passes over the sequences until there are ``epoch_steps`` batches: changed sequences, their weights, the batch's rows."""
    batches: list[tuple[Sequences, NDArray[np.float32] | None, NDArray[np.intp]]] = []
    while len(batches) < settings.epoch_steps and sequences.lengths.any():
        changed = augment(sequences, settings, changes)
        weights = changed.weights(settings.user_weight_power)
        batches += [(changed, weights, rows) for rows in changed.bucketed(settings.batch_positions, order)]
    return batches


def _save(
    path: Path,
    objective: Objective,
    optimizer: torch.optim.Optimizer,
    average: WeightAverage | None,
    scaler: torch.amp.GradScaler,
    progress: Progress,
    team: Team,
) -> None:
    parts = {"own": objective.state_dict(), "best": progress.best or {}, "average": average.values if average else {}}
    tensors = {f"{part}/{name}": value for part, values in parts.items() for name, value in values.items()}
    more = {"scaler": scaler.state_dict(), "average_steps": average.steps if average else 0}
    save_checkpoint(path, tensors, optimizer, progress.numbers() | more, team.first)


def _go_on(
    path: Path,
    objective: Objective,
    optimizer: torch.optim.Optimizer,
    average: WeightAverage | None,
    scaler: torch.amp.GradScaler,
) -> Progress:
    """Put back what ``_save`` wrote."""
    tensors, numbers = load_checkpoint(path, optimizer)
    parts: dict[str, dict[str, Tensor]] = {"own": {}, "best": {}, "average": {}}
    for key, value in tensors.items():
        part, _, name = key.partition("/")
        parts[part][name] = value
    load_whole(objective, parts["own"])
    if average is not None:
        average.restore(parts["average"], int(numbers["average_steps"]))
    if numbers["scaler"]:
        scaler.load_state_dict(numbers["scaler"])
    return Progress.of(numbers, parts["best"])


@torch.no_grad()
def validation_ndcg(model: SequenceModel, data: TrainingData, size: int = 1024) -> float:
    """Mean NDCG@10 of the validation targets over the whole catalogue; a tie counts against the model."""
    if len(data.validation) == 0:
        return 0.0
    vectors = model.item_vectors()
    queries = query_vectors(model, data.validation)
    ranks = []
    for begin in range(0, len(queries), size):
        histories = data.validation.histories[begin : begin + size]
        scores = (queries[begin : begin + size] @ vectors.T).cpu().numpy()
        if data.neighbours is not None:
            scores += data.neighbours.after(histories).numpy()
        wanted = data.validation_items[begin : begin + size]
        ranks.append(rank_targets(scores, wanted, histories if data.exclude_history else []))
    return float(ndcg(TargetRanks.joined(ranks)).mean())
