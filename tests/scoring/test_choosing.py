"""Quotas, folding, fallback lists and what rules did, by hand; then what must hold of every list, whatever rules say."""

from collections import Counter
from dataclasses import replace

import numpy as np
import pytest
from helpers_hand_bundle import write_hand_bundle
from hypothesis import example, given, settings
from hypothesis import strategies as st

from longtail.contracts.errors import UserError
from longtail.scoring.asked import Asked, Explore, Filters
from longtail.scoring.availability import Availability
from longtail.scoring.bundle import load_bundle
from longtail.scoring.choosing import Choosing, Wanted
from longtail.scoring.eligibility import Eligibility, LeftOut
from longtail.scoring.in_force import InForce
from longtail.scoring.recommender import Recommender
from longtail.scoring.rules import Rules
from longtail.scoring.scorer import Scorer
from longtail.scoring.scores import Scores

ATTRIBUTES = (("lamp", "brand: Lux"), ("lamp", "brand: Sol"), ("chair", "adult"), ("chair", "brand: Lux"))
TITLES = ("Red lamp", "Lamp, red", "Blue lamp", None)  # a and b are near-duplicates
NONE = np.zeros(0, np.int32)


@pytest.fixture(scope="module")
def bundle(tmp_path_factory):
    return load_bundle(write_hand_bundle(tmp_path_factory.mktemp("b") / "bundle", attributes=ATTRIBUTES, titles=TITLES))


@pytest.fixture
def recommender(bundle):
    return Recommender(bundle, threads=1)


def obeyed(recommender, text, **asked):
    """The ids given: a, b, c, d have the scores 2.1, 1.2, -.78 and -2.1."""
    recommender.obey(Rules.parse(f"rules: [{text}]", "f"))
    answer = recommender.recommend(**{"k": 4, **asked})
    return "".join(item.item_id for item in answer.items), answer


@pytest.mark.parametrize(
    ("text", "k", "items", "acted", "unmet"),
    [
        ("{name: r, quota: {chair: {at_least: 1, of: 2}}}", 4, "acbd", ["r"], []),  # the worse in the last place for it
        ("{name: r, quota: {chair: {at_least: 2, of: 2}}}", 4, "cdab", ["r"], []),
        ("{name: r, quota: {chair: {at_least: 1, of: 3}}}", 4, "abcd", [], []),  # met as it is
        ("{name: r, quota: {chair: {at_least: 1, of: 3}}}", 2, "ab", [], []),  # the beginning of such a list
        ("{name: r, quota: {chair: {at_least: 2, of: 3}}}", 2, "ac", ["r"], []),
        ("{name: r, quota: {chair: {at_least: 1}}}", 2, "ac", ["r"], []),  # of the list
        ("{name: r, quota: {chair: {share: 0.5}}}", 2, "ac", ["r"], []),
        ("{name: r, quota: {chair: {share: 0.34}}}", 3, "acd", ["r"], []),  # 1.02 of 3 are 2
        ("{name: r, quota: {adult: {at_least: 2, of: 3}}}", 4, "abcd", [], ["3 items 1 instead of 2 have 'adult'"]),
        ("{name: r, quota: {adult: {at_least: 2, of: 2}}}", 4, "acbd", ["r"], ["2 items 1 instead of 2 have 'adult'"]),
        # limits go before quotas
        (
            "{name: r, quota: {'brand: Lux': {at_least: 2, of: 3}}, max_per: {brand: 1}}",
            4,
            "abc",
            ["r"],
            ["3 items 1 instead of 2 have 'brand: Lux'"],
        ),
        # a would use up the one lamp
        ("{name: r, quota: {'brand: Sol': {at_least: 1, of: 2}}}, {name: s, max_per: {lamp: 1}}", 4, "bcd", ["r", "s"], []),
        # pins count, and leave no place
        ("{name: r, quota: {chair: {at_least: 1, of: 2}}}, {name: s, pin: {1: d}}", 4, "dabc", ["s"], []),
        (
            "{name: r, quota: {chair: {at_least: 1, of: 2}}}, {name: s, pin: {1: b, 2: a}}",
            4,
            "bacd",
            ["s"],
            ["2 items 0 instead of 1 have 'chair'"],
        ),
        ("{name: r, quota: {chair: {at_least: 1, of: 3}}}, {name: s, pin: {3: b}}", 3, "acb", ["s"], []),
        # two quotas: the one of the fewest places first, and one item counts for both
        ("{name: r, quota: {chair: {at_least: 1, of: 2}, adult: {at_least: 1, of: 1}}}", 4, "cabd", ["r"], []),
        ("{name: r, quota: {adult: {at_least: 1, of: 1}}}, {name: s, quota: {lamp: {at_least: 1, of: 1}}}", 2, "ca", ["r"],
         ["s: of the first 1 items 0 instead of 1 have 'lamp'"]),
        ("{name: r, quota: {adult: {at_least: 1, of: 2}}}, {name: s, hide: [adult]}", 4, "abd", ["s"],
         ["2 items 0 instead of 1 have 'adult'"]),
    ],
)  # fmt: skip
def test_quotas(recommender, text, k, items, acted, unmet):
    found, answer = obeyed(recommender, text, k=k)
    assert (found, answer.rules) == (items, acted)
    assert len(answer.unmet) == len(unmet) and all(said in given for said, given in zip(unmet, answer.unmet))
    assert answer.changed_by_shop is bool(acted)


