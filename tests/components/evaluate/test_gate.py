"""What the gate's rules come to, on entries written by hand."""

import pytest
from scipy.stats import norm

from longtail.components.evaluate.gate import at_reach, judge, verdict_of, verdict_table
from longtail.components.evaluate.settings import DEFAULT_RULES, EvaluateSettings, Rule
from longtail.contracts.errors import UserError
from longtail.contracts.settings_base import from_json

EQUAL = (0.0, 0.002)


def rival(minus: float, half: float, value: float = 0.1, users: int = 1000, metric: str = "ndcg@10") -> dict:
    lead = {metric: minus, f"{metric}_interval": [minus - half, minus + half], f"{metric}_error": half / 1.96}
    return {"users": users, metric: value, "student_minus": lead}


def student(users: int = 1000) -> dict:
    return {"users": users}


def settings(*rules: Rule, **more) -> EvaluateSettings:
    return EvaluateSettings(gate_rules=rules, **more)


def not_worse(than: str = "tfidf", **more) -> Rule:
    return Rule(must_be="not_worse", than=than, **more)


def one(entry: dict | None, rule: Rule, **more):
    """The only finding of a rule against TF-IDF over all users."""
    entries = {"student": student(entry["users"] if entry else 1000)} | ({"tfidf": entry} if entry else {})
    (finding,) = judge({"all": entries}, settings(rule, **more), False).findings
    return finding


@pytest.mark.parametrize(
    ("minus", "half", "verdict", "better", "not_worse_"),
    [
        (0.02, 0.01, "better", True, True),
        (0.005, 0.01, "not worse", False, True),  # the lower bound is -.005; the margin 10 % of .1
        (-0.004, 0.003, "not worse", False, True),  # clearly lower, and within the margin
        (-0.005, 0.01, "unclear", False, False),
        (-0.02, 0.01, "worse", False, False),
        (-0.008, 0.007, "worse", False, False),  # below zero, and perhaps beyond the margin
    ],
)
def test_verdicts_by_interval_and_margin(minus, half, verdict, better, not_worse_):
    found = one(rival(minus, half), not_worse(), gate_margin=10)
    assert (found.verdict, found.passed, found.margin) == (verdict, not_worse_, pytest.approx(0.01))
    assert (found.difference, found.interval) == (minus, pytest.approx((minus - half, minus + half)))
    assert one(rival(minus, half), Rule(must_be="better", than="tfidf")).passed is better


def test_a_bound_on_the_margin_is_within_it():
    assert one(rival(0.0, 0.01), not_worse(), gate_margin=10).passed


def test_a_rules_own_margin_wins():
    assert one(rival(0.0, 0.03), not_worse(margin=30), gate_margin=10).passed
    assert not one(rival(0.0, 0.03), not_worse(margin=29), gate_margin=50).passed


def test_a_rival_that_finds_nothing_cannot_be_lost_to():
    found = one(rival(0.0, 0.001, value=0.0), not_worse())
    assert (found.verdict, found.passed) == ("not worse", True)
    assert not one(rival(0.0, 0.001, value=0.0), Rule(must_be="better", than="tfidf")).passed


def test_sentence_says_who_what_and_how_much():
    found = one(rival(0.005, 0.01), not_worse(), gate_margin=10)
    assert (
        found.sentence == "All (1,000 users): not worse than TF-IDF: ndcg@10 +.0050 (-.0050 to +.0150; margin .0100, "
        "10 % of .1000)."
    )


def test_power_says_how_many_more_users_would_show_it():
    found = one(rival(0.0, 0.02), not_worse(), gate_margin=10)
    needed = 1000 * ((norm.ppf(0.975) + norm.ppf(0.8)) * 0.02 / 1.96 / 0.01) ** 2
    assert 7100 < needed - 1000 < 7200
    assert "About 7,200 more such users would show it" in found.sentence
    assert "{must_be: not_worse, than: tfidf, among: all} in evaluate.gate_rules" in found.sentence


def test_more_users_do_not_help_who_lies_beyond_the_margin():
    assert "More users would not change it" in one(rival(-0.02, 0.03), not_worse(), gate_margin=10).sentence


