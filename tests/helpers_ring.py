"""A tiny sequence model, and users whose next item is known: they walk along a ring of 20 items."""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch

from longtail.modeling import training
from longtail.modeling.parallel import Team
from longtail.modeling.sequence_model import SequenceModel, Shape
from longtail.modeling.sequences import Sequences
from longtail.modeling.training import Run
from longtail.modeling.training_data import TrainingData
from longtail.modeling.training_settings import TrainingSettings

SHAPE = Shape(dim=16, blocks=1, heads=2, max_history=10, dropout=0.1, temperature=0.1)
PLAIN = {"crop_share": 0.0, "user_weight_power": 0.0}
SETTINGS = TrainingSettings.model_validate(
    {"epochs": 6, "patience": 6, "batch_positions": 64, "epoch_steps": 1, "learning_rate": 1e-2} | PLAIN
)


def make_data() -> TrainingData:
    """Users walk along a ring of 20 items: the next item is always the one after."""
    rng = np.random.default_rng(0)
    begin, length = rng.integers(0, 20, 100), rng.integers(1, 8, 100)
    walks = [((first + np.arange(n)) % 20).astype(np.int32) for first, n in zip(begin, length)]
    nothing = [np.zeros(0, np.int64)] * 100
    following = [np.array([(walk[-1] + 1) % 20], dtype=np.int32) for walk in walks]
    return TrainingData(Sequences(walks, nothing, 10), Sequences(walks, nothing, 10), following, True)


def make_model(dropout: float = 0.1) -> SequenceModel:
    torch.manual_seed(0)
    return SequenceModel(replace(SHAPE, dropout=dropout), torch.randn(20, 4), 4, 0)


def run_of(settings: TrainingSettings, folder: Path, precision: torch.dtype = torch.float32) -> Run:
    return Run("finetune", settings, 0, precision, folder, Team(torch.device("cpu")))


class KilledError(Exception):
    pass


@contextmanager
def killed_after(epochs: int, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """A training within the block is killed when it has saved so many epochs and trained one more."""
    original, calls = training.validation_ndcg, 0

    def dies(model: SequenceModel, data: TrainingData) -> float:
        nonlocal calls
        calls += 1
        if calls > epochs:
            raise KilledError
        return original(model, data)

    with monkeypatch.context() as patch, pytest.raises(KilledError):
        patch.setattr(training, "validation_ndcg", dies)
        yield
