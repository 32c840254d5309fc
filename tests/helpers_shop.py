"""A small shop's files, as people bring them: thirty items and sixty users as CSV."""

from pathlib import Path

import numpy as np


def write_shop(folder: Path) -> Path:
    """Write ``items.csv`` and ``interactions.csv``; users are u0 to u59, items i0 to i29."""
    folder.mkdir()
    words = ("red", "blue", "green"), ("lip", "eye", "nail", "hair"), ("brush", "cream", "soap")
    titles = [" ".join(part[item % len(part)] for part in words) for item in range(30)]
    lines = [f"i{item},{title} {item}" for item, title in enumerate(titles)]
    (folder / "items.csv").write_text("\n".join(["item_id,title", *lines]) + "\n")
    rng = np.random.default_rng(0)
    bought = [(user, item) for user in range(60) for item in rng.permutation(30)[: rng.integers(3, 12)]]
    rows = [f"u{user},i{item},{1_600_000_000 + place}" for place, (user, item) in enumerate(bought)]
    (folder / "interactions.csv").write_text("\n".join(["user_id,item_id,timestamp", *rows]) + "\n")
    return folder
