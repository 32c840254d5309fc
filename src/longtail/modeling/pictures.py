"""What items look like: vectors of their pictures by a vision encoder, or vectors that were given, as inputs of the model."""

import io
import logging
import struct
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, cast

import numpy as np
import torch
from numpy.typing import NDArray
from PIL import Image
from torch import nn
from tqdm import tqdm
from transformers import AutoImageProcessor, AutoModel

from longtail.contracts.errors import UserError
from longtail.contracts.prepared import Images, PreparedDataset
from longtail.modeling.training_settings import TrainingSettings
from longtail.tables.sources import open_file, reaching

log = logging.getLogger(__name__)
BATCH = 32
SHOWN, MOST_FAULTS = 3, 20  # pictures that cannot be read: named in the message, and before reading ends


@dataclass(frozen=True)
class VisionEncoder:
    """A vision encoder with what makes its inputs of pictures."""

    model: nn.Module
    processor: Any


def has_pictures(data: PreparedDataset, image_model: str | None) -> bool:
    """Whether what items look like is an input: vectors that were given, or addresses that an encoder reads.

    Raises:
        UserError: an encoder, and no addresses for it.
    """
    kind = (data.facts["images"] or {}).get("kind")
    if kind != "addresses" and image_model is not None:
        what = "vectors in the column image, which are taken as they are" if kind else "no column image"
        raise UserError(f"finetune.image_model: is {image_model!r}, but the items have {what}; take the setting out")
    return kind == "vectors" or image_model is not None


def check_dropout(pictures: bool, training: TrainingSettings, stage: str) -> None:
    """Refuse a share of hidden pictures where there are none. pictures: whether they are an input; stage: whose settings these are.

    Raises:
        UserError: naming the setting.
    """
    default = TrainingSettings.model_fields["image_dropout"].default
    if not pictures and training.image_dropout != default:
        raise UserError(
            f"{stage}.training.image_dropout: is {training.image_dropout:g}, but no picture of an item is read; take it out"
        )


def image_vectors(
    data: PreparedDataset, image_model: str | None, device: torch.device, bf16: bool
) -> NDArray[np.float32]:
    """Unit rows of the pictures, zeros for items without one; no columns where none is read. ``[items, width]``

    Addresses without an encoder are left aside, and the log says so: many catalogues have such a column for other ends.

    Raises:
        UserError: the encoder cannot be loaded, or pictures cannot be read.
    """
    images = data.images() if has_pictures(data, image_model) else None
    if images is None:
        if data.facts["images"] is not None:
            log.warning(
                "%s: pictures of %d items are left aside; name an encoder that reads them (finetune.image_model) to use them",
                data.artifact.path,
                data.facts["images"]["items"],
            )
        return np.zeros((len(data.item_ids), 0), np.float32)
    vectors = images.vectors
    if vectors is None:
        assert image_model is not None
        vectors = _read(images, [data.item_ids[code] for code in images.codes], image_model, device, bf16)
    found = np.zeros((len(data.item_ids), vectors.shape[1]), np.float32)
    found[images.codes] = standardised_rows(vectors)
    return found


def standardised_rows(vectors: NDArray[np.float32]) -> NDArray[np.float32]:
    """Columns of mean 0 and standard deviation 1 (0 where they do not vary), then rows of length 1. ``[n, width]``

    What all pictures share says nothing of an item, and numbers of several kinds, as counts beside shares, weigh alike.
    """
    values = vectors.astype(np.float64)
    values -= values.mean(axis=0)
    spread = values.std(axis=0)
    values /= np.where(spread > 1e-9, spread, np.inf)
    values /= np.maximum(np.linalg.norm(values, axis=1, keepdims=True), 1e-9)
    return values.astype(np.float32)


