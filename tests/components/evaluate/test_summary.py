import re
from dataclasses import replace

import pytest
from helpers_evaluation import SYSTEMS, decision, entry, evaluation, finding, real_history, worth

from longtail.components.evaluate.reading import best, judged, number, span, strongest_baseline
from longtail.components.evaluate.summary import segment_table


def cells(table: str, first: str) -> list[list[str]]:
    """The cells of every line that starts with ``first``."""
    return [re.split(r"\s{2,}", line[len(first) :].strip()) for line in table.splitlines() if line.startswith(first)]


@pytest.fixture
def table() -> str:
    return segment_table(evaluation())


def test_revealed_histories_come_first(table):
    assert table.index("k=0") < table.index("torso")
    assert cells(table, "student ")[0] == [".0068*", ".0542", ".0576", ".0610", ".0644"]
    assert "the same 20,000 of the 22,363 test users and their targets" in table


def test_real_histories_come_before_all_others():
    table = segment_table(evaluation() | real_history())
    assert table.index("Real history") < table.index("Revealed history")
    assert "before the moment of asking: all 22,363 test users, the first target of each" in table
    assert cells(table, "users")[0] == ["900", "800", "600", "20,000"]
    assert cells(table, "student ")[0] == [".0068*", ".0542", ".0644", ".0678"]
    assert cells(table, "- best baseline")[0] == ["+.0011", "+.0091", "+.0108", "+.0114"]
    assert cells(table, "  student is")[0] == ["better", "better", "better", "better"]


def test_all_test_users_may_be_in_the_tables_of_cut_histories():
    table = segment_table(evaluation() | {"revealed_users": 22363})
    assert "Revealed history: the same 22,363 test users and their targets, only" in table


def test_what_attributes_are_worth(table):
    assert "What attributes" not in table
    found = segment_table(evaluation() | worth())
    assert cells(found, "gender")[0] == ["+.0100 (+.0050 to +.0150) helps", "+.0000 (-.0010 to +.0010) unclear"]
    assert cells(found, "day (context)")[0][1] == "-.0030 (-.0050 to -.0010) harms"
    none = segment_table(evaluation() | {"attributes": worth()["attributes"][1::2]})
    assert "No attribute helps newcomers here" in none and "No attribute helps" not in found


def test_segments_with_interval_and_empty_segment(table):
    segments = cells(table, "student ")[1]
    assert segments == [".0678", "–", ".0678", ".0678", ".0500"]
    assert cells(table, "  interval")[1] == [".0658-.0698", "–", ".0658-.0698", ".0658-.0698", ".0480-.0520"]
    assert cells(table, "users")[0] == ["22,363", "0", "7,123", "11,000", "4,240"]


def test_every_system_has_a_line_and_the_best_is_marked(table):
    lines = [len(cells(table, name)) for name in ("teacher", "popularity", "item CF", "TF-IDF", "frozen text")]
    assert lines == [2, 3, 3, 3, 3]  # by revealed history, by segment, and the rivals' verdicts
    assert cells(table, "teacher")[1] == [".0681*", "–", ".0681*", ".0681*", ".0681*"]


def test_student_against_the_strongest_baseline(table):
    assert cells(table, "- best baseline")[1] == ["+.0114", "–", "+.0114", "+.0114", "-.0064"]
    assert cells(table, "  student is")[1] == ["better", "–", "better", "better", "worse"]


def test_says_what_was_measured_and_why_the_gate_failed():
    result = evaluation(passed=False) | {"exclude_history": False}
    table = segment_table(result)
    assert table.splitlines()[0].startswith("NDCG@10 over all 12,101 items, histories not excluded;")
    assert "Gate: FAILED\n  NO All (22,363 users): worse than item CF" in table


def test_verdicts_of_every_segment(table):
    assert cells(table, "popularity")[-1] == ["better", "too few", "not worse", "unclear", "worse"]


def test_rules_that_failed_come_first_and_what_was_not_asked_last():
    result = evaluation()
    bad = finding(False, sentence="Tail (300 users): not shown to be no worse than champion.")
    result["decision"] = replace(decision(False), findings=(finding(), bad), skipped=("Not asked.",)).document()
    lines = segment_table(result).splitlines()
    assert [line.strip()[:12] for line in lines[-4:]] == ["Gate: FAILED", "NO Tail (300", "All (22,363 ", "Not asked."]


def test_order_of_targets_that_chance_drew_is_told():
    result = evaluation()
    result["decision"]["unknown_order"] = 0.44
    assert "44.0% of the test targets were drawn by chance" in segment_table(result)


def test_claims_without_history_are_made_with_ties_at_random(table):
    # of k=0: QUALITY * .1 * 1.5; the strongest baseline is CF+TF-IDF+text
    assert (
        "k=0, ties of scores at random: student .0102, CF+TF-IDF+text .0085; difference +.0017 (+.0007 to +.0027), better."
        in table
    )
    assert "cold, ties" not in table  # nobody is


def test_what_was_found_in_the_incumbents_lists_is_told():
    result = evaluation()
    result["incumbent"] = {"address": "lists.csv", "warnings": ["Look."], "counts": {"rows": 12, "items twice": 1200}}
    assert segment_table(result).endswith("Look.\n  lists.csv: 12 rows; 1,200 items twice.")


def test_no_user_has_a_long_enough_history():
    result = evaluation() | {"revealed": {str(k): {s: entry(s, 0) for s in SYSTEMS} for k in range(2)}}
    assert cells(segment_table(result), "student ")[0] == ["–", "–"]


def test_champion_and_an_unnamed_system_get_a_line():
    result = evaluation()
    for name in ("champion", "novelty"):
        result["systems"][name] = {segment: entry("item_cf", 5) for segment in ("all", "cold", "tail", "torso", "head")}
    table = segment_table(result)
    assert len(cells(table, "champion")) == len(cells(table, "novelty")) == 1


@pytest.mark.parametrize(
    ("low", "high", "expected"), [(0.001, 0.002, "better"), (-0.002, -0.001, "worse"), (-0.001, 0.001, "unclear")]
)
def test_judged_by_the_interval_of_the_paired_difference(low, high, expected):
    assert judged({"student_minus": {"ndcg@10": 0.0, "ndcg@10_interval": [low, high]}}) == expected


def test_nothing_is_judged_without_a_difference():
    assert judged(entry("student", 5)) == judged(entry("item_cf", 0)) == "–"


def test_strongest_baseline_is_neither_student_nor_teacher_nor_champion():
    entries = {
        name: {"ndcg@10": x} for name, x in [("student", 0.9), ("teacher", 0.8), ("champion", 0.7), ("tfidf", 0.1)]
    }
    assert strongest_baseline(entries) == "tfidf"
    assert strongest_baseline({"tfidf": {"users": 0, "ndcg@10": None}}) is None


def test_values_that_print_alike_are_both_best():
    assert best({"a": {"ndcg@10": 0.12341}, "b": {"ndcg@10": 0.12339}, "c": {"ndcg@10": 0.1}}) == ["a", "b"]


def test_numbers_as_text():
    assert [number(x) for x in (0.0676, 0.0, 1.0, None, 0.99999)] == [".0676", ".0000", "1.0000", "–", "1.0000"]
    assert [number(x, signed=True) for x in (0.0112, -0.5, -0.00001)] == ["+.0112", "-.5000", "+.0000"]
    assert (span((0.01, 0.02)), span((-0.01, 0.02), signed=True)) == (".0100-.0200", "-.0100 to +.0200")