def test_what_is_asked_for_goes_before_quotas(recommender):
    text = "{name: r, quota: {chair: {at_least: 1, of: 1}}}"
    assert obeyed(recommender, text)[0] == "cabd"
    assert obeyed(recommender, text, filters=Filters(none=["adult"]))[0] == "dab"
    assert obeyed(recommender, text, exclude=["c"], candidates=["a", "c", "d"])[0] == "da"
    found, answer = obeyed(recommender, text, filters=Filters(all=["lamp"]))
    assert (found, answer.rules) == ("ab", [])
    assert answer.unmet == ["r: of the first 1 items 0 instead of 1 have 'chair'"]


def test_folding(recommender):
    found, answer = obeyed(recommender, "", fold=True)
    assert found == "acd" and answer.fewer_than_k == "of 4 items, 3 are left within limits, near-duplicates folded"
    assert [item.folded for item in answer.items] == [["b"], None, None]
    assert (answer.rules, answer.changed_by_shop) == ([], False)
    assert all(item.folded is None for item in obeyed(recommender, "")[1].items)
    found, answer = obeyed(recommender, "", fold=True, exclude=["a"])
    assert found == "bcd" and [item.folded for item in answer.items] == [None] * 3  # what may not be given is not named
    assert obeyed(recommender, "", fold=True, k=2)[0] == "ac"
    assert sorted(obeyed(recommender, "", fold=True, diversity=0.9)[0]) == ["a", "c", "d"]


@pytest.mark.parametrize(
    ("text", "asked", "items", "acted"),
    [
        ("{name: r, fold: true}", {"k": 3}, "acd", ["r"]),
        ("{name: r, fold: true}", {"k": 1}, "a", []),  # b would not have been there
        ("{name: r, fold: true}", {"k": 3, "fold": True}, "acd", []),  # it was asked for
        ("{name: r, for: [tail], fold: true}", {"k": 3}, "abc", []),
        ("{name: r, fold: true}, {name: s, pin: {1: b}}", {}, "bcd", ["r", "s"]),  # a stands behind what is pinned
        ("{name: r, fold: true}, {name: s, pin: {1: b, 2: a}}", {}, "bacd", ["s"]),  # pins are the shop's own will
        ("{name: r, fold: true, quota: {'brand: Sol': {at_least: 1, of: 2}}}", {"k": 3}, "bcd", ["r"]),
        (
            "{name: r, fold: true}, {name: s, boost: {'brand: Sol': 1}}",
            {"k": 3},
            "bcd",
            ["r", "s"],
        ),  # now b is the best
    ],
)
def test_rules_that_fold(recommender, text, asked, items, acted):
    found, answer = obeyed(recommender, text, **asked)
    assert (found, answer.rules) == (items, acted)
    lamp = next(item for item in answer.items if item.item_id in "ab")
    assert lamp.folded == (None if "a" in found and "b" in found else ["b" if lamp.item_id == "a" else "a"])


