"""Word dropout (Iyyer et al. 2015, ACL): an item's text is read without some of its words."""

import numpy as np


def drop_words(text: str, share: float, rng: np.random.Generator) -> str:
    """The text without ``share`` of its words, but never without all."""
    words = text.split()
    drawn = rng.random(len(words))
    kept = [word for word, draw in zip(words, drawn, strict=True) if draw >= share]
    return " ".join(kept or words[:1])
