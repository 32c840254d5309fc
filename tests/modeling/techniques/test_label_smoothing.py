import pytest
import torch

from longtail.modeling.losses import cross_entropy
from longtail.modeling.techniques.label_smoothing import smoothed_rows

LOGITS, LABELS = torch.randn(5, 7, generator=torch.Generator().manual_seed(1)), torch.tensor([0, 3, 6, 2, 2])
ONE_HOT = torch.nn.functional.one_hot(LABELS, 7).float()


@pytest.mark.parametrize("smoothing", [0.0, 0.3])
def test_it_is_cross_entropy_with_a_share_of_the_label_spread_evenly(smoothing: float) -> None:
    expected = cross_entropy((1 - smoothing) * ONE_HOT + smoothing / 7, LOGITS).item()
    assert smoothed_rows(LABELS, LOGITS, smoothing).mean().item() == pytest.approx(expected, abs=1e-6)
    shares = torch.ones(5, 1)
    assert smoothed_rows(LABELS[:, None], LOGITS, smoothing, shares).mean().item() == pytest.approx(expected, abs=1e-6)


def test_a_label_that_two_items_share() -> None:
    labels, shares = torch.stack([LABELS, (LABELS + 1) % 7], dim=1), torch.tensor([[0.75, 0.25]] * 5)
    spread = 0.75 * ONE_HOT + 0.25 * ONE_HOT.roll(1, dims=1)
    expected = cross_entropy(0.9 * spread + 0.1 / 7, LOGITS).item()
    assert smoothed_rows(labels, LOGITS, 0.1, shares).mean().item() == pytest.approx(expected, abs=1e-6)
