"""Rules of the operations staff, by hand."""

import numpy as np
import pytest
from helpers_hand_bundle import write_hand_bundle

from longtail.contracts.errors import UserError
from longtail.scoring.asked import Filters
from longtail.scoring.bundle import load_bundle
from longtail.scoring.in_force import Placed, with_placed
from longtail.scoring.recommender import Recommender
from longtail.scoring.rules import Rules

ATTRIBUTES = (("lamp", "brand: Lux"), ("lamp", "brand: Sol"), ("chair", "adult"), ("chair", "brand: Lux"))


@pytest.fixture
def recommender(tmp_path):
    return Recommender(load_bundle(write_hand_bundle(tmp_path / "bundle", attributes=ATTRIBUTES)), threads=1)


def obeyed(recommender, text, **asked):
    recommender.obey(Rules.parse(f"rules: [{text}]", "f"))
    answer = recommender.recommend(**{"k": 4, **asked})
    return [item.item_id for item in answer.items], answer


@pytest.mark.parametrize(
    ("text", "items"),
    [
        ("", ["a", "b", "c", "d"]),  # scores 2.1, 1.2, -.78, -2.1; their deviation is 1.635
        ("{name: r, hide: [adult]}", ["a", "b", "d"]),
        ("{name: r, for: [cold, head], hide: [adult]}", ["a", "b", "d"]),
        ("{name: r, for: [tail], hide: [adult]}", ["a", "b", "c", "d"]),
        ("{name: r, boost: {chair: 1.0}}", ["a", "b", "c", "d"]),  # c = .855
        ("{name: r, boost: {chair: 1.5}}", ["a", "c", "b", "d"]),  # c = 1.67
        ("{name: r, boost: {lamp: -2}}", ["c", "a", "b", "d"]),  # a = -1.17, b = -2.07
        ("{name: r, boost: {chair: 1}}, {name: s, boost: {adult: 1}}", ["c", "a", "b", "d"]),  # c = 2.49
        ("{name: r, max_per: {brand: 1}}", ["a", "b", "c"]),
        ("{name: r, max_per: {lamp: 1, chair: 1}}", ["a", "c"]),
        ("{name: r, pin: {1: d}}", ["d", "a", "b", "c"]),
        ("{name: r, pin: {2: d, 3: a}}", ["b", "d", "a", "c"]),
        ("{name: r, pin: {9: a}}", ["a", "b", "c", "d"]),  # beyond the list that was asked for
        ("{name: r, pin: {1: d}}, {name: s, pin: {1: c}}", ["d", "a", "b", "c"]),  # the first rule's holds
        ("{name: r, pin: {1: c}}, {name: s, hide: [adult]}", ["a", "b", "d"]),  # what is hidden is not pinned
    ],
)
def test_what_rules_do(recommender, text, items):
    assert obeyed(recommender, text)[0] == items


def test_answers_say_which_rules_are_in_force_and_what_they_placed(recommender):
    text = "{name: safe, for: [cold], hide: [adult]}, {name: front, pin: {1: d}}"
    _, answer = obeyed(recommender, text)
    assert answer.rules == ["safe", "front"]
    assert answer.fewer_than_k == "of 4 items, 3 are not hidden by rules"
    assert [(item.source, item.about) for item in answer.items] == [("rule", "front"), *[("popularity", None)] * 2]
    assert answer.items[0].reason == "placed by the shop"
    _, known = obeyed(recommender, text, history=["a"])
    assert known.rules == ["front"] and [item.item_id for item in known.items] == ["d", "b", "c"]


