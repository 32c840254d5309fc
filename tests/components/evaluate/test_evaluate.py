"""The stage against a plain recomputation, on small data sets with random models."""

import numpy as np
import pyarrow.parquet as pq
import pytest
from helpers_bundle import write_tiny_bundle
from helpers_evaluate_case import QUICK, Case
from helpers_prepared import leave_last_out, write_bundle_for, write_tiny_prepared, write_tiny_teacher

from longtail.components.evaluate.evaluate import evaluate
from longtail.components.evaluate.settings import EvaluateSettings
from longtail.components.evaluate.summary import segment_table
from longtail.contracts.errors import UserError
from longtail.contracts.prepared import PreparedDataset, Split
from longtail.scoring.bundle import load_bundle
from longtail.scoring.query import Query, queries_of
from longtail.scoring.scorer import Scorer

SYSTEMS = {
    "naive_bayes",
    "student",
    "teacher",
    "popularity",
    "item_cf",
    "next_item",
    "tfidf",
    "frozen_text",
    "cf_tfidf",
    "cf_tfidf_text",
}
TRAIN, VALIDATION, TEST = Split


@pytest.fixture(scope="module")
def case(tmp_path_factory):
    found = Case(tmp_path_factory.mktemp("evaluation"))
    found.run()
    return found


def plain_ranks(scorer, history, attributes, targets, exclude=True):
    """Ranks of one user's targets, item by item."""
    (scores,) = scorer.score([Query(np.array(history, dtype=np.int32), attributes)])
    others = [item for item in range(len(scores)) if not (exclude and item in history)]
    return [1 + sum(scores[other] >= scores[target] for other in others if other != target) for target in targets]


def test_student_and_teacher_agree_with_a_plain_recomputation(case):
    targets = case.data.targets(TEST)
    table = pq.read_table(case.artifact.file("per_user.parquet")).to_pandas()
    assert table.user_id.tolist() == [case.data.user_ids[user] for user in targets.users]
    for name, path in (("student", case.bundle), ("teacher", case.teacher / "scorer")):
        scorer = Scorer(load_bundle(path))
        ranks = np.array(
            [
                plain_ranks(scorer, history, case.data.user_attributes[user], items)[0]
                for user, history, items in zip(targets.users, targets.histories, targets.items)
            ]
        )
        assert table[f"{name}_rank"].tolist() == ranks.tolist()
        gains = np.where(ranks <= 10, 1 / np.log2(1 + ranks), 0)
        np.testing.assert_allclose(table[f"{name}_ndcg@10"], gains)
        np.testing.assert_array_equal(table[f"{name}_recall@10"], ranks <= 10)
        for segment, (low, high) in {"all": (0, 99), "cold": (0, 0), "tail": (1, 4), "torso": (5, 9)}.items():
            inside = (targets.history_lengths >= low) & (targets.history_lengths <= high)
            entry = case.result["systems"][name][segment]
            assert entry["users"] == inside.sum() > 0
            assert entry["ndcg@10"] == pytest.approx(gains[inside].mean())
            assert entry["hitrate@5"] == pytest.approx((ranks[inside] <= 5).mean())
            assert entry["mrr@20"] == pytest.approx(np.where(ranks[inside] <= 20, 1 / ranks[inside], 0).mean())


def test_every_system_has_every_segment_with_intervals_and_differences(case):
    systems = case.result["systems"]
    assert set(systems) == SYSTEMS
    student = systems["student"]
    for name, system in systems.items():
        for segment in ("all", "cold", "tail", "torso", "head"):
            entry = system[segment]
            for metric in ("recall", "precision", "f1", "hitrate", "ndcg", "mrr"):
                assert {f"{metric}@5", f"{metric}@10", f"{metric}@20"} <= set(entry)
                low, high = entry[f"{metric}@10_interval"]
                assert low <= entry[f"{metric}@10"] <= high
            if name != "student":
                minus = entry["student_minus"]
                assert minus["ndcg@10"] == pytest.approx(student[segment]["ndcg@10"] - entry["ndcg@10"])
                assert minus["ndcg@10_interval"][0] <= minus["ndcg@10"] <= minus["ndcg@10_interval"][1]
        assert set(system["beyond"]) == {"all", "cold", "tail", "torso", "head"}
        for segment, found in system["beyond"].items():
            assert set(found) == {"diversity@10", "coverage@10", "long_tail_share@10"}
            assert (found["coverage@10"] is None) == (system[segment]["users"] == 0)
    assert "student_minus" not in student["all"]


def test_same_list_for_everyone_covers_little(case):
    beyond = {name: system["beyond"]["all"] for name, system in case.result["systems"].items()}
    assert beyond["popularity"]["coverage@10"] < beyond["student"]["coverage@10"] <= 1
    assert beyond["popularity"]["long_tail_share@10"] < beyond["student"]["long_tail_share@10"]


