"""Two CPU processes train as one does: the ring of test_training.py through torchrun."""

import json
import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import torch
from helpers_parallel import TESTS, WORKER
from safetensors.torch import load_file
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

from longtail.components.finetune.settings import FinetuneSettings
from longtail.contracts.errors import UserError
from longtail.modeling import parallel
from longtail.modeling.parallel import Team, form_team

SETTINGS = {
    "epochs": 3,
    "batch_positions": 64,
    "epoch_steps": 1,
    "learning_rate": 0.01,
    "accumulation": 2,
    "user_weight_power": 0.5,
}


def launch(folder: Path, processes: int, **more: object) -> tuple[list[float], dict[str, torch.Tensor]]:
    """The loss of each epoch and the weights at the end, which all processes must agree about."""
    folder.mkdir(exist_ok=True)
    environment = os.environ | {
        "PYTHONPATH": os.pathsep.join([str(TESTS), os.environ.get("PYTHONPATH", "")]),
        "OMP_NUM_THREADS": "1",
    }
    launcher = ["torch.distributed.run", "--standalone", "--nproc-per-node", str(processes)]
    command = [sys.executable, "-m", *launcher, str(WORKER), str(folder), json.dumps(SETTINGS | more)]
    done = subprocess.run(command, capture_output=True, text=True, env=environment)
    assert done.returncode == 0, done.stderr
    events = EventAccumulator(str(folder / "tensorboard"))
    events.Reload()
    models = [load_file(folder / f"model-{rank}.safetensors") for rank in range(processes)]
    for model in models[1:]:
        assert all(torch.equal(value, models[0][name]) for name, value in model.items())
    return [event.value for event in events.Scalars("loss/train")], models[0]


@pytest.mark.parametrize("said, expected", [("3", 3), (None, 5)])
def test_the_number_of_threads_is_the_users_or_that_of_the_cores(
    said: str | None, expected: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(parallel, "available_cores", lambda: 5)
    monkeypatch.delenv("OMP_NUM_THREADS", raising=False)
    if said:
        monkeypatch.setenv("OMP_NUM_THREADS", said)
    before = torch.get_num_threads()
    try:
        torch.set_num_threads(3)  # as torch does when it starts with this variable
        form_team("cpu")
        assert torch.get_num_threads() == expected
    finally:
        torch.set_num_threads(before)


@pytest.fixture(scope="module")
def alone(tmp_path_factory: pytest.TempPathFactory) -> tuple[list[float], dict[str, torch.Tensor]]:
    return launch(tmp_path_factory.mktemp("alone"), 1)


@pytest.mark.slow
@pytest.mark.parametrize("shard", [False, True])
def test_two_processes_have_the_loss_curve_of_one(
    shard: bool, alone: tuple[list[float], dict[str, torch.Tensor]], tmp_path: Path
) -> None:
    losses, weights = launch(tmp_path, 2, shard=shard)
    assert len(losses) == 3
    assert losses == pytest.approx(alone[0], rel=1e-4)
    assert losses[0] > losses[-1]
    for name, value in weights.items():
        if not name.endswith("project_in.bias"):  # the keys' bias has no effect, so Adam makes noise of its gradient
            assert torch.allclose(value, alone[1][name], atol=2e-3), name


@pytest.mark.slow
def test_a_sharded_run_resumes(alone: tuple[list[float], dict[str, torch.Tensor]], tmp_path: Path) -> None:
    whole = launch(tmp_path / "whole", 2, shard=True, average_decay=0.9)
    launch(tmp_path / "cut", 2, shard=True, average_decay=0.9, stop_after=1)
    resumed = launch(tmp_path / "cut", 2, shard=True, average_decay=0.9)
    for name, value in whole[1].items():
        assert torch.allclose(value, resumed[1][name], atol=1e-5), name


def test_shares_add_up_to_the_whole_batch() -> None:
    rows, lengths = np.array([4, 0, 2]), np.array([1, 9, 2, 9, 5])
    teams = [Team(torch.device("cpu")) for _ in range(4)]
    taken, positions, users = [], 0.0, 0.0
    for rank, team in enumerate(teams):
        team.size, team.rank = 4, rank
        places, (of_positions, of_users) = team.share(rows, lengths)
        taken.append(places.tolist())
        positions, users = positions + of_positions, users + of_users
    assert taken == [[0], [1], [2], [0]]  # the fourth has none, takes part, and counts nothing
    assert team.share(rows, lengths)[1] == (0.0, 0.0)
    assert positions / 4 == pytest.approx(1.0) and users / 4 == pytest.approx(1.0)


def test_one_process_has_the_whole_batch() -> None:
    places, shares = Team(torch.device("cpu")).share(np.array([4, 0, 2]), np.array([1, 9, 2, 9, 5]))
    assert places.tolist() == [0, 1, 2] and shares == (1.0, 1.0)


def test_sharding_one_process_is_refused() -> None:
    with pytest.raises(UserError, match=r"finetune\.shard: is true, but this is one process"):
        Team(torch.device("cpu"), shard=True)


@pytest.mark.parametrize("settings", [{"training": {"optimizer": "adafactor"}}, {"precision": "fp16"}])
def test_what_cannot_be_sharded_is_refused(settings: dict[str, object]) -> None:
    with pytest.raises(ValueError, match="cannot be sharded"):
        FinetuneSettings.model_validate({"shard": True} | settings)
