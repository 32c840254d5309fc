"""Several teachers (You et al. 2017, KDD): the student follows the mean of their scores."""

from collections.abc import Iterable

from torch import Tensor


def mean_scores(scores: Iterable[Tensor]) -> Tensor:
    """The mean of each teacher's scores, all [positions, items]; in a softmax that is the mean of their log-probabilities."""
    first, *others = scores
    total = first
    for other in others:
        total = total + other
    return total / (1 + len(others))