@pytest.mark.parametrize(
    ("text", "asked", "changed"),
    [
        ("", {}, False),
        ("{name: r, hide: [adult]}", {}, True),  # c is the third
        ("{name: r, hide: [adult]}", {"k": 2}, False),
        ("{name: r, for: [tail], hide: [adult]}", {}, False),
        ("{name: r, boost: {lamp: 0.1}}", {}, True),  # scores are others
        ("{name: r, pin: {1: a}}", {}, True),
        ("{name: r, max_per: {lamp: 2}}", {}, False),  # there are no more
        ("{name: r, max_per: {lamp: 1}}", {}, True),
        ("{name: r, max_per: {lamp: 1}}", {"k": 1}, False),
        ("{name: r, boost: {adult: 0.1}}", {"k": 2}, False),  # c stays the third
        ("{name: r, hide: [adult]}", {"filters": Filters(none=["adult"])}, False),
    ],
)
def test_it_is_said_where_the_shop_changed_the_list(recommender, text, asked, changed):
    assert obeyed(recommender, text, **asked)[1].changed_by_shop is changed


def test_what_is_asked_for_goes_before_pins_and_the_lesser_limit_holds(recommender):
    assert obeyed(recommender, "{name: r, pin: {1: d}}", candidates=["a", "b"])[0] == ["a", "b"]
    assert obeyed(recommender, "{name: r, pin: {1: d}}", exclude=["d"])[0] == ["a", "b", "c"]
    assert obeyed(recommender, "{name: r, max_per: {lamp: 2}}", max_per={"lamp": 1})[0] == ["a", "c", "d"]
    assert obeyed(recommender, "{name: r, max_per: {lamp: 1}}", max_per={"lamp": 2})[0] == ["a", "c", "d"]
    assert obeyed(recommender, "{name: r, pin: {1: d}}", k=1)[0] == ["d"]


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("{name: r}", r"f: rules.0: give hide, boost, max_per, fold, pin, quota or fallback"),
        ("{hide: [adult]}", "f: rules.0.name: Field required"),
        ("{name: r, hidden: [adult]}", "f: rules.0.hidden: Extra inputs are not permitted"),
        ("{name: r, for: [new], hide: [adult]}", "f: rules.0.for.0: Input should be 'cold', 'tail', 'torso' or 'head'"),
        ("{name: r, boost: {adult: much}}", "f: rules.0.boost.adult: Input should be a valid number"),
        ("{name: r, boost: {adult: .nan}}", "f: rules.0.boost.adult: Input should be a valid number"),
        ("{name: r, boost: {adult: nan}}", "f: rules.0.boost.adult: Input should be less than or equal to 100"),
        ("{name: r, boost: {adult: 101}}", "f: rules.0.boost.adult: Input should be less than or equal to 100"),
        ("{name: r, max_per: {brand: 0}}", "f: rules.0.max_per.brand: Input should be greater than or equal to 1"),
        ("{name: r, pin: {0: a}}", r"f: rules\.0\.pin\.0\.\[key\]: Input should be greater than or equal to 1"),
        ("{name: r, pin: {1: a, 2: a}}", "f: rules.0: pin names an item twice"),
        ("{name: r, hide: [adult]}, {name: r, hide: [lamp]}", "f: two rules are named 'r'"),
        ("{name: r, hide: [adults]}", "rule 'r': no item has the attribute 'adults'"),
        ("{name: r, boost: {adults: 1}}", "rule 'r': no item has the attribute 'adults'"),
        ("{name: r, max_per: {colour: 1}}", "rule 'r': max_per: no item has the attribute or name 'colour'"),
        ("{name: r, pin: {1: z}}", "rule 'r': pin: item 'z' is not in the catalogue"),
    ],
)
def test_a_wrong_rule_changes_nothing(recommender, text, message):
    obeyed(recommender, "{name: safe, hide: [adult]}")
    with pytest.raises(UserError, match=message):
        obeyed(recommender, text)
    assert recommender.recommend(k=4).rules == ["safe"]


@pytest.mark.parametrize(
    ("pins", "k", "expected"),
    [
        ([], 3, [0, 1, 2]),
        ([Placed(0, 2, "r")], 3, [2, 0, 1]),
        ([Placed(1, 9, "r")], 3, [0, 9, 1]),
        ([Placed(0, 1, "r"), Placed(1, 0, "s")], 3, [1, 0, 2]),
        ([Placed(4, 9, "r")], 4, [0, 1, 2, 9]),
    ],
)
def test_pins_move_others_behind(pins, k, expected):
    assert with_placed(np.arange(3).tolist(), pins, k) == expected
