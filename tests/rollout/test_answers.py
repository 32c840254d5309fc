import pytest

from longtail.contracts.errors import UserError
from longtail.rollout.answers import ask_v1, ask_v2, greatest_difference


def served(**scores):
    return [{"items": [{"item_id": item, "score": score} for item, score in scores.items()]}]


EVALUATED = [{"history": [], "attributes": [], "context": [], "expected": ["a", "b", "c"], "scores": [10.0, 5.0, 5.0]}]


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


def test_what_the_shop_changed_is_left_aside():
    (changed,) = served(d=10.0)
    answers = [changed | {"changed_by_shop": True}, *served(a=10.0, b=5.0, c=5.0005)]
    assert greatest_difference("v1", EVALUATED * 2, answers) == pytest.approx(5e-5)
    with pytest.raises(UserError, match="evaluated user 1"):
        greatest_difference("v1", EVALUATED * 2, [answers[0], *served(a=10.0, b=5.0)])


@pytest.mark.parametrize("ask", [ask_v1, ask_v2])
@pytest.mark.parametrize(
    "answer",
    [
        None,
        [],
        "text",
        {},
        {"predictions": None, "outputs": []},
        {"predictions": [], "outputs": [{"data": []}]},
        {"predictions": [{}], "outputs": [{"data": ["{}"]}]},
        {"predictions": [{"items": [{"item_id": "a"}]}], "outputs": [{"data": ["{]"]}]},
        {"predictions": [{"items": [{"item_id": "a", "score": "1"}]}], "outputs": [{"data": [1]}]},
    ],
)
def test_what_is_no_answer_of_the_server_is_a_message(ask, answer):
    with pytest.raises(UserError, match="what is no answer of the model server"):
        ask(lambda *_: answer, "shop", [{}])