@pytest.mark.parametrize(
    ("text", "asked", "items", "acted"),
    [
        # for a user of whom nothing is known the list comes first
        ("{name: r, for: [cold], fallback: [d, c]}", {}, "dcab", ["r"]),
        ("{name: r, for: [cold], fallback: [d, c]}", {"k": 1}, "d", ["r"]),
        ("{name: r, for: [cold], fallback: [d, c]}", {"history": ["z"], "attributes": ["shoe=42"]}, "dcab", ["r"]),
        ("{name: r, for: [cold], fallback: [d, c]}", {"attributes": ["gender=F"]}, "abcd", []),
        ("{name: r, for: [cold], fallback: [d, c]}", {"interests": "lamp", "k": 1}, "b", []),
        ("{name: r, for: [cold], fallback: [d, c]}", {"similar_to": ["a"], "k": 1}, "c", []),
        ("{name: r, for: [cold], fallback: [d, c]}", {"context": {"occasion": "party"}, "k": 1}, "b", []),
        ("{name: r, for: [tail], fallback: [d, c]}", {}, "abcd", []),
        ("{name: r, fallback: [d, c]}", {}, "abcd", []),  # no segment is named: for places that are left
        # what may not be given is not
        ("{name: r, for: [cold], fallback: [d, c]}", {"exclude": ["d"]}, "cab", ["r"]),
        ("{name: r, for: [cold], fallback: [d, c]}", {"filters": Filters(all=["lamp"])}, "ab", []),
        ("{name: r, for: [cold], fallback: [d, c]}", {"candidates": ["a", "c"]}, "ca", ["r"]),
        ("{name: r, for: [cold], fallback: [d, c]}, {name: s, hide: [adult]}", {}, "dab", ["r", "s"]),
        ("{name: r, for: [cold], fallback: [d, c]}, {name: s, pin: {1: b, 2: c}}", {}, "bcda", ["r", "s"]),
        ("{name: r, for: [cold], fallback: [d]}, {name: s, for: [cold], fallback: [d, b]}", {}, "dbac", ["r", "s"]),
        # it counts for limits
        ("{name: r, for: [cold], fallback: [d]}, {name: s, max_per: {brand: 1}}", {}, "dbc", ["r", "s"]),
        # places that rules leave are filled past their limits, in the list's order
        ("{name: r, fallback: [c, b]}, {name: s, max_per: {lamp: 1}}", {}, "acdb", ["r", "s"]),
        ("{name: r, fallback: [d, b]}, {name: s, max_per: {lamp: 1, chair: 1}}", {}, "acdb", ["r", "s"]),
        ("{name: r, fallback: [b]}, {name: s, fold: true}", {}, "acdb", ["r", "s"]),
        ("{name: r, fallback: [b]}, {name: s, max_per: {lamp: 1}}", {"k": 3}, "acd", ["s"]),
        # but not past those of the question
        ("{name: r, fallback: [b, d]}", {"max_per": {"lamp": 1, "chair": 1}}, "ac", []),
        ("{name: r, fallback: [b, d]}, {name: s, max_per: {chair: 1}}", {"max_per": {"lamp": 1}}, "acd", ["r", "s"]),
        ("{name: r, fallback: [b]}", {"fold": True}, "acd", []),
    ],
)  # fmt: skip
def test_fallback_lists(recommender, text, asked, items, acted):
    found, answer = obeyed(recommender, text, **asked)
    assert (found, answer.rules) == (items, acted)
    assert (answer.fewer_than_k is None) == (len(found) == asked.get("k", 4))


