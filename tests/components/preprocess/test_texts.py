"""Lists written as text, and HTML in texts."""

import doctest

import pytest

from longtail.components.preprocess import texts
from longtail.components.preprocess.texts import attribute_texts, decoded, list_items, parse_list, plain_text


@pytest.mark.parametrize(
    ("text", "items"),
    [
        ('["home", "red"]', ["home", "red"]),
        ("['home', 'red']", ["home", "red"]),
        ("['home' 'red'\n 'it''s']", ["home", "red", "it", "s"]),  # NumPy's
        ("""['it\\'s', "a 'b'", None, 2, 3.0]""", ["it's", "a 'b'", "2", "3"]),
        ('["caf\\u00e9", " x ", "", null, true]', ["café", "x", "True"]),
        ("[1, 2]", ["1", "2"]),
        ("[]", []),
        ("[Limited edition]", None),
        ("[1, [2]]", None),
        ('[{"a": 1}]', None),
        ("red", None),
        ("[red", None),
    ],
)
def test_parse_list(text: str, items):
    assert parse_list(text) == items


@pytest.mark.parametrize(
    ("text", "plain"),
    [
        ("Lamp &amp; Co &#39;XL&#39; caf&eacute; &#x2019;", "Lamp & Co 'XL' café ’"),
        ("&amp;amp; &amp;lt;", "&amp; &lt;"),  # once
        ("R&D &copy 2020 AT&T a&b=c;", "R&D &copy 2020 AT&T a&b=c;"),
        ("&nosuch; x", "&nosuch; x"),
        ("a&nbsp;b&nbsp;", "a b"),
        ("&nbsp;", None),
    ],
)
def test_entities_are_decoded_once(text: str, plain):
    assert decoded(text) == plain


def test_texts_and_attributes():
    assert plain_text("['Warm &amp; bright', 'light']") == "Warm & bright light"
    assert attribute_texts("home &amp; garden\x1f \x1fred") == "home & garden\x1fred"
    assert attribute_texts('["a", "b &lt; c"]') == "a\x1fb < c"
    assert attribute_texts("[]") is None
    assert list_items("['a', 'b']") == "a\x1fb"
    assert list_items("a &amp; b") == "a &amp; b"  # of users: their values are compared with what clients send


def test_the_examples():
    assert doctest.testmod(texts).failed == 0