def test_cold_users_are_measured_and_baselines_find_nothing_for_them(case):
    for name in ("item_cf", "next_item", "tfidf", "frozen_text", "cf_tfidf"):
        assert case.result["systems"][name]["cold"]["ndcg@10"] == 0
    assert case.result["systems"]["cf_tfidf"]["tail"]["ndcg@10"] > 0


def test_revealed_histories_are_the_same_users_and_only_what_is_shown_is_excluded(case):
    targets = case.data.targets(TEST)
    chosen = np.flatnonzero(targets.history_lengths >= 4)
    scorer = Scorer(load_bundle(case.bundle))
    assert case.result["revealed_users"] == len(chosen) > 0
    for k in range(5):
        ranks = np.array(
            [
                plain_ranks(
                    scorer,
                    targets.histories[row][len(targets.histories[row]) - k :],
                    case.data.user_attributes[targets.users[row]],
                    targets.items[row],
                )[0]
                for row in chosen
            ]
        )
        entry = case.result["revealed"][str(k)]["student"]
        assert entry["users"] == len(chosen)
        assert entry["ndcg@10"] == pytest.approx(np.where(ranks <= 10, 1 / np.log2(1 + ranks), 0).mean())
    assert case.result["revealed"]["0"]["item_cf"]["ndcg@10"] == 0
    assert set(case.result["revealed"]["2"]) == SYSTEMS


def test_worth_of_every_attribute_is_written(case):
    found = [(entry["column"], entry["group"], entry["users"]) for entry in case.result["attributes"]]
    assert found == [("gender", "k=0", 120), ("gender", "all", 120)]  # fewer than gate_min_users are cold
    assert "What attributes are worth" in case.artifact.file("report.html").read_text()


def test_report_and_terminal_table_read_the_evaluation(case):
    report = case.artifact.file("report.html").read_text()
    assert "user_id is empty" in report
    assert ("Yes: the gate passed" if case.passed else "No: the gate failed") in report
    assert f"{case.result['systems']['student']['all']['ndcg@10']:.4f}"[1:] in segment_table(case.result)


def test_same_inputs_same_bytes(case):
    first = case.artifact.file("evaluation.json").read_bytes()
    case.run("again")
    assert case.artifact.file("evaluation.json").read_bytes() == first


def test_segment_without_users_is_null(tmp_path):
    result = Case(tmp_path, [leave_last_out([user, 9, user + 10, user + 20]) for user in range(8)]).run()
    head = result["systems"]["student"]["head"]
    assert head["users"] == 0 and head["ndcg@10"] is None and head["ndcg@10_interval"] is None
    assert result["systems"]["student"]["tail"]["users"] == 8
    assert result["revealed_users"] == 0  # nobody has four items


SHOWN = [
    # global time: training before second 10, validation before 20
    [(0, 1, TRAIN), (1, 2, TRAIN), (2, 11, VALIDATION), (3, 21, TEST), (4, 22, TEST), (1, 23, TEST)],
    [(5, 3, TRAIN), (0, 25, TEST)],
    [(7, 24, TEST)],
    [(8, 4, TRAIN), (8, 26, TEST)],
]
GLOBAL_TIME = {"protocol": "global_time", "split": {"rule": "global_time", "validation_from": 10, "test_from": 20}}


def test_several_targets_and_targets_in_the_history(tmp_path):
    case = Case(tmp_path, SHOWN, **GLOBAL_TIME)
    result = case.run()
    assert result["data"]["targets_in_history"] == 2
    assert result["data"]["test_users"] == 3  # the last user's only target may not be recommended
    scorer = Scorer(load_bundle(case.bundle))
    ranks = plain_ranks(scorer, [0, 1, 2], ["gender=M"], [3, 4])
    table = pq.read_table(case.artifact.file("per_user.parquet")).to_pandas()
    assert table.student_rank[0] == min(ranks)
    assert table["student_recall@10"][0] == sum(rank <= 10 for rank in ranks) / 2
    gain = sum(1 / np.log2(1 + rank) for rank in ranks if rank <= 10)
    assert table["student_ndcg@10"][0] == pytest.approx(gain / (1 + 1 / np.log2(3)))
    assert table.segment.tolist() == ["tail", "tail", "cold"]


def test_repeats_may_be_found_where_they_were_kept(tmp_path):
    case = Case(tmp_path, SHOWN, repeats="keep", **GLOBAL_TIME)
    result = case.run()
    assert result["data"]["targets_in_history"] == 0 and result["data"]["test_users"] == 4
    table = pq.read_table(case.artifact.file("per_user.parquet")).to_pandas()
    scorer = Scorer(load_bundle(case.bundle))
    assert table.student_rank[3] == plain_ranks(scorer, [8], ["gender=F"], [8], exclude=False)[0]


def test_nothing_to_measure_is_said(tmp_path):
    with pytest.raises(UserError, match="no test user has a target that is new"):
        Case(tmp_path, [[(0, 1, TRAIN), (1, 15, VALIDATION), (0, 25, TEST)]], **GLOBAL_TIME).run()
    assert not (tmp_path / "evaluation").exists()


