"""What a refresh is estimated to bring: by hand, and never from a test event."""

import numpy as np
import pyarrow.parquet as pq
import pytest
from helpers_counted import term_by, write_counted_bundle
from helpers_evaluate_case import Case
from helpers_prepared import write_tiny_prepared
from safetensors.numpy import load_file

from longtail.components.evaluate.after_refresh import refreshed_student
from longtail.components.evaluate.reading import about_refresh
from longtail.components.evaluate.rescoring import Champion
from longtail.components.evaluate.summary import segment_table
from longtail.contracts.prepared import PreparedDataset, Split
from longtail.neighbours.item_to_item import Mixture
from longtail.neighbours.recounting import write_recounted
from longtail.scoring.bundle import load_bundle
from longtail.scoring.query import Query
from longtail.scoring.scorer import Scorer

TRAIN, VALIDATION, TEST = Split
FOLLOWING = Mixture((0, 1, 0, 0), decay=0.5, neighbours=5)


def events(*items):
    return [(item, place, split) for place, (item, split) in enumerate(zip(items, Split))]


# nothing follows in training; 2 comes after 1 where the first ten validate, 3 after 2 only where they test
USERS = [events(1, 2, 3)] * 10 + [events(5, 1, 2)] * 10


@pytest.fixture(scope="module")
def case(tmp_path_factory):
    case = Case(tmp_path_factory.mktemp("case"), USERS)
    term = term_by(case.data, FOLLOWING)
    case.bundle = write_counted_bundle(case.folder / "counted", case.data, term, sparse_weight=50)
    case.run()
    return case


def test_the_gain_by_hand(case):
    """Who took 5 and 1 finds 2 first, as those who validate with 2 tell; who took 1 and 2 finds what the student finds."""
    found = case.result["refreshed"]
    student = pq.read_table(case.artifact.file("per_user.parquet")).to_pandas()["student_ndcg@10"].to_numpy()
    assert student[10:].max() < 1
    gain = np.where(np.arange(20) >= 10, 1 - student, 0).mean()
    assert found["all"]["minus_student"]["ndcg@10"] == pytest.approx(gain) and gain > 0
    assert found["all"]["ndcg@10"] == pytest.approx(student.mean() + gain)
    low, high = found["all"]["minus_student"]["ndcg@10_interval"]
    assert 0 < low < gain < high
    assert found["tail"]["users"] == 20 and found["head"] == {**found["head"], "users": 0, "minus_student": None}


def test_it_is_one_line_and_no_system(case):
    assert "student_refreshed" not in case.result["systems"]
    findings = case.result["decision"]["findings"]
    assert findings and not any("refresh" in found["rival"] + found["sentence"] for found in findings)
    gain = case.result["refreshed"]["all"]["minus_student"]["ndcg@10"]
    line = about_refresh(case.result)
    assert line.startswith(f"A refresh is estimated to change NDCG@10 by {f'{gain:+.4f}'.replace('0.', '.', 1)} (")
    assert line in segment_table(case.result)
    assert line in case.artifact.file("report.html").read_text().replace("&#43;", "+")


def test_recent_popularity_is_counted_likewise_beside_it(tmp_path):
    """1 has twenty events, 2 and 5 ten. The first ten have 1 and 2 and want 3, which ties with all others; the last ten have 5 and 1."""
    case = Case(tmp_path, USERS)
    term = term_by(case.data, FOLLOWING)
    case.bundle = write_counted_bundle(tmp_path / "counted", case.data, term, popularity_half_life=1.0)
    found = case.run()["refreshed"]["all"]
    rival = found["recent_popularity"]
    assert rival["student_minus"]["ndcg@10"] == pytest.approx(found["ndcg@10"] - rival["ndcg@10"])
    assert rival["ndcg@10"] == pytest.approx(0.5)
    assert "Against recent popularity counted likewise (" in about_refresh(case.result)


def test_a_bundle_of_an_earlier_version_is_measured_without_it(tmp_path):
    case = Case(tmp_path)
    assert case.run()["refreshed"] is None
    assert "A refresh" not in segment_table(case.result)


def test_test_events_change_nothing(tmp_path):
    """Other test targets, the same counts."""
    made = []
    for name, last in (("one", 3), ("other", 7)):
        users = [[*history[:2], (last, 9, TEST)] for history in USERS]
        data = PreparedDataset(write_tiny_prepared(tmp_path / name, users))
        bundle = load_bundle(write_counted_bundle(tmp_path / f"{name}-bundle", data))
        made.append(refreshed_student(bundle, data))
    one, other = made
    assert np.array_equal(one.train_counts, other.train_counts) and one.train_counts.sum() == 40
    assert (one.tensors.neighbours != other.tensors.neighbours).nnz == 0
    assert np.array_equal(one.tensors.log_popularity, other.tensors.log_popularity)


def test_a_refreshed_champion_is_counted_from_the_training_events(case, tmp_path):
    """It is the champion as it was measured, not the one that has counted the targets."""
    write_recounted(case.bundle, case.data, tmp_path / "served")
    assert not np.array_equal(
        *(load_file(path / "tensors.safetensors")["log_popularity"] for path in (case.bundle, tmp_path / "served"))
    )
    asked = [Query(np.array([5, 1], np.int32)), Query(np.array([1, 2], np.int32))]
    measured = Scorer(load_bundle(case.bundle)).score(asked)
    assert np.array_equal(Champion(tmp_path / "served", case.data).score(asked), measured)
    assert not np.array_equal(Scorer(load_bundle(tmp_path / "served")).score(asked), measured)