@pytest.mark.parametrize(
    "broken",
    [
        rival(float("nan"), 0.01),
        rival(0.02, float("nan")),
        rival(0.02, 0.01, value=float("nan")),
        {"users": 1000, "ndcg@10": 0.1},
    ],
)
def test_what_is_not_a_number_is_no_pass(broken):
    found = one(broken, not_worse())
    assert (found.verdict, found.passed, found.difference, found.interval) == ("unclear", False, None, None)
    assert "was not measured" in found.sentence


def test_fewer_users_than_asked_for_are_no_pass():
    found = one(rival(0.5, 0.01, users=49), not_worse(), gate_min_users=50)
    assert (found.verdict, found.passed) == ("too few users", False)
    assert "gate_min_users is 50" in found.sentence and "evaluate.gate_rules" in found.sentence
    assert one(rival(0.5, 0.01, users=50), not_worse(), gate_min_users=50).passed


def test_a_missing_system_is_no_pass_unless_the_rule_says_so():
    found = one(None, not_worse())
    assert not found.passed and "there is no TF-IDF to compare with" in found.sentence
    entries = {"all": {"student": student(), "popularity": rival(0.1, 0.01)}}
    judged = judge(entries, settings(not_worse("champion", if_absent="skip")), False)
    assert judged.findings == () and judged.skipped == (
        "Not asked, {must_be: not_worse, than: champion, among: all}: the run has no champion.",
    )


def test_an_empty_segment_is_no_pass_unless_the_rule_says_so():
    empty = {"users": 0, "ndcg@10": None, "ndcg@10_interval": None}
    columns = {"tail": {"student": empty, "tfidf": empty}}
    (found,) = judge(columns, settings(not_worse(among="tail")), False).findings
    assert (found.verdict, found.passed, found.users) == ("too few users", False, 0)
    judged = judge(columns, settings(not_worse(among="tail", if_absent="skip")), False)
    assert judged.findings == () and "no test user is tail" in judged.skipped[0]


def test_histories_that_were_not_revealed_are_no_pass():
    (found,) = judge({}, settings(not_worse(among="k=7")), False).findings
    assert not found.passed and "evaluate.revealed does not name 7" in found.sentence


def test_real_histories_are_judged_like_segments():
    rule = Rule(must_be="better", than="tfidf", among="history=1")
    full = {"history=1": {"student": student(700), "tfidf": rival(0.02, 0.01, users=700)}}
    (found,) = judge(full, settings(rule), False).findings
    assert (found.passed, found.segment, found.users) == (True, "history=1", 700)
    assert found.sentence.startswith("1 event before (700 users): better than TF-IDF")
    table = verdict_table(full, EvaluateSettings())
    assert table["history=1"]["tfidf"] == {"verdict": "better", "metric": "ndcg@10", "users": 700}


def test_users_who_really_had_no_history_are_judged_with_ties_at_random():
    entry = rival(0.02, 0.01, users=700, metric="expected_ndcg@10")
    table = verdict_table({"history=0": {"student": student(700), "tfidf": entry}}, EvaluateSettings())
    assert table["history=0"]["tfidf"]["metric"] == "expected_ndcg@10"


@pytest.mark.parametrize(
    ("found", "why"),
    [
        ({}, "the lengths of evaluate.revealed make no column history=0"),
        ({"history=0": {"student": student(0), "tfidf": {"users": 0}}}, "no test user has history=0"),
    ],
)
def test_a_history_that_nobody_has_is_no_pass_unless_the_rule_says_so(found, why):
    judged = judge(found, settings(not_worse(among="history=0", if_absent="skip")), False)
    assert judged.findings == () and why in judged.skipped[0]
    (finding,) = judge(found, settings(not_worse(among="history=0")), False).findings
    assert not finding.passed
    assert verdict_table(found, EvaluateSettings()) == {}


def test_every_rival_is_all_but_student_and_teacher():
    entries = {name: rival(0.02, 0.01) for name in ("teacher", "popularity", "champion", "incumbent")}
    found = judge({"all": {"student": student()} | entries}, settings(not_worse("every_rival")), False).findings
    assert [finding.rival for finding in found] == ["champion", "incumbent", "popularity"]


def columns(cold: int) -> dict:
    full = {"student": student(), "popularity": rival(0.05, 0.01), "item_cf": rival(*EQUAL)}
    newcomers = {
        "student": student(cold),
        "popularity": rival(*EQUAL, users=cold, metric="expected_ndcg@10"),
        "item_cf": rival(*EQUAL, users=cold, metric="expected_ndcg@10"),
    }
    return {"all": full, "tail": full, "cold": newcomers}


