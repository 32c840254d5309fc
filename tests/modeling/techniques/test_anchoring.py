from pathlib import Path

import pytest
import torch
from test_adaptation import adapted

from longtail.modeling.techniques.anchoring import anchor_loss


def test_anchor_by_hand() -> None:
    assert anchor_loss(torch.tensor([[1.0, 0.0], [0.6, 0.8]]), torch.tensor([[1.0, 0.0], [1.0, 0.0]])) == pytest.approx(
        0.2
    )


@pytest.mark.slow
def test_anchored_vectors_stay_nearer_to_the_pretrained_ones(tiny_encoder: Path, tmp_path: Path) -> None:
    settings = {"steps": 40, "learning_rate": 1e-2}
    frozen, free = adapted(tiny_encoder, tmp_path / "free", **settings)
    _, anchored = adapted(tiny_encoder, tmp_path / "anchored", anchor_weight=20.0, **settings)
    cosine = lambda v: (v * frozen).sum(axis=1).mean()  # noqa: E731
    assert cosine(anchored) > cosine(free) + 0.1
