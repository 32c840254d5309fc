"""A scoring bundle made smaller: int8 item vectors, int8 encoders, fewer neighbours."""

import logging
import shutil
import tempfile
from dataclasses import replace
from pathlib import Path

import onnxruntime

from longtail.contracts.errors import UserError
from longtail.scoring.bundle import ENCODERS, LIKENESS, POSTERIOR, Bundle, copy_files, items_table
from longtail.scoring.bundle_writing import write_tables
from longtail.scoring.compression_settings import CompressionSettings
from longtail.scoring.int8 import Int8Rows
from longtail.scoring.rows import keep_top


def write_compressed(folder: Path, bundle: Bundle, settings: CompressionSettings) -> Bundle:
    """Fill ``folder`` (inside ``write_artifact``) with the bundle made smaller, and return what it now holds.

    Raises:
        UserError: a setting that cannot act on this bundle, or a package that is missing.
    """
    tensors = bundle.tensors
    if settings.int8_items and not isinstance(tensors.item_matrix, Int8Rows):
        tensors = replace(tensors, item_matrix=Int8Rows.of(tensors.item_matrix))
    if settings.keep_neighbours:
        tensors = replace(tensors, neighbours=keep_top(tensors.neighbours, settings.keep_neighbours))
    write_tables(folder, tensors, items_table(bundle), bundle.attributes)
    copy_files(bundle.path, folder, (*ENCODERS, LIKENESS, POSTERIOR))
    if settings.int8_text_encoder and not bundle.has_text_encoder:
        raise UserError(f"int8_text_encoder: {bundle.path} holds no text encoder; leave the setting out")
    for wanted, name in (
        (settings.int8_sequence_encoder, "sequence_encoder.onnx"),
        (settings.int8_text_encoder, "text_encoder.onnx"),
    ):
        if wanted:
            quantize_encoder(bundle.path / name, folder / name)
    return replace(bundle, path=folder, tensors=tensors)


def quantize_encoder(source: Path, target: Path) -> None:
    """Dynamic quantisation: weights of products and embeddings as int8 with a scale a channel, activations at run time.

    Transposed weights are folded first, or onnxruntime would leave them as floats.

    Raises:
        UserError: where the package onnx is missing.
    """
    try:
        from onnxruntime.quantization import QuantType, quantize_dynamic
    except ImportError as error:
        raise UserError(
            f"8-bit encoders need the package onnx ({error}); pip install 'longtail[pipeline]', or leave int8_*_encoder out"
        ) from None
    with tempfile.TemporaryDirectory() as work:
        folded = Path(work) / "folded.onnx"
        options = onnxruntime.SessionOptions()
        options.graph_optimization_level = onnxruntime.GraphOptimizationLevel.ORT_ENABLE_BASIC
        options.optimized_model_filepath = str(folded)
        onnxruntime.InferenceSession(str(source), options, providers=["CPUExecutionProvider"])
        root = logging.getLogger()
        level = root.level
        root.setLevel(logging.ERROR)  # onnxruntime advises on the root logger what was just done
        try:
            quantize_dynamic(folded, Path(work) / "int8.onnx", per_channel=True, weight_type=QuantType.QInt8)
        finally:
            root.setLevel(level)
        shutil.copyfile(Path(work) / "int8.onnx", target)