def test_default_rules():
    found = judge(columns(500), EvaluateSettings(), has_attributes=True).findings
    assert [(f.asks, f.rival, f.segment, f.metric) for f in found] == [
        ("better", "popularity", "all", "ndcg@10"),
        ("not worse", "popularity", "all", "ndcg@10"),
        ("not worse", "item_cf", "all", "ndcg@10"),
        ("not worse", "popularity", "tail", "ndcg@10"),
        ("not worse", "item_cf", "tail", "ndcg@10"),
        ("not worse", "popularity", "cold", "expected_ndcg@10"),
        ("not worse", "item_cf", "cold", "expected_ndcg@10"),
    ]
    assert all(finding.passed for finding in found)


@pytest.mark.parametrize(("cold", "attributes"), [(500, False), (0, True)])
def test_default_rules_ask_of_cold_users_only_where_attributes_and_such_users_are(cold, attributes):
    judged = judge(columns(cold), EvaluateSettings(), attributes)
    assert {finding.segment for finding in judged.findings} == {"all", "tail"}
    assert len(judged.skipped) == 1 and "among: cold" in judged.skipped[0]


def test_incumbent_is_judged_as_deep_as_its_lists_reach():
    entries = {"student": student(), "incumbent": rival(0.02, 0.01, metric="ndcg@5")}
    (found,) = judge({"all": entries}, settings(not_worse("incumbent")), False, reach=7).findings
    assert (found.metric, found.passed) == ("ndcg@5", True)
    assert "Its lists hold 7 items, so they cannot be judged at 10." in found.sentence
    (found,) = judge({"all": entries}, settings(not_worse("incumbent")), False, reach=3).findings
    assert not found.passed and "its lists hold 3 items" in found.sentence


def test_reach_by_hand():
    assert [at_reach("ndcg@10", [5, 10, 20], reach) for reach in (None, 20, 10, 9, 5, 4)] == [
        *("ndcg@10", "ndcg@10", "ndcg@10", "ndcg@5", "ndcg@5"),
        None,
    ]


def test_table_of_verdicts_judges_newcomers_with_ties_at_random():
    table = verdict_table(columns(500), EvaluateSettings())
    assert table["all"]["popularity"] == {"verdict": "better", "metric": "ndcg@10", "users": 1000}
    assert table["cold"]["item_cf"] == {"verdict": "not worse", "metric": "expected_ndcg@10", "users": 500}


def test_verdict_without_any_lead_is_unclear():
    assert verdict_of({"users": 90, "ndcg@10": 0.1}, "ndcg@10", 10, 50) == "unclear"


@pytest.mark.parametrize(
    ("text", "message"),
    [
        (
            '{"gate_rules": [{"must_be": "better", "than": "itemcf"}]}',
            r"gate_rules\.0\.than.*'popularity'.*given: 'itemcf'",
        ),
        ('{"gate_rules": [{"must_be": "better", "than": "tfidf", "metric": "auc@10"}]}', "metric is one of ndcg"),
        ('{"gate_rules": [{"must_be": "better", "than": "tfidf", "among": "old"}]}', r"gate_rules\.0\.among"),
        (
            '{"gate_rules": [{"must_be": "better", "than": "tfidf", "among": "history=few"}]}',
            r"gate_rules\.0\.among",
        ),
        ('{"gate_rules": []}', "gate_rules"),
        ('{"gate_metric": "ndcg"}', "'gate_metric' is now 'gate_rules, metric of each rule'"),
        ('{"gate_baselines": ["tfidf"]}', "'gate_baselines' is now 'gate_rules, than of each rule'"),
        ('{"gate_tolerance": 0.1}', "'gate_tolerance' is now 'gate_margin, in per cent"),
    ],
)
def test_rules_that_cannot_be_asked_are_refused_before_anything_runs(text, message):
    with pytest.raises(UserError, match=message):
        from_json(EvaluateSettings, text)


def test_cut_offs_of_the_rules_are_measured():
    assert settings(not_worse(metric="recall@15")).measured_cutoffs == [5, 10, 15, 20]
    assert [rule.must_be for rule in DEFAULT_RULES] == ["better", "not_worse", "not_worse", "not_worse"]
