"""Exports are checked on shapes that they were not traced with, and the second way is taken where the first froze one."""

from pathlib import Path

import numpy as np
import onnxruntime
import pytest
import torch
from torch import Tensor, nn

from longtail.modeling.export import Dynamic, _export

EXAMPLE, OTHER = (torch.ones(2, 5),), (torch.ones(3, 9),)
DYNAMIC: Dynamic = {"inputs": {0: "batch", 1: "length"}}


class Plain(nn.Module):
    def forward(self, inputs: Tensor) -> Tensor:
        return inputs.cumsum(dim=1)


class FrozenByTracing(nn.Module):
    """Multiplies by the length, and by that of the example where it is traced."""

    def forward(self, inputs: Tensor) -> Tensor:
        length = 5 if torch.jit.is_tracing() else torch.full((1,), inputs.shape[1]).float()
        return inputs * length


class Frozen(nn.Module):
    def forward(self, inputs: Tensor) -> Tensor:
        return inputs * float(inputs.shape[1])


def answers(path: Path, given: Tensor) -> np.ndarray:
    found: np.ndarray = onnxruntime.InferenceSession(str(path)).run(None, {"inputs": given.numpy()})[0]
    return found


def test_one_way_is_enough_where_it_is_right(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    _export(Plain(), EXAMPLE, OTHER, tmp_path / "plain.onnx", "sums", DYNAMIC)
    assert answers(tmp_path / "plain.onnx", torch.ones(1, 3)).tolist() == [[1, 2, 3]]
    assert not caplog.records


@pytest.mark.slow
def test_the_other_way_is_taken_where_a_shape_was_frozen(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    _export(FrozenByTracing(), EXAMPLE, OTHER, tmp_path / "f.onnx", "products", DYNAMIC)
    assert answers(tmp_path / "f.onnx", torch.ones(1, 3)).tolist() == [[3, 3, 3]]
    assert "f.onnx, by tracing: onnxruntime differs from torch by 4" in caplog.text


@pytest.mark.slow
def test_what_no_way_exports_is_refused(tmp_path: Path) -> None:
    with pytest.raises(RuntimeError, match=r"g\.onnx: "):
        _export(Frozen(), EXAMPLE, OTHER, tmp_path / "g.onnx", "products", DYNAMIC)