@pytest.mark.parametrize(
    ("users", "message"),
    [
        ([[(0, 1, TRAIN), (1, 3, VALIDATION), (2, 2, TEST)]], "timestamp of user 'u000' falls"),
        ([[(0, 1, TRAIN), (1, 2, TEST), (2, 3, VALIDATION)]], "split of user 'u000' falls"),
    ],
)
def test_time_that_runs_backwards_stops_the_stage(tmp_path, users, message):
    with pytest.raises(UserError, match=message):
        Case(tmp_path, users).run()


@pytest.mark.parametrize("time", [23, 22])  # 22 is that of the first test event
def test_event_on_the_wrong_side_of_the_cut_stops_the_stage(tmp_path, time):
    users = [[(0, 1, TRAIN), (1, 12, VALIDATION), (2, 22, TEST)], [(3, time, TRAIN), (4, 24, TEST)]]
    with pytest.raises(UserError, match="wrong side of a cut-off"):
        Case(tmp_path, users, **GLOBAL_TIME).run()


def test_statistics_of_the_targets_stop_the_stage(tmp_path):
    counts = np.zeros(30, dtype=np.int64)
    counts[[0, 2]] = 1  # item 2 is the test target
    with pytest.raises(UserError, match="item counts hold events from after the split"):
        Case(tmp_path, [leave_last_out([0, 1, 2])], train_counts=counts).run()


@pytest.mark.parametrize("who", ["student", "teacher"])
def test_model_of_other_events_stops_the_stage(tmp_path, who):
    case = Case(tmp_path)
    other = write_tiny_prepared(tmp_path / "other", seed=8)
    if who == "student":
        case.bundle = write_bundle_for(tmp_path / "stranger", PreparedDataset(other), 5)
    else:
        case.teacher = write_tiny_teacher(tmp_path / "stranger", other)
    with pytest.raises(UserError, match=f"the {who} was trained on other events"):
        case.run()


def test_tampered_bundle_is_refused(tmp_path):
    case = Case(tmp_path)
    with (case.bundle / "tensors.safetensors").open("ab") as stream:
        stream.write(b"0")
    with pytest.raises(UserError, match=r"tensors\.safetensors: differs from its checksum"):
        case.run()


def test_mixtures_are_sums_of_standardised_scores(case):
    from longtail.baselines.classic import baselines

    targets = case.data.targets(TEST)
    systems = baselines(case.data, np.zeros((30, 2), np.float32))
    table = pq.read_table(case.artifact.file("per_user.parquet")).to_pandas()
    for row, query in enumerate(queries_of(case.data, targets)[:20]):
        parts = [systems[name].score([query])[0].astype(np.float64) for name in ("item_cf", "tfidf")]
        mixed = sum((part - part.mean()) / part.std() if part.std() else part for part in parts)
        allowed = np.setdiff1d(np.arange(30), query.history)
        expected = (mixed[allowed] >= mixed[targets.items[row][0]] - 1e-5).sum()
        assert table["cf_tfidf_rank"][row] == expected


@pytest.mark.parametrize("cutoffs", [(0, 5), (5, 31)])
def test_cutoff_outside_the_catalogue_is_refused(tmp_path, cutoffs):
    with pytest.raises(UserError, match=r"evaluate\.cutoffs: .* between 1 and 30"):
        Case(tmp_path, settings=EvaluateSettings(cutoffs=cutoffs)).run()


def test_bundle_of_another_catalogue_is_refused(tmp_path):
    case = Case(tmp_path)
    ids = [f"x{code}" for code in range(30)]
    digest = case.data.train_digest()
    case.bundle = write_tiny_bundle(tmp_path / "stranger", item_ids=ids, train_digest=digest)
    with pytest.raises(UserError, match="stranger: its catalogue is not that of"):
        case.run()


def test_batches_do_not_change_the_result(tmp_path, case, monkeypatch):
    from longtail.scoring import ranked

    monkeypatch.setattr(ranked, "BATCH_SCORES", 7 * 30)
    evaluate(case.prepared, case.teacher, case.bundle, tmp_path / "evaluation", QUICK, 3)
    again = pq.read_table(tmp_path / "evaluation/per_user.parquet")
    assert again.equals(pq.read_table(case.artifact.file("per_user.parquet")))


def test_score_that_is_not_a_number_is_an_error(tmp_path):
    case = Case(tmp_path)
    items = np.ones((30, 8), np.float32)
    items[4] = np.nan
    digest = case.data.train_digest()
    case.bundle = write_tiny_bundle(
        tmp_path / "broken", item_ids=case.data.item_ids, train_digest=digest, item_matrix=items
    )
    with pytest.raises(ValueError, match=r"student cannot be ranked: row .* a score is not a number"):
        case.run()
