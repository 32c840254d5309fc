"""An incumbent beside the student: who is judged, how deep, and what is said of lists made at the wrong moment."""

import json

import numpy as np
import pyarrow.parquet as pq
import pytest
from helpers_evaluate_case import Case
from helpers_prepared import leave_last_out

from longtail.components.evaluate.settings import EvaluateSettings, Rule
from longtail.contracts.decision import load_decision
from longtail.contracts.prepared import Split

RULES = (Rule(must_be="not_worse", than="incumbent"),)


def write(case, path, chosen, depth=20):
    """Lists of ``depth`` items. chosen: (test user, its target, its history) -> codes, best first, or None for no list."""
    targets = case.data.targets(Split.TEST)
    lines = ["user_id,item_id,rank"]
    for user, items, history in zip(targets.users, targets.items, targets.histories):
        codes = chosen(int(user), int(items[0]), history)
        if codes is not None:
            lines += [f"u{user:03d},i{code:03d},{rank}" for rank, code in enumerate(codes[:depth], 1)]
    path.write_text("\n".join(lines) + "\n")
    return str(path)


def others(history, target):
    """Items that are neither of the history nor the target, by code."""
    return [code for code in range(30) if code != target and code not in history]


def run(tmp_path, chosen, depth=20, users=None, cutoffs=(5, 10, 20), **prepared):
    settings = EvaluateSettings(bootstrap_samples=100, gate_rules=RULES, gate_min_users=5, cutoffs=cutoffs)
    case = Case(tmp_path, users, settings, **prepared)
    case.incumbent = write(case, tmp_path / "lists.csv", chosen, depth)
    case.run()
    return case


def second(user, target, history):
    """The target second."""
    rest = others(history, target)
    return [rest[0], target, *rest[1:]]


def test_incumbent_is_a_system_over_the_users_that_have_lists(tmp_path):
    case = run(tmp_path, lambda user, *known: None if user % 3 == 0 else second(user, *known), depth=12)
    entry = case.result["systems"]["incumbent"]["all"]
    listed = [user for user in case.data.targets(Split.TEST).users if user % 3]
    assert entry["users"] == len(listed) < case.result["systems"]["student"]["all"]["users"]
    assert entry["ndcg@10"] == pytest.approx(1 / np.log2(3)) and entry["hitrate@5"] == 1
    student = pq.read_table(case.artifact.file("per_user.parquet")).to_pandas().set_index("user_id")["student_ndcg@10"]
    mine = student[[f"u{user:03d}" for user in listed]]
    assert entry["student_minus"]["ndcg@10"] == pytest.approx(mine.mean() - 1 / np.log2(3))
    assert "incumbent" not in case.result["revealed"]["1"]
    ranks = pq.read_table(case.artifact.file("per_user.parquet")).to_pandas().incumbent_rank
    assert ranks.isna().sum() == len(ranks) - len(listed)


def test_deeper_than_its_lists_it_is_not_judged(tmp_path):
    case = run(tmp_path, second, depth=10)
    entry = case.result["systems"]["incumbent"]["all"]
    assert entry["hitrate@10"] == 1 and entry["hitrate@20"] is None and entry["ndcg@20"] is None
    assert any("so it is not judged at 20" in warning for warning in case.result["incumbent"]["warnings"])


def test_short_lists_are_judged_at_what_they_reach(tmp_path):
    case = run(tmp_path, second, depth=5)
    (found,) = load_decision(case.folder / "evaluation").findings
    assert (found.rival, found.metric) == ("incumbent", "ndcg@5")
    assert "they cannot be judged at 10" in found.sentence
    assert case.result["systems"]["incumbent"]["all"]["ndcg@10"] is None
    assert case.result["verdicts"]["all"]["incumbent"]["metric"] == "ndcg@5"


def test_a_student_that_finds_less_fails_against_it(tmp_path):
    case = run(tmp_path, second)
    (found,) = load_decision(case.folder / "evaluation").findings
    assert (found.verdict, found.passed, case.passed) == ("worse", False, False)


def test_groups_where_it_finds_least_come_first(tmp_path):
    case = run(tmp_path, lambda user, *known: second(user, *known) if user % 2 else others(known[1], known[0]))
    groups = case.result["incumbent"]["groups"]
    assert [group["group"] for group in groups[:2]] == ["cold", "gender=M"]  # the users of even numbers
    assert groups[0]["incumbent"] == groups[1]["incumbent"] == 0
    assert groups[-1]["group"] == "gender=F" and groups[-1]["incumbent"] == pytest.approx(1 / np.log2(3))
    assert {"all", "tail"} <= {group["group"] for group in groups}
    assert all(group["users"] >= 5 for group in groups)
    assert "Whom does your own system fail?" in case.artifact.file("report.html").read_text()


def test_lists_that_know_the_targets_are_warned_about(tmp_path, caplog):
    case = run(tmp_path, lambda user, target, history: [target, *others(history, target)], n_items=300)
    assert any("had seen the targets" in warning for warning in case.result["incumbent"]["warnings"])
    assert "had seen the targets" in caplog.text


def test_lists_made_after_the_targets_are_warned_about(tmp_path):
    """Everybody takes item 29 last, which popularity knows from others, and today's lists leave out as taken."""
    users = [leave_last_out([user % 14, 14 + user % 14, 29]) for user in range(60)]
    users += [leave_last_out([29, user % 14, 28, 14 + user % 14]) for user in range(40)]
    case = run(tmp_path, lambda user, target, history: others(history, target), users=users)
    assert any("lists made after the targets" in warning for warning in case.result["incumbent"]["warnings"])


def test_lists_that_hold_the_validation_target_are_warned_about(tmp_path):
    case = run(tmp_path, lambda user, target, history: [*history[-1:], *others(history, target)])
    assert any("hold the validation target" in warning for warning in case.result["incumbent"]["warnings"])


def test_fair_lists_are_not_warned_about(tmp_path):
    rng = np.random.default_rng(0)
    case = run(
        tmp_path,
        lambda _, target, history: rng.permutation([*others(history, target), target]).tolist(),
        12,
        cutoffs=(5, 10),
    )
    assert case.result["incumbent"]["warnings"] == []
    json.dumps(case.result, allow_nan=False)
