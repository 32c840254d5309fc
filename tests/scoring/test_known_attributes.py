"""What a client says of a user, found in what training knew."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from longtail.components.preprocess.profiles import bands
from longtail.scoring.known_attributes import KnownAttributes

KNOWN = KnownAttributes(
    ["age=18-23", "age=24-29", "age=30-73", "visits=0", "visits=1-3", "visits=4-9", "spent=-5--0.5", "spent=-0.5-2.25",
     "stars=1", "stars=2", "half=0.5", "gender=F", "size=S-M"]
)  # fmt: skip


@pytest.mark.parametrize(
    ("given_", "found"),
    [
        ("age=25", "age=24-29"),
        ("age=24-29", "age=24-29"),
        ("age=29.5", "age=30-73"),  # between two bands of whole numbers
        ("age=7", "age=18-23"),  # below all that training saw
        ("age=99", "age=30-73"),
        ("visits=0", "visits=0"),
        ("visits=0.0", "visits=0"),
        ("visits=9", "visits=4-9"),
        ("spent=-0.5", "spent=-5--0.5"),
        ("spent=1e0", "spent=-0.5-2.25"),
        ("stars=2.0", "stars=2"),
        ("half=0.50", "half=0.5"),
    ],
)
def test_a_number_finds_its_band(given_: str, found: str):
    assert KNOWN.find(given_) == found
    assert given_ in KNOWN


@pytest.mark.parametrize(
    "unknown", ["stars=3", "gender=X", "size=2", "age=", "age=nan", "age=inf", "colour=red", "age", ""]
)
def test_what_is_unknown_stays_as_it_was_said(unknown: str):
    assert KNOWN.find(unknown) == unknown
    assert unknown not in KNOWN


@pytest.mark.parametrize(
    ("vocabulary", "unknown"),
    [
        (["result=3-1", "result=0-2"], "result=1"),
        (["zip=12345-6789", "zip=20001-0001"], "zip=7"),
        (["shoe=40-42", "shoe=41-43"], "shoe=41"),
    ],
)
def test_texts_that_only_look_like_bands_are_none(vocabulary: list[str], unknown: str):
    assert KnownAttributes(vocabulary).find(unknown) == unknown


MISSING = KnownAttributes(
    ["age=", "age=18-23", "age=24-29", "gender=F", "likes=", "likes=x", "town=(other)", "town=Ulm"]
)


@pytest.mark.parametrize(
    ("given_", "complete"),
    [
        ([], ["age=", "likes="]),  # of gender and town, all users of the training had one
        (["age=25"], ["age=24-29", "likes="]),
        (["age=", "likes=x"], ["likes=x", "age="]),  # said to be missing is left out
        (["likes=z"], ["likes=z", "age="]),  # unknown is not missing
        (["gender=", "shoe="], ["age=", "likes="]),  # missing, of which training knew nothing, says nothing
        (["age"], ["age", "likes="]),
        (["town=Bonn", "age=", "age=19"], ["town=(other)", "age=18-23", "likes="]),
    ],
)
def test_what_is_left_out_is_missing(given_: list[str], complete: list[str]):
    assert MISSING.complete(given_) == complete


@pytest.mark.parametrize(
    ("given_", "found"),
    [
        ("zip=00501", "zip=00501"),
        ("zip=7", "zip=(other)"),
        ("zip=(other)", "zip=(other)"),
        ("zip=", "zip="),
        ("city=7", "city=7"),
    ],
)
def test_a_value_of_few_users_is_one_of_the_others(given_: str, found: str):
    known = KnownAttributes(
        ["zip=(other)", "zip=00501", "zip=1-9", "zip=20-30", "city=a"]
    )  # texts that look like bands
    assert known.find(given_) == found


@given(st.lists(st.integers(-1000, 1000), min_size=21, unique=True))
def test_every_number_of_training_is_found_in_the_band_that_preprocess_gave_it(values: list[int]):
    values.sort()
    edges = [values[len(values) * fifth // 5] for fifth in range(1, 5)]
    made = bands(edges, values[0], values[-1], True)
    known = KnownAttributes([f"n={name}" for _, name in made])
    for value in values:
        expected = next(name for upper, name in made if value <= upper)
        assert known.find(f"n={value}") == f"n={expected}"
