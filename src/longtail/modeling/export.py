"""Exports encoders to ONNX, checked against torch before they are trusted.

First by tracing (TorchScript): a tenth of the time of ``torch.export``, and smaller, faster graphs, since both text models share the
weights of their lower layers. It freezes what a model decides by the shape of its input, and it is on its way out of PyTorch: where it
fails or the check finds a difference, ``torch.export`` does it.
"""

import logging
import warnings
from pathlib import Path
from typing import Any

import numpy as np
import onnxruntime
import torch
from onnxruntime.capi import onnxruntime_pybind11_state as ort
from torch import Tensor, nn

from longtail.modeling.language_model import LanguageModel, UpperLayers, pool
from longtail.modeling.sequence_model import SequenceEncoder

for _name in ("torch.onnx", "onnxscript", "onnx_ir"):
    logging.getLogger(_name).setLevel(logging.ERROR)  # they report every step of their work
log = logging.getLogger(__name__)
OPSET = 20
FAULTS = (
    RuntimeError,
    TypeError,
    ValueError,
    ort.Fail,
    ort.InvalidArgument,
    ort.InvalidGraph,
    ort.NotImplemented,
    ort.RuntimeException,
)
MOST_DIFFERENT = 1e-3  # of a value, between onnxruntime and torch

Dynamic = dict[str, dict[int, str]]  # input -> axis -> name of a size that may change


class _LastQuery(nn.Module):
    """The query vector after the last valid input."""

    def __init__(self, encoder: SequenceEncoder) -> None:
        super().__init__()
        self.encoder = encoder

    def forward(self, inputs: Tensor, lengths: Tensor) -> Tensor:  # [batch, length, dim], [batch] -> [batch, dim]
        return self.encoder.last(inputs, lengths)


def export_sequence_encoder(encoder: SequenceEncoder, path: Path) -> None:
    """Write ``sequence_encoder.onnx``: inputs [batch, length, dim], lengths [batch] -> query [batch, dim]."""
    module = _LastQuery(encoder).cpu().eval()
    example = (torch.randn(2, 5, encoder.shape.dim), torch.tensor([5, 3]))
    dynamic = {"inputs": {0: "batch", 1: "length"}, "lengths": {0: "batch"}}
    other = (torch.randn(3, 9, encoder.shape.dim), torch.tensor([1, 9, 4]))
    _export(module, example, other, path, "query", dynamic)


class _TextEncoder(nn.Module):
    """Frozen and adapted text vectors side by side. They share the lower layers' weights."""

    def __init__(self, language_model: LanguageModel, adapted: nn.Module | None) -> None:
        super().__init__()
        self.frozen, self.adapted, self.pooling = language_model.model, adapted, language_model.pooling

    def forward(
        self, input_ids: Tensor, attention_mask: Tensor
    ) -> Tensor:  # [batch, tokens] twice -> [batch, text_dim]
        vectors = [
            pool(
                model(input_ids=input_ids, attention_mask=attention_mask).last_hidden_state,
                attention_mask,
                self.pooling,
            )
            for model in (self.frozen, self.adapted)
            if model is not None
        ]
        return torch.cat(vectors, dim=-1)


def export_text_encoder(language_model: LanguageModel, upper: UpperLayers | None, folder: Path) -> None:
    """Write ``text_encoder.onnx`` and ``tokenizer.json``: input_ids, attention_mask -> text_vector [batch, text_dim]."""
    adapted = upper.whole_model(language_model) if upper is not None else None
    module = _TextEncoder(language_model, adapted).cpu().eval()
    ids, mask = language_model.tokenize(["a first text", "a second text that is somewhat longer"])
    dynamic = {name: {0: "batch", 1: "tokens"} for name in ("input_ids", "attention_mask")}
    other = language_model.tokenize(
        ["one", "two words", "and now for three texts of quite different lengths, in one batch"]
    )
    _export(module, (ids, mask), other, folder / "text_encoder.onnx", "text_vector", dynamic)
    language_model.tokenizer.backend_tokenizer.save(str(folder / "tokenizer.json"))


def _export(
    module: nn.Module,
    example: tuple[Tensor, ...],
    other: tuple[Tensor, ...],
    path: Path,
    output: str,
    dynamic: Dynamic,
) -> None:
    """Write ``path`` by the first way that passes the check on ``other``, inputs of shapes that it was not traced with.

    Raises:
        RuntimeError: none does.
    """
    for way, options in _ways(dynamic).items():
        try:
            with warnings.catch_warnings(), torch.no_grad():
                warnings.simplefilter("ignore")
                torch.onnx.export(
                    module,
                    example,
                    str(path),
                    input_names=list(dynamic),
                    output_names=[output],
                    opset_version=OPSET,
                    **options,
                )
            fault = _fault(module, other, path)
        except FAULTS as error:
            fault = f"cannot be exported ({error})"
        if fault is None:
            return
        log.warning("%s, %s: %s", path.name, way, fault)
    raise RuntimeError(f"{path.name}: {fault}")


def _ways(dynamic: Dynamic) -> dict[str, dict[str, Any]]:
    """Options of ``torch.onnx.export``, the first way first."""
    shapes = {
        name: {axis: torch.export.Dim(label, min=1) for axis, label in axes.items()} for name, axes in dynamic.items()
    }
    return {
        "by tracing": {"dynamo": False, "dynamic_axes": dynamic},
        "by torch export": {"dynamo": True, "dynamic_shapes": shapes, "external_data": False, "verbose": False},
    }


def _fault(module: nn.Module, example: tuple[Tensor, ...], path: Path) -> str | None:
    """How onnxruntime's answers differ from torch's; None where they do not."""
    session = onnxruntime.InferenceSession(str(path), providers=["CPUExecutionProvider"])
    feed = {entry.name: value.numpy() for entry, value in zip(session.get_inputs(), example, strict=True)}
    (found,) = session.run(None, feed)
    with torch.no_grad():
        expected = module(*example).numpy()
    difference = float(np.abs(found - expected).max())
    return None if difference <= MOST_DIFFERENT else f"onnxruntime differs from torch by {difference:.2g}"
