"""Exports encoders to ONNX, checked against torch before they are trusted."""

import logging
import warnings
from pathlib import Path
from typing import Any

import numpy as np
import onnxruntime
import torch
from torch import Tensor, nn

from longtail.modeling.language_model import LanguageModel, UpperLayers, pool
from longtail.modeling.sequence_model import SequenceEncoder

for _name in ("torch.onnx", "onnxscript", "onnx_ir"):
    logging.getLogger(_name).setLevel(logging.ERROR)  # they report every step of their work
OPSET = 20


class _LastQuery(nn.Module):
    """The query vector after the last valid input."""

    def __init__(self, encoder: SequenceEncoder) -> None:
        super().__init__()
        self.encoder = encoder

    def forward(self, inputs: Tensor, lengths: Tensor) -> Tensor:  # [batch, length, dim], [batch] -> [batch, dim]
        queries = self.encoder(inputs)
        index = (lengths - 1)[:, None, None].expand(-1, 1, queries.shape[2])
        return torch.gather(queries, 1, index)[:, 0]


def export_sequence_encoder(encoder: SequenceEncoder, path: Path) -> None:
    """Write ``sequence_encoder.onnx``: inputs [batch, length, dim], lengths [batch] -> query [batch, dim]."""
    module = _LastQuery(encoder).cpu().eval()
    example = (torch.randn(2, 5, encoder.shape.dim), torch.tensor([5, 3]))
    dynamic = {"inputs": {0: "batch", 1: "length"}, "lengths": {0: "batch"}}
    _export(module, example, path, ["inputs", "lengths"], ["query"], dynamic)
    other = (torch.randn(3, 9, encoder.shape.dim), torch.tensor([1, 9, 4]))
    _check(module, other, path)


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
    path = folder / "text_encoder.onnx"
    _export(module, (ids, mask), path, ["input_ids", "attention_mask"], ["text_vector"], dynamic)
    other = language_model.tokenize(
        ["one", "two words", "and now for three texts of quite different lengths, in one batch"]
    )
    _check(module, other, path)
    language_model.tokenizer.backend_tokenizer.save(str(folder / "tokenizer.json"))


def _export(
    module: nn.Module,
    example: tuple[Tensor, ...],
    path: Path,
    inputs: list[str],
    outputs: list[str],
    dynamic: dict[str, Any],
) -> None:
    with warnings.catch_warnings(), torch.no_grad():
        warnings.simplefilter("ignore")
        shapes = {
            name: {axis: torch.export.Dim(label, min=1) for axis, label in axes.items()}
            for name, axes in dynamic.items()
        }
        torch.onnx.export(
            module,
            example,
            str(path),
            input_names=inputs,
            output_names=outputs,
            dynamic_shapes=shapes,
            opset_version=OPSET,
            dynamo=True,
            external_data=False,
            verbose=False,
        )


def _check(module: nn.Module, example: tuple[Tensor, ...], path: Path) -> None:
    """Refuse an export whose answers differ from torch's, on shapes that it was not traced with."""
    session = onnxruntime.InferenceSession(str(path), providers=["CPUExecutionProvider"])
    feed = {entry.name: value.numpy() for entry, value in zip(session.get_inputs(), example, strict=True)}
    (found,) = session.run(None, feed)
    with torch.no_grad():
        expected = module(*example).numpy()
    difference = float(np.abs(found - expected).max())
    if difference > 1e-3:
        raise RuntimeError(f"{path.name}: onnxruntime differs from torch by {difference:.2g}")
