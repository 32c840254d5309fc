"""Trains a sequence model: early stopping on validation, checkpoints that a killed run resumes from."""

import copy
import logging
import math
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from torch import Tensor, nn
from torch.utils.tensorboard import SummaryWriter  # type: ignore[attr-defined]
from tqdm import tqdm

from longtail.contracts.errors import UserError
from longtail.modeling.checkpoint import Progress, load_checkpoint, save_checkpoint
from longtail.modeling.device import keep_freed_memory
from longtail.modeling.distillation import Lesson
from longtail.modeling.objective import Objective
from longtail.modeling.optimization import make_optimizer, schedule, set_learning_rate
from longtail.modeling.parallel import Team
from longtail.modeling.sequence_model import SequenceModel
from longtail.modeling.sequences import Batch
from longtail.modeling.techniques.adversarial import adversarial_step
from longtail.modeling.techniques.gradient_checkpointing import checkpointed
from longtail.modeling.techniques.sharding import load_whole, whole
from longtail.modeling.techniques.weight_average import WeightAverage
from longtail.modeling.training_data import TrainingData, epoch_batches, validation_ndcg
from longtail.modeling.training_settings import TrainingSettings

log = logging.getLogger(__name__)
HIDDEN_ATTRIBUTES = 0.25  # share of training users whose attributes are hidden, so that none are needed later


@dataclass(frozen=True)
class Run:
    """How a training run goes, and the folder of its state, which belongs to one set of data, settings and seed.

    stage: whose settings these are, for messages. epochs: how many of the settings' epochs are trained where validation chose
    that before, and is not asked again.
    """

    stage: str
    settings: TrainingSettings
    seed: int
    precision: torch.dtype
    folder: Path
    team: Team
    epochs: int | None = None

    def has_term(self, epoch: int) -> bool:
        """Whether the sparse term has joined."""
        return epoch >= self.settings.term_after * self.settings.epochs


@dataclass(frozen=True)
class Best:
    """The epoch whose weights are kept: its validation NDCG@10, and its number from 1."""

    ndcg: float
    epochs: int

    @property
    def trained(self) -> bool:
        """Whether anything was learnt, so that dense scores mean something."""
        return self.epochs > 0

    def facts(self) -> dict[str, float | int]:
        """As manifests hold it."""
        return {"validation_ndcg": self.ndcg, "epochs": self.epochs}


def train(model: SequenceModel, data: TrainingData, run: Run, lesson: Lesson | None = None) -> Best:
    """Train ``model`` in place up to its best epoch by validation NDCG@10, or for ``run.epochs`` epochs.

    After every epoch the state goes to ``checkpoint.safetensors`` in the run's folder and the curves to ``tensorboard``. A
    run that finds a checkpoint goes on from it. Training ends, with a warning, at an epoch whose loss, weights or scores are
    not finite.

    Raises:
        UserError: where that is the first epoch, so that there is nothing to keep.
    """
    keep_freed_memory()
    run.folder.mkdir(parents=True, exist_ok=True)
    trainer, settings = _Trainer(model, data, run, lesson), run.settings
    progress = trainer.resume()
    writer = SummaryWriter(str(run.folder / "tensorboard")) if run.team.first else None  # type: ignore[no-untyped-call]
    with checkpointed(trainer.learner.encoder.blocks, settings.block_checkpointing):
        for epoch in range(progress.epoch, settings.epochs if run.epochs is None else run.epochs):
            if run.epochs is None and progress.since_best >= settings.patience and run.has_term(epoch):
                log.info("no better epoch since %d epochs: stopping", progress.since_best)
                break
            loss = trainer.epoch(epoch)
            weights = trainer.weights()
            score = run.team.mean(_score(model, data, loss, weights))
            if not math.isfinite(score):
                _stop(run, epoch, loss, progress)
                break
            progress.record(epoch + 1, score, weights, run.epochs is not None)
            trainer.save(progress)
            if writer is not None:
                writer.add_scalar("loss/train", loss, epoch + 1)  # type: ignore[no-untyped-call]
                writer.add_scalar("ndcg@10/validation", score, epoch + 1)  # type: ignore[no-untyped-call]
                log.info("epoch %d of %d: loss %.3f, validation NDCG@10 %.4f", epoch + 1, settings.epochs, loss, score)
    if writer is not None:
        writer.close()  # type: ignore[no-untyped-call]
    model.load_state_dict(progress.best or model.state_dict())
    model.eval()
    return Best(progress.best_score, progress.epoch - progress.since_best)


def _score(model: SequenceModel, data: TrainingData, loss: float, weights: Mapping[str, Tensor]) -> float:
    """Validation NDCG@10, or NaN where the loss, the weights or the scores are not finite."""
    if not math.isfinite(loss) or not all(bool(torch.isfinite(value).all()) for value in weights.values()):
        return math.nan
    try:
        return validation_ndcg(model, data)
    except ValueError:  # of rank_targets: a score is not finite
        return math.nan


def _stop(run: Run, epoch: int, loss: float, progress: Progress) -> None:
    """Say that an epoch (from 0) was not finite: a warning where a good one is kept, else an error."""
    rate = run.settings.learning_rate
    what = f"{run.stage}.training.learning_rate: is {rate:g}, and epoch {epoch + 1} went beyond finite numbers (loss {loss:.3g})"
    remedy = f"take a smaller one, for example {rate / 10:g}"
    if run.precision is not torch.float32:
        remedy += f", or {run.stage}.precision: fp32"
    if progress.best is None:
        raise UserError(f"{what} before anything was learnt that could be kept; {remedy}")
    log.warning("%s: stopping; the best epoch before it is kept. To train on, %s", what, remedy)