def test_what_a_fallback_list_gave_is_said(recommender):
    _, answer = obeyed(recommender, "{name: r, for: [cold], fallback: [d]}", k=2)
    assert [(item.item_id, item.source, item.about) for item in answer.items] == [
        ("d", "rule", "r"),
        ("a", "popularity", None),
    ]
    assert answer.items[0].reason == "placed by the shop"
    _, answer = obeyed(recommender, "{name: r, fallback: [b]}, {name: s, fold: true}")
    assert [(item.item_id, item.source) for item in answer.items[2:]] == [("d", "popularity"), ("b", "rule")]
    assert answer.items[0].folded is None  # b is there itself


def test_nothing_is_explored_where_the_shops_list_comes_first(recommender):
    text = "{name: r, for: [cold], fallback: [d]}"
    found, answer = obeyed(recommender, text, explore=Explore(epsilon=0.0))
    assert (found, answer.degraded) == ("dabc", "nothing is explored, as a rule places or limits items")
    found, answer = obeyed(recommender, text, attributes=["gender=F"], explore=Explore(epsilon=0.0))
    assert (found, answer.degraded, answer.items[0].propensity) == ("abcd", None, 1.0)
    for more in ("fold: true", "quota: {lamp: {at_least: 1}}"):
        assert obeyed(recommender, f"{{name: r, {more}}}", explore=Explore(epsilon=0.0))[1].degraded


@pytest.mark.parametrize(
    ("text", "asked", "acted"),
    [
        ("{name: r, hide: [adult]}, {name: s, hide: [adult]}", {}, ["r", "s"]),  # each alone would have hidden it
        ("{name: r, hide: [adult]}", {"k": 2}, []),
        ("{name: r, hide: [adult]}", {"exclude": ["c"]}, []),
        ("{name: r, boost: {adult: 0.1}}", {"k": 3}, ["r"]),  # its score is another
        ("{name: r, boost: {adult: 0.1}}", {"k": 2}, []),
        ("{name: r, boost: {adult: 0}}", {}, []),
        ("{name: r, boost: {lamp: -2}}", {"k": 1}, ["r"]),  # it moved them out: c is the first
        ("{name: r, boost: {chair: 1.5}}, {name: s, hide: [adult]}", {"k": 2}, []),  # c would not have been there
        ("{name: r, boost: {chair: 1.5}}, {name: s, hide: [adult]}", {"k": 3}, ["r", "s"]),
        ("{name: r, max_per: {lamp: 1}}, {name: s, max_per: {lamp: 2}}", {}, ["r"]),
        ("{name: r, max_per: {lamp: 1}}", {"max_per": {"lamp": 1}}, []),  # it was asked for
        ("{name: r, max_per: {lamp: 1}}", {"max_per": {"lamp": 2}}, ["r"]),
        ("{name: r, pin: {3: d}}", {"k": 2}, []),
        ("{name: r, pin: {1: a}}", {}, ["r"]),  # the answer says that it is placed
        ("{name: r, hide: [adult]}", {"explore": Explore(epsilon=0.5), "k": 1}, ["r"]),  # it could have been drawn
        ("{name: r, hide: [adult]}", {"explore": Explore(epsilon=0.5), "k": 1, "candidates": ["a", "b"]}, []),
        ("{name: r, boost: {adult: 1}}", {"explore": Explore(epsilon=0.5), "k": 1}, ["r"]),
    ],
)
def test_answers_name_the_rules_that_acted(recommender, text, asked, acted):
    _, answer = obeyed(recommender, text, **asked)
    assert (answer.rules, answer.changed_by_shop) == (acted, bool(acted))


