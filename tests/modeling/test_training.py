from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch

from longtail.contracts.settings import FinetuneSettings
from longtail.modeling import training
from longtail.modeling.sequence_model import SequenceModel, Shape
from longtail.modeling.sequences import Sequences
from longtail.modeling.training import TrainingData, train, validation_ndcg

SHAPE = Shape(dim=16, blocks=1, heads=2, max_history=10, dropout=0.1, temperature=0.1)
SETTINGS = FinetuneSettings(epochs=6, patience=6, batch_positions=64, learning_rate=1e-2)


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


def test_a_rule_is_learnt(tmp_path: Path) -> None:
    model, data = make_model(), make_data()
    before = validation_ndcg(model, data)
    after = train(model, data, SETTINGS, 0, torch.float32, tmp_path)
    assert before < 0.4 < 0.75 < after
    assert validation_ndcg(model, data) == pytest.approx(after)  # the best epoch's weights are back
    assert list((tmp_path / "tensorboard").glob("events*"))


def test_a_killed_run_ends_as_an_uninterrupted_one(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    whole = make_model()
    train(whole, make_data(), SETTINGS, 0, torch.float32, tmp_path / "a")

    class KilledError(Exception):
        pass

    original, calls = training.validation_ndcg, 0

    def dies(model: SequenceModel, data: TrainingData) -> float:
        nonlocal calls
        calls += 1
        if calls == 4:
            raise KilledError
        return original(model, data)

    with monkeypatch.context() as patch, pytest.raises(KilledError):
        patch.setattr(training, "validation_ndcg", dies)
        train(make_model(), make_data(), SETTINGS, 0, torch.float32, tmp_path / "b")
    resumed = make_model()
    train(resumed, make_data(), SETTINGS, 0, torch.float32, tmp_path / "b")
    for name, value in whole.state_dict().items():
        assert torch.allclose(value, resumed.state_dict()[name], atol=1e-6), name


def test_training_stops_when_validation_no_longer_improves(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    scores = iter([0.3, 0.5, 0.4, 0.4, 0.9])
    monkeypatch.setattr(training, "validation_ndcg", lambda *_: next(scores))
    settings = SETTINGS.model_copy(update={"patience": 2})
    assert train(make_model(), make_data(), settings, 0, torch.float32, tmp_path) == 0.5
    assert next(scores) == 0.9  # the fifth epoch was never run


def test_validation_ndcg_by_hand() -> None:
    model, data = make_model(), make_data()
    vectors = model.item_vectors()
    gains = []
    for row in range(len(data.validation)):
        history = data.validation.histories[row]
        query = training.query_vectors(model, Sequences([history], [np.zeros(0, np.int64)], 10))[0]
        scores = (vectors @ query).detach().numpy()
        scores[history] = -np.inf
        rank = int((scores >= scores[data.validation_items[row][0]]).sum())
        gains.append(1 / np.log2(1 + rank) if rank <= 10 else 0.0)
    assert validation_ndcg(model, data) == pytest.approx(np.mean(gains), abs=1e-6)
