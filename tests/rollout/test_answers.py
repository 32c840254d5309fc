import pytest

from longtail.contracts.errors import UserError
from longtail.rollout.answers import greatest_difference


def served(**scores):
    return [{"items": [{"item_id": item, "score": score} for item, score in scores.items()]}]


EVALUATED = [{"history": [], "attributes": [], "expected": ["a", "b", "c"], "scores": [10.0, 5.0, 5.0]}]


@pytest.mark.parametrize(
    ("answer", "difference"),
    [
        (served(a=10.0, b=5.0, c=5.0), 0),
        (served(a=10.0005, b=5.0, c=5.0), 5e-5),
        (served(a=10.0, c=5.0, b=5.0), 0),  # a tie may be broken the other way
        (served(a=10.0, b=5.0, d=5.0), 0),  # also against an item below the last place
    ],
)
def test_answers_within_the_tolerance_agree(answer, difference):
    assert greatest_difference("v1", EVALUATED, answer) == pytest.approx(difference)


@pytest.mark.parametrize(
    "answer",
    [
        served(a=10.002, b=5.0, c=5.0),
        served(b=10.0, a=5.0, c=5.0),
        served(d=10.0, b=5.0, c=5.0),
        served(a=10.0, b=5.0),
        served(),
        served(a=float("nan"), b=5.0, c=5.0),
    ],
)
def test_other_answers_do_not_agree(answer):
    with pytest.raises(UserError, match="evaluated user 0"):
        greatest_difference("v1", EVALUATED, answer)
