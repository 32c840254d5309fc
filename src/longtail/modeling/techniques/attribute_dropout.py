"""Attribute dropout (after DropoutNet, Volkovs et al. 2017, NeurIPS): an item's text is read without some of its attributes."""

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray


def drop_attributes(text: str, attributes: Sequence[str], share: float, rng: np.random.Generator) -> str:
    """The text without ``share`` of its attributes; nothing is drawn where it has none."""
    if not attributes:
        return text
    return without_attributes(text, attributes, rng.random(len(attributes)) >= share)


def without_attributes(text: str, attributes: Sequence[str], keep: NDArray[np.bool_]) -> str:
    """The text (``title | attribute, attribute | description``) with only some of its attributes."""
    kept = ", ".join(attribute for attribute, stays in zip(attributes, keep, strict=True) if stays)
    parts = text.split(" | ")
    block = ", ".join(attributes)
    return " | ".join(part for part in (kept if part == block else part for part in parts) if part)
