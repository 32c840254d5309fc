"""The one text form of an id."""

import doctest
from decimal import Decimal

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from longtail.contracts import ids
from longtail.contracts.ids import canonical_id


@pytest.mark.parametrize(
    ("value", "canonical"),
    [
        (12, "12"),
        (12.0, "12"),
        ("12.0", "12"),
        (np.float64(12), "12"),
        (np.int64(12), "12"),
        (Decimal("12.00"), "12"),
        (-3.0, "-3"),
        (0.0, "0"),
        (2**53 + 1, "9007199254740993"),
        (12345678901234567890123, "12345678901234567890123"),
        ("12345678901234567890123.0", "12345678901234567890123"),
        ("007", "007"),
        ("007.0", "007.0"),  # no number: leading zeros say so
        ("12.5", "12.5"),
        ("1.0.0", "1.0.0"),
        ("v1.0", "v1.0"),
        (" a b\t\r\n", "a b"),
        ("\u00a0x\ufeff", "x"),
        ("NaN", "NaN"),  # a text, which preprocess warns of
        ("é", "é"),
        (None, None),
        (float("nan"), None),
        (float("inf"), None),
        (Decimal("NaN"), None),
        ("", None),
        ("  ", None),
    ],
)
def test_canonical_id(value, canonical):
    assert canonical_id(value) == canonical


@given(st.one_of(st.text(), st.integers(), st.floats()))
def test_the_canonical_form_is_its_own(value):
    once = canonical_id(value)
    if once is not None and not once.endswith(".0"):  # "1.0.0" apart, a text may lose one .0 only
        assert canonical_id(once) == once


def test_the_example():
    assert doctest.testmod(ids).failed == 0