def load_vision_encoder(name: str) -> VisionEncoder:
    """A local folder, or a Hugging Face id; weights as safetensors, and no code of the model's own.

    Raises:
        UserError: where it cannot be had, reads no pictures, or lacks weights.
    """
    local = Path(name).is_dir()
    try:
        options = {"local_files_only": local, "trust_remote_code": False}
        processor = AutoImageProcessor.from_pretrained(name, backend="pil", **options)
        model, found = AutoModel.from_pretrained(
            name, use_safetensors=True, dtype=torch.float32, output_loading_info=True, **options
        )
    except (OSError, ValueError) as error:
        raise UserError(
            f"finetune.image_model: {name!r} cannot be loaded ({str(error).strip().splitlines()[0]}); give a local folder "
            "with config.json, preprocessor_config.json and model.safetensors, or the id of a model that can be reached"
        ) from None
    if missing := [key for key in found["missing_keys"] if "pooler" not in key]:  # the pooler is not asked
        raise UserError(f"finetune.image_model: {name!r} lacks weights ({sorted(missing)[0]} …); give a whole model")
    return VisionEncoder(model.eval(), processor)


def _read(
    images: Images, ids: Sequence[str], image_model: str, device: torch.device, bf16: bool
) -> NDArray[np.float32]:
    """``[pictures, dim]``, in the order of ``images``. ids: of the items."""
    assert images.addresses is not None
    encoder = load_vision_encoder(image_model)
    encoder.model.to(device)
    vectors, faults = [], []
    with tqdm(total=len(ids), desc="pictures", unit="picture", disable=None) as bar:
        for begin in range(0, len(ids), BATCH):
            pictures, rows = [], slice(begin, begin + BATCH)
            for item, address in zip(ids[rows], images.addresses[rows]):
                try:
                    pictures.append(read_picture(address))
                except UserError as error:
                    faults.append(f"item {item!r}: {error}")
            if len(faults) >= MOST_FAULTS:
                break
            if not faults:
                vectors.append(encode_pictures(encoder, pictures, device, bf16))
            bar.update(len(pictures))
    if faults:
        more = f" (and {len(faults) - SHOWN} more)" if len(faults) > SHOWN else ""
        raise UserError(
            f"pictures cannot be read: {'; '.join(faults[:SHOWN])}{more}; mend them, or leave their column image empty"
        )
    found = np.concatenate(vectors)
    if not np.isfinite(found).all():
        raise UserError(
            f"finetune.image_model: is {image_model!r}, and gives vectors that are not finite numbers; take another, or "
            "finetune.precision: fp32"
        )
    return found


def read_picture(address: str) -> Image.Image:
    """The picture in red, green and blue.

    Raises:
        UserError: naming the address that cannot be read, or holds no picture.
    """
    with reaching(address), open_file(address) as stream:
        content = stream.read()
    try:
        with Image.open(io.BytesIO(content)) as picture:
            return picture.convert("RGB")
    except (OSError, ValueError, SyntaxError, EOFError, struct.error, Image.DecompressionBombError) as error:
        raise UserError(f"{address}: is no picture that can be read ({error})") from None


@torch.no_grad()
def encode_pictures(
    encoder: VisionEncoder, pictures: Sequence[Image.Image], device: torch.device, bf16: bool
) -> NDArray[np.float32]:
    """Means over the places of the last states, or, of a model of pictures and texts, the vector it compares. ``[pictures, dim]``"""
    pixels = encoder.processor(images=list(pictures), return_tensors="pt")["pixel_values"].to(device)
    model = cast(Any, encoder.model)
    with torch.autocast(device.type, torch.bfloat16, enabled=bf16):
        if hasattr(model, "get_image_features"):
            found = model.get_image_features(pixel_values=pixels)
            states = found if isinstance(found, torch.Tensor) else found.pooler_output
        else:
            states = model(pixel_values=pixels).last_hidden_state
            # [pictures, places, dim] of a transformer, [pictures, dim, height, width] of a convolution
            states = states.mean(dim=1) if states.dim() == 3 else states.flatten(2).mean(dim=2)
    return np.asarray(states.float().cpu().numpy(), dtype=np.float32)
