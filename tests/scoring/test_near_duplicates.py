"""Near-duplicates, by titles of real catalogues."""

import pytest

from longtail.scoring.near_duplicates import NearDuplicates, words_of_title


@pytest.mark.parametrize(
    ("first", "second", "same"),
    [
        ("Cetaphil Gentle Skin Cleanser - 16 fl oz", "Cetaphil Gentle Skin Cleanser 16 fl oz.", True),
        ("DHC Deep Cleansing Oil 6.7 fl. oz/200 ml", "DHC Deep Cleansing Oil 6.7fl.oz./200ml", True),
        ("Batiste Dry Shampoo 5.05 oz. Tropical", "Batiste Dry Shampoo Tropical 5.05 oz", True),
        ("Tornado Tube - Assorted Colors", "Tornado Tubes, assorted colors.", True),
        ("Little Tikes Tap A Tune Drum", "Little Tikes Tap-A-Tune Drum", True),
        ("Men's ÉCLAIR", "mens éclair", True),
        ("Cutemol Emollient Cream, 8-Ounce", "Cutemol Emollient Cream, 2-Ounce", False),  # sizes are words like others
        ("Konad Stamping Nail Art Image Plate - M26", "Konad Stamping Nail Art Image Plate - M21", False),
        ("Lamp, red", "Lamp, blue", False),
        ("SPF 1.5", "SPF 15", False),
        ("Lamp 2 2", "Lamp 2", False),
    ],
)
def test_titles_of_the_same_words_and_numbers(first, second, same):
    assert (words_of_title(first) == words_of_title(second)) is same


def test_what_has_no_title_has_no_near_duplicates():
    known = NearDuplicates(["Red lamp", None, "lamp red", "", "?!", "?!"])
    assert known.group(0) == known.group(2) == ("lamp", "red")
    assert [known.group(item) for item in (1, 3, 4, 5)] == [None] * 4
