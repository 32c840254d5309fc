"""What is said of items that are added while serving: read strictly."""

import pytest

from longtail.contracts.errors import UserError
from longtail.scoring.added import AddedItem
from longtail.scoring.availability import Availability

FILE = """
sold_out: [a]
added:
  007: {title: Red lamp, text: It is red., attributes: [lamp, "brand: Lux"], numbers: {price: 9.5}}
  12.0: {text: "1e5"}
"""


def test_items_are_read_as_they_are_written():
    availability = Availability.parse(FILE, "f")
    assert list(availability.added) == ["007", "12"]
    lamp, other = availability.added.values()
    assert (lamp.title, lamp.attributes, lamp.numbers) == ("Red lamp", ("lamp", "brand: Lux"), {"price": 9.5})
    assert (other.title, other.text) == (None, "1e5")
    assert availability.item_ids == ["a"]  # what is added is not closed by that


def test_its_words_are_put_together_as_preprocess_does():
    assert AddedItem(title="Lamp", attributes=("x", "y"), text="Red.").words == "Lamp | x, y | Red."
    assert AddedItem(text="Red.").words == "Red."


@pytest.mark.parametrize(
    ("said", "message"),
    [
        ("{attributes: [x]}", "added.e: give title, text or both"),
        ("{title: '  '}", "added.e: give title, text or both"),
        ("{title: x, numbers: {price: cheap}}", "added.e.numbers.price: Input should be a valid number"),
        ("{title: x, numbers: {price: nan}}", "added.e.numbers.price: Input should be a finite number"),
        ("{title: x, colour: red}", "added.e.colour: Extra inputs"),
    ],
)
def test_what_cannot_be_meant_is_refused(said, message):
    with pytest.raises(UserError, match=rf"^f: {message}"):
        Availability.parse(f"added: {{e: {said}}}", "f")


def test_there_is_an_end(monkeypatch):
    many = "\n".join(f"  i{number}: {{title: x}}" for number in range(10_001))
    with pytest.raises(UserError, match="added: Dictionary should have at most 10000 items"):
        Availability.parse(f"added:\n{many}", "f")