def test_availability_is_no_rule_but_changes_lists(recommender):
    recommender.close(Availability(hidden=["a"]))
    assert [obeyed(recommender, "", k=k)[1].changed_by_shop for k in (1, 4)] == [True, True]
    recommender.close(Availability(hidden=["c"]))
    found, answer = obeyed(recommender, "{name: r, hide: [adult]}")
    assert (found, answer.rules, answer.changed_by_shop) == ("abd", [], True)  # c would not have been there anyway
    assert not obeyed(recommender, "{name: r, hide: [adult]}", k=2)[1].changed_by_shop


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("{name: r, quota: {lamp: {of: 3}}}", "f: rules.0.quota.lamp: give at_least or share, one of the two"),
        ("{name: r, quota: {lamp: {at_least: 1, share: 0.5}}}", "f: rules.0.quota.lamp: give at_least or share, one"),
        ("{name: r, quota: {lamp: {at_least: 3, of: 2}}}", "f: rules.0.quota.lamp: at_least 3 is more than of 2"),
        (
            "{name: r, quota: {lamp: {share: 1.5}}}",
            "f: rules.0.quota.lamp.share: Input should be less than or equal to 1",
        ),
        ("{name: r, quota: {lamps: {at_least: 1}}}", "rule 'r': no item has the attribute 'lamps'"),
        ("{name: r, fallback: [a, a]}", "f: rules.0: fallback names an item twice"),
        ("{name: r, fallback: [a, z]}", "rule 'r': fallback: item 'z' is not in the catalogue"),
        ("{name: r, fold: maybe}", "f: rules.0.fold: Input should be a valid boolean"),
        ("{name: r, fold: false}", "f: rules.0: give hide, boost, max_per, fold, pin, quota or fallback"),
    ],
)
def test_a_wrong_rule_is_refused(recommender, text, message):
    with pytest.raises(UserError, match=message):
        obeyed(recommender, text)


def test_diversity_by_attributes_where_there_are_no_trained_vectors(bundle, monkeypatch):
    """Behind a, c has nothing in common with it; b and d share one of three attributes."""
    monkeypatch.setattr(Scorer, "has_dense_part", False)
    recommender = Recommender(bundle, threads=1)
    for by in ("mmr", "dpp"):
        assert obeyed(recommender, "", diversity=0.9, diversity_by=by)[0][:2] == "ac"
    assert obeyed(recommender, "", diversity=0.2)[0] == "abcd"


WORDS = ("x", "y", "z", None)
ids = st.integers(0, 7)
brands = st.sampled_from(["brand: L", "brand: M", None])
rows = st.lists(st.tuples(brands, st.booleans(), st.sampled_from(WORDS)), min_size=8, max_size=8)
rules_of = st.fixed_dictionaries(
    {},
    optional={
        "max_per": st.dictionaries(st.just("brand"), st.integers(1, 2), min_size=1),
        "pin": st.dictionaries(st.integers(1, 6), ids, max_size=3).filter(
            lambda pins: len(set(pins.values())) == len(pins)
        ),
        "fallback": st.lists(ids, max_size=3, unique=True),
        "segments": st.sampled_from([(), ("cold",)]),
        "quota": st.tuples(st.integers(1, 4), st.integers(1, 6) | st.none()),
        "hide": st.just(True),
        "fold": st.booleans(),
    },
)


