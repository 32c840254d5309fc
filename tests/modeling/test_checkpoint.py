"""A checkpoint brings back weights, optimizer and numbers to the last bit, and is whole or the former one."""

import os
import signal
from pathlib import Path
from typing import Annotated

import pytest
import torch
from torch import nn

from longtail.contracts.settings_base import Place, Settings
from longtail.modeling import checkpoint
from longtail.modeling.checkpoint import Progress, load_checkpoint, run_folder, save_checkpoint


def model_and_optimizer(seed):
    torch.manual_seed(seed)
    model = nn.Sequential(nn.Linear(3, 4), nn.Linear(4, 2))
    return model, torch.optim.AdamW(model.parameters(), lr=0.1)


def step(model, optimizer, seed):
    torch.manual_seed(seed)
    optimizer.zero_grad()
    model(torch.randn(5, 3)).square().sum().backward()
    optimizer.step()


def weights(model):
    return {name: value.clone() for name, value in model.state_dict().items()}


def test_training_goes_on_as_if_it_had_not_been_interrupted(tmp_path):
    path = tmp_path / "progress.safetensors"
    model, optimizer = model_and_optimizer(0)
    for seed in (1, 2):
        step(model, optimizer, seed)
    save_checkpoint(path, model.state_dict(), optimizer, {"epoch": 2, "best_score": 0.5})
    step(model, optimizer, 3)

    other, fresh = model_and_optimizer(7)
    tensors, numbers = load_checkpoint(path, fresh)
    other.load_state_dict(tensors)
    assert numbers == {"epoch": 2, "best_score": 0.5}
    step(other, fresh, 3)
    for name, value in weights(model).items():
        assert torch.equal(other.state_dict()[name], value), name
    assert [file.name for file in tmp_path.iterdir()] == ["progress.safetensors"]


def test_the_optimizers_own_settings_stay_those_of_today(tmp_path):
    model, optimizer = model_and_optimizer(0)
    step(model, optimizer, 1)
    save_checkpoint(tmp_path / "file", model.state_dict(), optimizer, {})
    slower = torch.optim.AdamW(model_and_optimizer(0)[0].parameters(), lr=0.001)
    load_checkpoint(tmp_path / "file", slower)
    assert slower.param_groups[0]["lr"] == 0.001
    assert len(slower.state) == 4


def test_views_and_shared_tensors_are_written_as_they_are(tmp_path):
    base = torch.arange(6.0).reshape(2, 3)
    given = {"rows": base, "columns": base.T, "first": base[:, 0], "again": base}
    _, optimizer = model_and_optimizer(0)
    save_checkpoint(tmp_path / "file", given, optimizer, {})
    read, _ = load_checkpoint(tmp_path / "file", optimizer)
    assert {name: value.tolist() for name, value in read.items()} == {n: v.tolist() for n, v in given.items()}


def test_names_with_dots_come_back(tmp_path):
    _, optimizer = model_and_optimizer(0)
    save_checkpoint(tmp_path / "file", {"encoder.block.0.weight": torch.ones(2)}, optimizer, {})
    assert list(load_checkpoint(tmp_path / "file", optimizer)[0]) == ["encoder.block.0.weight"]


def test_only_the_first_of_several_processes_writes(tmp_path):
    model, optimizer = model_and_optimizer(0)
    save_checkpoint(tmp_path / "file", model.state_dict(), optimizer, {}, write=False)
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize("after", [False, True])
def test_a_kill_while_it_is_replaced_leaves_the_former_or_the_new_one(tmp_path, after):
    path = tmp_path / "file"
    _, optimizer = model_and_optimizer(0)
    save_checkpoint(path, {"weight": torch.zeros(2)}, optimizer, {"epoch": 1})
    child = os.fork()
    if child == 0:
        replace = os.replace

        def dying(*names):
            if after:
                replace(*names)
            os.kill(os.getpid(), signal.SIGKILL)

        os.replace = dying
        save_checkpoint(path, {"weight": torch.ones(2)}, optimizer, {"epoch": 2})
        os._exit(1)
    assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == -signal.SIGKILL
    tensors, numbers = load_checkpoint(path, optimizer)
    assert (tensors["weight"].tolist(), numbers["epoch"]) == (([1, 1], 2) if after else ([0, 0], 1))
    save_checkpoint(
        path, {"weight": torch.full((2,), 3.0)}, optimizer, {"epoch": 3}
    )  # what was left is in nobody's way
    assert load_checkpoint(path, optimizer)[1] == {"epoch": 3}
    assert [file.name for file in tmp_path.iterdir()] == ["file"]


def test_progress_keeps_the_weights_of_the_best_epoch():
    progress, weight = Progress(), torch.zeros(1)
    for epoch, score in enumerate([0.2, 0.5, 0.5, 0.4], start=1):
        weight.fill_(epoch)  # training changes the tensors in place
        progress.record(epoch, score, {"weight": weight})
    assert progress.best is not None
    assert progress.best["weight"].tolist() == [2]  # an equal score is no better one
    assert progress.numbers() == {"epoch": 4, "best_score": 0.5, "since_best": 2}
    again = Progress.of(progress.numbers(), progress.best)
    assert again == progress


def test_the_first_epoch_is_the_best_so_far_whatever_its_score():
    progress = Progress()
    progress.record(1, -3.0, {"weight": torch.ones(1)})
    assert (progress.best_score, progress.since_best) == (-3.0, 0)
    assert progress.best is not None


def test_a_score_that_is_not_finite_is_no_epochs():
    with pytest.raises(AssertionError):
        Progress().record(1, float("nan"), {"w": torch.zeros(1)})


class FirstStage(Settings):
    model: Annotated[str, Place()]
    rate: float = 0.1


class SecondStage(FirstStage):
    pass


@pytest.fixture
def model(tmp_path: Path) -> Path:
    (tmp_path / "model").mkdir()
    (tmp_path / "model/model.safetensors").write_text("weights")
    return tmp_path / "model"


def test_a_run_finds_its_folder_again_wherever_it_writes(model: Path, tmp_path: Path) -> None:
    settings = FirstStage(model=str(model))
    folder = run_folder(tmp_path / "run1/out", tmp_path / "kept", settings, 0, ["data"])
    assert folder == run_folder(tmp_path / "run2/out", tmp_path / "kept", settings, 0, ["data"])
    assert folder.parent == tmp_path / "kept"
    beside = run_folder(tmp_path / "run1/out", None, settings, 0, ["data"])
    assert beside == tmp_path / "run1/out.checkpoints" / folder.name


def test_whatever_the_result_depends_on_is_another_folder(
    model: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    settings = FirstStage(model=str(model))

    def folder(settings: Settings = settings, seed: int = 0, inputs: tuple[str, ...] = ("data",)) -> Path:
        return run_folder(tmp_path / "out", None, settings, seed, inputs)

    found = [folder(), folder(seed=1), folder(inputs=("other",)), folder(inputs=("data", "teacher"))]
    found += [folder(FirstStage(model=str(model), rate=0.2)), folder(SecondStage(model=str(model)))]
    (model / "model.safetensors").write_text("other weights")
    found += [folder()]
    monkeypatch.setattr(checkpoint, "code_digest", lambda: "other code")
    found += [folder()]
    assert len(set(found)) == len(found)
