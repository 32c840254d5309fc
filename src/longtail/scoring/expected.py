"""What a bundle answers here, written down, so that what it answers elsewhere can be compared."""

from collections.abc import Sequence
from typing import Any

from longtail.scoring.asked import Asked
from longtail.scoring.recommender import Recommender


def expected_answers(recommender: Recommender, asked: Sequence[Asked]) -> list[dict[str, Any]]:
    """``history``, ``attributes`` and ``context`` of each who asks, the ``expected`` items and their ``scores``, best first."""
    return [
        {
            "history": list(one.history),
            "attributes": list(one.attributes),
            "context": list(one.context),
            "expected": [recommendation.item_id for recommendation in answer.items],
            "scores": [recommendation.score for recommendation in answer.items],
        }
        for one, answer in zip(asked, recommender.answers(asked))
    ]
