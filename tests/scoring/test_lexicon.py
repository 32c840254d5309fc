"""What a catalogue's words say of a question, by hand."""

import numpy as np
import pytest

from longtail.scoring.lexicon import Lexicon, Said, folded, parts_of, words_of

TEXTS = [
    "Red lamp",
    "Lamps, lamps and shades",
    "Fragrance free lotion",
    "Lotion with a rose fragrance",
    "Chair without arms",
]


@pytest.fixture(scope="module")
def lexicon() -> Lexicon:
    return Lexicon(TEXTS)


def never(word: str) -> bool:
    return False


def test_words_keep_what_an_apostrophe_joins():
    assert words_of("Burt's Bees® Lip-Balm, 0.15oz") == ["burts", "bees", "lip", "balm", "0", "15oz"]
    assert words_of("Crème brûlée – 化粧水") == ["crème", "brûlée", "化粧水"]


@pytest.mark.parametrize(
    ("word", "one"),
    [
        ("lamps", "lamp"),
        ("lashes", "lash"),
        ("glasses", "glass"),
        ("berries", "berry"),
        ("glass", "glass"),
        ("bus", "bus"),
    ],
)
def test_plurals_become_one_with_their_singular(word, one):
    assert folded(word) == one


@pytest.mark.parametrize(
    ("text", "present", "absent"),
    [
        ("hair dye without ammonia", ["hair", "dye"], ["ammonia"]),
        ("Sulfate-Free shampoo for curls", ["shampoo", "curl"], ["sulfate"]),
        ("foundation that does not clog pores and is not greasy", ["foundation"], ["clog", "pore", "greasy"]),
        ("no parabens, rich cream", ["rich", "cream"], ["paraben"]),
        ("non sticky gloss with shimmer", ["shimmer"], ["sticky", "gloss"]),  # it reaches three words
        ("I would like something for my skin", ["skin"], []),
        ("free samples", ["sample"], []),
        ("", [], []),
    ],
)
def test_what_is_wanted_and_what_is_not(text, present, absent):
    assert Said.of(text) == Said(present, absent)


@pytest.mark.parametrize(
    ("text", "parts"),
    [
        ("self tanner and a good body scrub", ["self tanner", "a good body scrub"]),
        ("I collect perfume and I also love long baths", ["I collect perfume", "love long baths"]),
        ("Hair & Scalp, Nails; 2.5 oz", ["Hair", "Scalp", "Nails", "2.5 oz"]),
        ("brandy or sand", ["brandy", "sand"]),
        ("something for my skin", ["something for my skin"]),
        ("and, or", []),
    ],
)
def test_parts_of_a_sentence_that_may_be_wishes(text, parts):
    assert parts_of(text) == parts


def test_coverage_is_bm25_as_a_share_of_the_rarity_that_was_asked_for(lexicon):
    # red is in 1 of 5 texts, lamp in 2; texts hold 2, 3, 1, 3 and 1 words that are there, 2 in the mean
    rarity = {"red": np.log(1 + 4.5 / 1.5), "lamp": np.log(1 + 3.5 / 2.5)}
    usual = [1.2, 1.2 * (0.25 + 0.75 * 3 / 2)]
    once, twice = 2.2 / (1 + usual[0]), 2 * 2.2 / (2 + usual[1])
    expected = [once * sum(rarity.values()), twice * rarity["lamp"], 0, 0, 0]
    assert lexicon.coverage("a red lamp, please") == pytest.approx(np.array(expected) / sum(rarity.values()), rel=1e-6)


def test_a_word_that_no_item_holds_makes_the_share_smaller(lexicon):
    known, unseen = np.log(1 + 3.5 / 2.5), np.log(1 + 5.5 / 0.5)
    both, alone = lexicon.coverage("headphones lamp"), lexicon.coverage("lamp")
    assert both == pytest.approx(alone * known / (known + unseen), rel=1e-6)
    assert not lexicon.coverage("headphones").any() and not lexicon.coverage("").any()


def test_what_is_not_wanted_is_matched_by_who_is_without_it(lexicon):
    free, scented = lexicon.coverage("lotion without fragrance")[[2, 3]]
    assert free > lexicon.coverage("lotion")[2] * 0.5 > 0 > scented
    assert np.argmax(lexicon.coverage("fragrance")) == 3  # and the other way round
    assert lexicon.coverage("fragrance")[2] == 0


def test_a_catalogue_without_words_covers_nothing():
    assert Lexicon(["", "!"]).coverage("red lamp").tolist() == [0, 0]


SHOP = ["eyeshadow palette"] * 2 + ["moisturizer with hyaluronic acid"] * 3 + ["rare eyeshadows"]


@pytest.mark.parametrize(
    ("asked", "read"),
    [
        ("eyeshaddow pallete", "eyeshadow palette"),  # one letter too many; one out of place and one missing
        ("moisterizer, please", "moisturizer, please"),
        ("Palettes", "Palettes"),  # a plural is known
        ("don't know the pallete", "don't know the palette"),  # the rest is read as it was written
        ("acod", "acod"),  # too short to be sure
        ("pelatte", "palette"),
        ("plt", "plt"),
        ("kawaii", "kawaii"),  # nothing is near
    ],
)
def test_spelling_is_put_right(asked, read):
    assert Lexicon(SHOP).spelled(asked, never) == read


def test_a_word_that_the_language_model_knows_is_left_alone():
    assert Lexicon(SHOP).spelled("pallete", never) == "palette"
    assert Lexicon(SHOP).spelled("pallete", lambda word: word == "pallete") == "pallete"


def test_gibberish_costs_no_more_than_a_sentence():
    asked = "pallete " * 20
    assert Lexicon(SHOP).spelled(asked, never) == "palette " * 8 + "pallete " * 12


def test_the_commoner_of_two_words_is_meant():
    texts = ["blush"] * 3 + ["brush"] * 2
    assert Lexicon(texts).spelled("bzush", never) == "blush"  # both are as near
    assert Lexicon(texts).spelled("brxsh", never) == "brush"