class _Trainer:
    """What changes while a model learns: its weights, their average, the optimizer, the scale of fp16 losses."""

    def __init__(self, model: SequenceModel, data: TrainingData, run: Run, lesson: Lesson | None) -> None:
        settings = run.settings
        self.model, self.data, self.run = model, data, run
        # averaged or sharded weights are validated in a model beside the one that learns
        self.learner = copy.deepcopy(model) if settings.average_decay or run.team.shard else model
        self.objective = Objective(self.learner, settings, lesson, data.neighbours, data.item_weights)
        run.team.spread(self.objective, self.learner.encoder.blocks)
        self.optimizer = make_optimizer(
            self.objective.parameters(), settings.optimizer, settings.learning_rate, settings.weight_decay
        )
        self.average = None
        if settings.average_decay:
            self.average = WeightAverage(self.learner.state_dict(), settings.average_decay)
        self.scaler = torch.amp.GradScaler(model.start.device.type, enabled=run.precision is torch.float16)
        self.checkpoint = run.folder / "checkpoint.safetensors"

    def epoch(self, epoch: int) -> float:
        """Train for one epoch (from 0) and return the mean of the batches' losses."""
        run, settings = self.run, self.run.settings
        torch.manual_seed(run.seed * 1000 + epoch + 1_000_003 * run.team.rank)  # dropout of its own in each process
        rng = np.random.default_rng([run.seed, epoch])
        batches = epoch_batches(self.data.train, settings, rng, np.random.default_rng([run.seed, epoch, 1]))
        self.objective.train()
        losses = []
        quiet = None if run.team.first else True
        bar = tqdm(batches, f"epoch {epoch + 1}", unit="batch", disable=quiet, leave=False)
        for step, (changed, weights, rows) in enumerate(bar):
            hide = rng.random(len(rows)) < HIDDEN_ATTRIBUTES
            places, shares = run.team.share(rows, changed.lengths)
            batch = changed.batch(rows[places], hide[places], weights)
            in_group = step % settings.accumulation
            group = min(settings.accumulation, len(batches) - (step - in_group))
            if in_group == 0:
                self.optimizer.zero_grad(set_to_none=True)
            losses.append(self._backward(batch, shares, run.has_term(epoch), group))
            if not math.isfinite(losses[-1]) and run.team.size == 1:  # several processes agree at the epoch's end
                return losses[-1]
            if in_group + 1 == group:
                self._step((epoch + step / len(batches)) / settings.epochs)
        return run.team.mean(float(np.mean(losses)) if losses else 0.0)

    def _backward(self, batch: Batch, shares: tuple[float, float], with_term: bool, group: int) -> float:
        """Add the gradients of one batch of the ``group`` that make a step, and return its loss."""
        device, precision = self.model.start.device.type, self.run.precision
        epsilon = self.run.settings.fgm_epsilon
        with torch.autocast(device, precision, enabled=precision is not torch.float32):
            loss, inputs = self.objective(batch, shares, with_term=with_term)
        if epsilon:
            inputs.retain_grad()
        self.scaler.scale(loss / group).backward()
        if epsilon:
            assert inputs.grad is not None
            direction = adversarial_step(inputs.grad, epsilon)
            with torch.autocast(device, precision, enabled=precision is not torch.float32):
                worse, _ = self.objective(batch, shares, direction, with_term)
            self.scaler.scale(worse / group).backward()
        return float(loss.item())

    def _step(self, done: float) -> None:
        """Change the weights by the gradients. done: 0..1 of the whole training."""
        settings = self.run.settings
        factor = schedule(settings.schedule, done, settings.warmup_share)
        set_learning_rate(self.optimizer, settings.learning_rate * factor)
        self.run.team.average_gradients(self.objective)
        self.scaler.unscale_(self.optimizer)
        if settings.clip:
            nn.utils.clip_grad_norm_(self.objective.parameters(), settings.clip)
        self.scaler.step(self.optimizer)
        self.scaler.update()
        if self.average is not None:
            self.average.update(self.learner.state_dict())

    def weights(self) -> dict[str, Tensor]:
        """What is validated and kept; ``model`` holds it afterwards. All processes of a team must ask for it."""
        own = self.average.values if self.average is not None else self.learner.state_dict()
        weights = {name: whole(value) for name, value in own.items()}
        if self.learner is not self.model:
            self.model.load_state_dict(weights)
        return weights

    def save(self, progress: Progress) -> None:
        average = self.average.values if self.average is not None else {}
        parts = {"own": self.objective.state_dict(), "best": progress.best or {}, "average": average}
        tensors = {f"{part}/{name}": value for part, values in parts.items() for name, value in values.items()}
        steps = self.average.steps if self.average is not None else 0
        numbers = progress.numbers() | {"scaler": self.scaler.state_dict(), "average_steps": steps}
        save_checkpoint(self.checkpoint, tensors, self.optimizer, numbers, self.run.team.first)

    def resume(self) -> Progress:
        """Put back what ``save`` wrote, if a killed run left it."""
        if not self.checkpoint.is_file():
            return Progress()
        tensors, numbers = load_checkpoint(self.checkpoint, self.optimizer)
        parts: dict[str, dict[str, Tensor]] = {"own": {}, "best": {}, "average": {}}
        for key, value in tensors.items():
            part, _, name = key.partition("/")
            parts[part][name] = value
        load_whole(self.objective, parts["own"])
        if self.average is not None:
            self.average.restore(parts["average"], int(numbers["average_steps"]))
        if numbers["scaler"]:
            self.scaler.load_state_dict(numbers["scaler"])
        progress = Progress.of(numbers, parts["best"])
        log.info("going on from %s after epoch %d", self.checkpoint, progress.epoch)
        return progress