@settings(max_examples=600)
@example(  # 4 is a near-duplicate of 5, and the third of its brand
    [
        *([("brand: L", False, "x")] * 3),
        ("brand: L", False, None),
        ("brand: M", False, "x"),
        ("brand: L", False, "x"),
        ("brand: M", False, "y"),
        ("brand: M", False, "z"),
    ],
    {"segments": (), "max_per": {"brand": 2}, "fold": True},
    list(range(8)),
    4,
    set(),
    False,
)
@given(rows, rules_of, st.permutations(range(8)), st.integers(1, 8), st.sets(ids, max_size=3), st.booleans())
def test_what_holds_of_every_list(bundle, rows, rules, ranks, k, exclude, nothing_known):
    """Nothing forbidden, nothing twice, limits and folding kept, quotas met where it is possible, no place left without need."""
    attributes = [
        [brand] * bool(brand) + ["own"] * own + ["h"] * (code == 7) for code, (brand, own, _) in enumerate(rows)
    ]
    attributes[0] = [*attributes[0], "brand: L"] if not rows[0][0] else attributes[0]
    made = replace(
        bundle,
        item_ids=[str(code) for code in range(8)],
        titles=[title for *_, title in rows],
        item_attributes=attributes,
        train_counts=np.ones(8, np.int64),
        numbers=np.zeros((8, 0)),
    )
    known, in_force = Eligibility(made), in_force_of(rules, made)
    left_out = LeftOut(NONE, NONE, in_force.hidden)
    asked = Asked(k=k, exclude=[str(code) for code in exclude])
    scores = np.array(ranks, dtype=np.float32)
    choosing = Choosing(made, known, has_dense_part=True)
    wanted = Wanted(asked, Scores(scores), left_out, in_force, nothing_known)
    found = choosing.choose(wanted)
    codes = found.codes.tolist()
    allowed = set(range(8)) - exclude - ({7} if rules.get("hide") else set())
    assert set(codes) <= allowed and len(set(codes)) == len(codes) <= k
    others = [code for code in codes if code not in found.placed]
    groups = {code: rows[code][2] for code in range(8)}
    brand = {code: next((a for a in attributes[code] if a.startswith("brand")), None) for code in range(8)}
    most, fold = rules.get("max_per", {}).get("brand"), rules.get("fold", False)

    def fits(code, among):
        of = Counter(brand[other] for other in among if other != code)
        keeps = not (most and brand[code]) or of[brand[code]] < most
        return keeps and not (fold and groups[code] and groups[code] in {groups[o] for o in among if o != code})

    mask = np.isin(np.arange(8), list(allowed))
    placed = [one.item for one in in_force.placed(k, mask, wanted.leads)]  # what fills places that are left may be more
    assert all(fits(code, [*placed, *others]) for code in others)
    if len(codes) < k:
        assert not [code for code in allowed - set(codes) if fits(code, codes)]
        assert not [code for code in rules.get("fallback", []) if code in allowed and code not in codes]
    for place, code in rules.get("pin", {}).items():
        if place <= k and code in allowed and len(codes) == k:
            assert codes[place - 1] == code
    if "quota" in rules and not fold:
        assert_quota(rules, codes, found, attributes, brand, allowed, k, most)
    names, changed = choosing.acted(wanted, Scores(scores), found)
    own = [code for code in np.argsort(-scores, kind="stable").tolist() if code not in exclude][:k]
    assert changed is bool(names or codes != own)
    assert changed is bool(names)


def in_force_of(rules, bundle):
    given = {key: value for key, value in rules.items() if key not in ("segments", "quota", "hide")}
    given["pin"] = {place: str(code) for place, code in rules.get("pin", {}).items()}
    given["fallback"] = tuple(str(code) for code in rules.get("fallback", ()))
    if "quota" in rules:
        count, of = rules["quota"]
        given["quota"] = {"own": {"at_least": min(count, of or count), "of": of}}
    if rules.get("hide"):
        given["hide"] = ("h",)
    known = Eligibility(bundle)
    items_of = {"own": NONE, **known.items_of}
    if not any(given.values()):
        return InForce([], {}, {}, 8)
    made = Rules.model_validate({"rules": [{"name": "r", "for": rules.get("segments", ()), **given}]})
    return InForce(made.rules, items_of, known.codes, 8)


def assert_quota(rules, codes, found, attributes, brand, allowed, k, most):
    """Of the items that rules do not place, as many as brands' limits and places let in."""
    count, of = rules["quota"]
    count, of = min(count, of or count), of or k
    count, of = (count, of) if of <= k else (count - (of - k), k)
    given = [code for code in found.placed if code in codes]
    have = sum("own" in attributes[code] for code in codes[:of])
    early = [code for code in codes[:of] if code in given]
    left = Counter(brand[code] for code in allowed - set(given) if "own" in attributes[code])
    used = Counter(brand[code] for code in given)
    room = sum(min(n, max(most - used[b], 0)) if most and b else n for b, n in left.items())
    possible = sum("own" in attributes[code] for code in early) + min(room, of - len(early))
    assert have >= min(count, possible)
