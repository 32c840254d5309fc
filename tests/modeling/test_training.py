import json
from collections.abc import Callable
from dataclasses import replace
from itertools import chain
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from helpers_ring import SETTINGS, SHAPE, killed_after, make_data, make_model, run_of
from safetensors import safe_open

from longtail.contracts.errors import UserError
from longtail.modeling import training, training_data
from longtail.modeling.distillation import Lesson, Teacher
from longtail.modeling.lesson_settings import LessonSettings
from longtail.modeling.sequence_model import SequenceModel
from longtail.modeling.sequences import Sequences, query_vectors
from longtail.modeling.training import Best, train
from longtail.modeling.training_data import TrainingData, epoch_batches, validation_ndcg
from longtail.modeling.training_settings import TrainingSettings


def test_a_rule_is_learnt(tmp_path: Path) -> None:
    model, data = make_model(), make_data()
    before = validation_ndcg(model, data)
    after = train(model, data, run_of(SETTINGS, tmp_path)).ndcg
    assert before < 0.4 < 0.75 < after
    assert validation_ndcg(model, data) == pytest.approx(after)  # the best epoch's weights are back
    assert list((tmp_path / "tensorboard").glob("events*"))


@pytest.mark.parametrize("target", range(20))
def test_validation_leaves_out_the_whole_history_as_evaluation_does(target: int) -> None:
    """The model reads ten items; with the nine before them excluded, too, the target is all that can be recommended."""
    history = np.array([item for item in range(20) if item != target], dtype=np.int32)
    asked = Sequences([history], [np.zeros(0, np.int64)], SHAPE.max_history)
    data = TrainingData(asked, asked, [np.array([target], dtype=np.int32)], exclude_history=True)
    assert validation_ndcg(make_model(), data) == 1.0


EVERYTHING = {
    "optimizer": "adafactor",
    "schedule": "cosine",
    "accumulation": 2,
    "average_decay": 0.9,
    "block_checkpointing": True,
    "label_smoothing": 0.1,
    "future_items": 2,
    "user_weight_power": 0.5,
    "crop_share": 0.3,
    "mask_share": 0.1,
    "reorder_share": 0.3,
    "reverse_share": 0.1,
    "fgm_epsilon": 0.1,
}


def make_lesson() -> Lesson:
    torch.manual_seed(1)
    teacher = Teacher(SequenceModel(SHAPE, torch.randn(20, 4), 4, 0))
    return Lesson([teacher], LessonSettings(alignment_weight=0.5, soft_label_top=5), SHAPE.dim)


