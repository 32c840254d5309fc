import torch

from longtail.modeling.techniques.following_items import following_items


def test_following_items_by_hand() -> None:
    labels, shares = following_items(
        torch.tensor([[3, 4, 5], [7, 0, 0]]), torch.tensor([[True, True, True], [True, False, False]]), 2, 0.5
    )
    assert labels[:2].tolist() == [[3, 4], [4, 5]] and labels[2:, 0].tolist() == [5, 7]
    assert torch.allclose(shares, torch.tensor([[2 / 3, 1 / 3], [2 / 3, 1 / 3], [1.0, 0.0], [1.0, 0.0]]))
