"""What the dense part is worth: the student beside its counts alone, by hand."""

from dataclasses import replace

import numpy as np
import pyarrow.parquet as pq
import pytest
from helpers_counted import term_by, write_counted_bundle
from helpers_evaluate_case import Case
from helpers_hand_bundle import A, B, C, write_hand_bundle

from longtail.components.evaluate.dense_part import counted_alone
from longtail.components.evaluate.reading import about_training
from longtail.components.evaluate.summary import segment_table
from longtail.contracts.prepared import Split
from longtail.neighbours.item_to_item import Mixture
from longtail.scoring.bundle import LENGTH_BUCKETS, load_bundle
from longtail.scoring.query import Query
from longtail.scoring.scorer import Scorer

COUNTS = {
    "dense_weight": [0.0] * LENGTH_BUCKETS,
    "neighbour_weight": [0.0, *[10.0] * (LENGTH_BUCKETS - 1)],
    "popularity_weight": [1.0] * LENGTH_BUCKETS,
    "trait_weight": [0.0] * LENGTH_BUCKETS,
}


def test_the_counts_alone_score_with_their_own_weights(tmp_path):
    student = load_bundle(write_hand_bundle(tmp_path / "bundle"))
    assert counted_alone(student) is None  # it does not say what these weights are
    counts = counted_alone(replace(student, facts=student.facts | {"counted_alone": COUNTS}))
    (scores,) = Scorer(counts).score([Query(np.array([A], np.int32))])
    assert scores[[B, C]] == pytest.approx([10 * 0.8 + 0.5, 10 * 0.2 - 0.5])  # 10 neighbours + popularity


def events(*items):
    return [(item, place, split) for place, (item, split) in enumerate(zip(items, Split))]


@pytest.fixture(scope="module")
def case(tmp_path_factory):
    """Twenty users take 1, 2 and 3, so that 2 follows 1 in training histories of two of them. The counts alone know nothing else."""
    twice = [
        [(1, 0, Split.TRAIN), (2, 1, Split.TRAIN), (3, 2, Split.TRAIN), (4, 3, Split.VALIDATION), (5, 4, Split.TEST)]
    ] * 20
    case = Case(tmp_path_factory.mktemp("case"), [*twice, *[events(1, 2, 3)] * 20])
    term = term_by(case.data, Mixture((0, 1, 0, 0), decay=0.5, neighbours=5))
    case.bundle = write_counted_bundle(
        case.folder / "counted",
        case.data,
        term,
        sparse_weight=0.0,
        counted_alone=COUNTS | {"popularity_weight": [0.0] * LENGTH_BUCKETS},
    )
    case.run()
    return case


def test_the_difference_by_hand(case):
    """The twenty who took 1 and 2 look for 3, which alone follows 2; the others look for 5, which follows nothing and ties with all."""
    alone = case.result["dense_part"]["all"]
    student = pq.read_table(case.artifact.file("per_user.parquet")).to_pandas()["student_ndcg@10"].mean()
    assert alone["ndcg@10"] == pytest.approx(0.5)
    assert alone["student_minus"]["ndcg@10"] == pytest.approx(student - 0.5)
    assert case.result["dense_part"]["head"]["users"] == 0


def test_where_it_is_not_clearly_worth_anything_the_way_without_it_is_named(case):
    said = about_training(case.result)
    low, high = case.result["dense_part"]["all"]["student_minus"]["ndcg@10_interval"]
    assert low < 0 < high
    assert said[0].startswith("Beside what is counted and read, the trained dense part is worth ")
    assert (
        "finetune.training.epochs 0 with finetune.adaptation.method frozen leaves it out (configs/small.yaml)"
        in said[1]
    )
    assert all(sentence in segment_table(case.result) for sentence in said)


def test_where_it_clearly_helps_nothing_else_is_advised(case):
    better = {"student_minus": {"ndcg@10": 0.003, "ndcg@10_interval": [0.001, 0.005]}}
    (said,) = about_training(case.result | {"dense_part": {"all": better, "tail": better}})
    assert said == (
        "Beside what is counted and read, the trained dense part is worth +.0030 (+.0010 to +.0050) for all users and "
        "+.0030 (+.0010 to +.0050) for tail users of NDCG@10."
    )