@pytest.mark.parametrize(
    ("more", "precision", "make"),
    [
        ({}, torch.float32, lambda: None),
        pytest.param(EVERYTHING, torch.float32, make_lesson, marks=pytest.mark.slow),
        pytest.param(EVERYTHING | {"optimizer": "adamw"}, torch.bfloat16, make_lesson, marks=pytest.mark.slow),
    ],
)
def test_a_killed_run_ends_as_an_uninterrupted_one(
    more: dict[str, object],
    precision: torch.dtype,
    make: Callable[[], Lesson | None],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    settings = TrainingSettings.model_validate(SETTINGS.model_dump() | {"epochs": 3} | more)
    whole = make_model()
    train(whole, make_data(), run_of(settings, tmp_path / "a", precision), make())

    with killed_after(2, monkeypatch):
        train(make_model(), make_data(), run_of(settings, tmp_path / "b", precision), make())
    resumed = make_model()
    train(resumed, make_data(), run_of(settings, tmp_path / "b", precision), make())
    for name, value in whole.state_dict().items():
        assert torch.equal(value, resumed.state_dict()[name]), name


def trained(folder: Path, dropout: float = 0.1, **more: object) -> dict[str, torch.Tensor]:
    """The model after one epoch."""
    settings = TrainingSettings.model_validate(SETTINGS.model_dump() | {"epochs": 1} | more)
    model = make_model(dropout)
    train(model, make_data(), run_of(settings, folder / str(len(list(folder.iterdir())))))
    return model.state_dict()


def differ(one: dict[str, torch.Tensor], other: dict[str, torch.Tensor]) -> bool:
    return any(not torch.equal(value, other[name]) for name, value in one.items())


@pytest.mark.parametrize("name", [name for name in EVERYTHING if name != "block_checkpointing"])
def test_each_option_changes_the_training(name: str, tmp_path: Path) -> None:
    assert differ(trained(tmp_path), trained(tmp_path, **{name: EVERYTHING[name]}))


def test_recomputed_blocks_change_nothing(tmp_path: Path) -> None:
    assert not differ(trained(tmp_path), trained(tmp_path, block_checkpointing=True))


def test_an_accumulated_step_is_that_of_the_batches_together(tmp_path: Path) -> None:
    # one batch of all 100 users has a step as four batches of about a quarter, up to the means over unlike batches
    together = trained(tmp_path, dropout=0.0, batch_positions=100_000, user_weight_power=1)
    start = make_model(0.0).state_dict()
    apart = trained(tmp_path, dropout=0.0, batch_positions=100, epoch_steps=1, user_weight_power=1, accumulation=100)
    one = torch.cat([(together[name] - start[name]).flatten() for name in start])
    other = torch.cat([(apart[name] - start[name]).flatten() for name in start])
    assert torch.nn.functional.cosine_similarity(one, other, dim=0) > 0.8
    many = trained(tmp_path, dropout=0.0, batch_positions=100, epoch_steps=1, user_weight_power=1)
    more = torch.cat([(many[name] - start[name]).flatten() for name in start])
    assert more.norm() > 1.5 * other.norm()  # four steps went further than one


def test_a_clipped_gradient_has_its_norm(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    norms: list[float] = []
    step = torch.optim.AdamW.step

    def watched(self: torch.optim.AdamW, *arguments: object) -> None:
        gradients = [p.grad for group in self.param_groups for p in group["params"] if p.grad is not None]
        norms.append(float(torch.cat([gradient.flatten() for gradient in gradients]).norm()))
        step(self, *arguments)  # type: ignore[arg-type]

    monkeypatch.setattr(torch.optim.AdamW, "step", watched)
    trained(tmp_path, clip=0.01)
    assert norms and max(norms) == pytest.approx(0.01, rel=1e-3)
    norms.clear()
    trained(tmp_path, clip=0)
    assert max(norms) > 0.1


def test_averaged_weights_are_validated_and_kept(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    seen: list[dict[str, torch.Tensor]] = []

    def remember(model: SequenceModel, data: TrainingData) -> float:
        seen.append({name: value.clone() for name, value in model.state_dict().items()})
        return float(len(seen))

    monkeypatch.setattr(training, "validation_ndcg", remember)
    plain = trained(tmp_path)
    assert not differ(plain, seen[0])
    averaged = trained(tmp_path, average_decay=0.9)
    assert differ(plain, averaged) and not differ(averaged, seen[1])
    start = make_model().state_dict()
    moved = [sum(float((one[name] - start[name]).norm()) for name in start) for one in (plain, averaged)]
    assert 0 < moved[1] < moved[0]  # the average lies behind


def test_training_stops_when_validation_no_longer_improves(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    scores = iter([0.3, 0.5, 0.4, 0.4, 0.9])
    monkeypatch.setattr(training, "validation_ndcg", lambda *_: next(scores))
    settings = SETTINGS.model_copy(update={"patience": 2})
    assert train(make_model(), make_data(), run_of(settings, tmp_path)) == Best(0.5, epochs=2)
    assert next(scores) == 0.9  # the fifth epoch was never run


def test_validation_ndcg_by_hand() -> None:
    model, data = make_model(), make_data()
    vectors = model.item_vectors()
    gains = []
    for row in range(len(data.validation)):
        history = data.validation.histories[row]
        query = query_vectors(model, Sequences([history], [np.zeros(0, np.int64)], 10))[0]
        scores = (vectors @ query).detach().numpy()
        scores[history] = -np.inf
        rank = int((scores >= scores[data.validation_items[row][0]]).sum())
        gains.append(1 / np.log2(1 + rank) if rank <= 10 else 0.0)
    assert validation_ndcg(model, data) == pytest.approx(np.mean(gains), abs=1e-6)


def test_small_data_are_passed_over_until_an_epoch_has_its_batches() -> None:
    def rows(steps: int) -> list[list[int]]:
        settings = SETTINGS.model_copy(update={"epoch_steps": steps})
        order, changes = np.random.default_rng(0), np.random.default_rng(1)
        return [batch[2].tolist() for batch in epoch_batches(make_data().train, settings, order, changes)]

    once = rows(1)
    assert sorted(chain(*once)) == list(range(100)) and len(once) > 2
    twice = rows(len(once) + 1)
    assert twice[: len(once)] == once and sorted(chain(*twice[len(once) :])) == list(range(100))
    nothing = Sequences([np.zeros(0, np.int32)], [np.zeros(0, np.int64)], 10)
    assert epoch_batches(nothing, SETTINGS, np.random.default_rng(0), np.random.default_rng(0)) == []


def test_a_loss_that_is_not_finite_at_first_is_one_clear_error(tmp_path: Path) -> None:
    settings = SETTINGS.model_copy(update={"learning_rate": 1e30, "clip": 0.0})
    message = r"finetune\.training\.learning_rate: is 1e\+30, and epoch 1 .* \(loss nan\).*take a smaller one"
    with pytest.raises(UserError, match=message):
        train(make_model(), make_data(), run_of(settings, tmp_path))


def kept_after(epochs: int, folder: Path) -> dict[str, torch.Tensor]:
    """The best weights of a run that ended by itself after so many epochs of SETTINGS."""
    with safe_open(folder / "checkpoint.safetensors", "pt") as file:
        assert json.loads(file.metadata()["numbers"])["epoch"] == epochs
        names = [name for name in file.keys() if name.startswith("model.best/")]  # noqa: SIM118
        return {name.removeprefix("model.best/"): file.get_tensor(name) for name in names}


@pytest.mark.parametrize("where", ["loss", "weights", "scores"])
def test_an_epoch_that_is_not_finite_ends_the_training_and_the_best_before_it_is_kept(
    where: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    calls = 0

    def third_time(good: Any, bad: Any) -> Any:
        nonlocal calls
        calls += 1
        return good if calls < 3 else bad

    epoch, validate = training._Trainer.epoch, training_data.query_vectors

    def weights_too(self: training._Trainer, number: int) -> float:
        loss = epoch(self, number)
        with torch.no_grad():
            self.model.ids.weight.mul_(third_time(1.0, float("nan")))
        return loss

    if where == "loss":
        monkeypatch.setattr(training._Trainer, "epoch", lambda self, n: third_time(epoch(self, n), float("inf")))
    elif where == "weights":
        monkeypatch.setattr(training._Trainer, "epoch", weights_too)
    else:
        monkeypatch.setattr(training_data, "query_vectors", lambda *a: validate(*a) * third_time(1.0, float("nan")))
    model = make_model()
    score = train(model, make_data(), run_of(SETTINGS, tmp_path)).ndcg
    assert calls == 3 and "learning_rate: is 0.01, and epoch 3" in caplog.text and "is kept" in caplog.text
    best = kept_after(2, tmp_path)
    assert not differ(best, model.state_dict())
    monkeypatch.undo()
    assert validation_ndcg(model, make_data()) == pytest.approx(score) and score > 0


def test_as_many_epochs_as_validation_chose_give_the_same_model_without_asking_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The course of the learning rate stays that of the settings' six epochs."""
    again = make_model()
    nobody = replace(make_data(), validation=Sequences([], [], 10), validation_items=[])
    assert train(again, nobody, replace(run_of(SETTINGS, tmp_path / "again"), epochs=2)).epochs == 2
    scores = iter([0.3, 0.5, 0.4, 0.4, 0.4, 0.4])
    monkeypatch.setattr(training, "validation_ndcg", lambda *_: next(scores))
    chosen = make_model()
    assert train(chosen, make_data(), run_of(SETTINGS, tmp_path / "chosen")).epochs == 2
    assert not differ(chosen.state_dict(), again.state_dict())
