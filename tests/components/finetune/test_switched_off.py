"""Finetune without the language model, and distill without the teacher."""

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from helpers_prepared import write_tiny_prepared

from longtail.components.distill.distill import distill
from longtail.components.distill.settings import DistillSettings
from longtail.components.evaluate.evaluate import evaluate
from longtail.components.evaluate.settings import EvaluateSettings
from longtail.components.finetune.finetune import finetune
from longtail.components.finetune.settings import FinetuneSettings
from longtail.contracts.artifacts import PREPARED, read_artifact, write_artifact
from longtail.contracts.errors import UserError
from longtail.scoring.bundle import load_bundle
from longtail.scoring.query import Query
from longtail.scoring.scorer import Scorer

pytestmark = pytest.mark.slow
SMALL = {"dim": 16, "heads": 2, "epochs": 1, "batch_positions": 64, "epoch_steps": 1}


@pytest.fixture(scope="module")
def teachers(tmp_path_factory, tiny_encoder):
    """The folder of two teachers without language model, of different seeds."""
    folder = tmp_path_factory.mktemp("bare")
    write_tiny_prepared(folder / "prepared")
    for seed in (1, 2):
        settings = FinetuneSettings(language_model=str(tiny_encoder), adaptation={"method": "none"}, training=SMALL)
        finetune(folder / "prepared", folder / f"teacher{seed}", settings, seed)
    return folder


def with_other_texts(source, target):
    """The same events with all texts exchanged."""
    artifact = read_artifact(source, PREPARED)
    with write_artifact(target, PREPARED, dict(artifact.facts)) as folder:
        for name in ("users.parquet", "events.parquet"):
            (folder / name).write_bytes(artifact.file(name).read_bytes())
        items = pq.read_table(artifact.file("items.parquet"))
        texts = pa.array([f"word{code * code % 7}" for code in range(items.num_rows)])
        place = items.column_names.index("text")
        pq.write_table(items.set_column(place, "text", texts), folder / "items.parquet")
    return target


def test_without_language_model_and_words_no_text_reaches_the_vectors(teachers, tiny_encoder, tmp_path):
    other = with_other_texts(teachers / "prepared", tmp_path / "other")
    matrices = {}
    for adaptation in ("none", "frozen"):
        settings = FinetuneSettings(
            language_model=str(tiny_encoder), adaptation={"method": adaptation}, lexical=False, training=SMALL
        )
        for data in (other, teachers / "prepared"):
            finetune(data, tmp_path / "teacher", settings, seed=1)
            matrices[adaptation, data == other] = load_bundle(tmp_path / "teacher" / "scorer").tensors.item_matrix
    assert np.array_equal(matrices["none", True], matrices["none", False])
    assert not np.array_equal(matrices["frozen", True], matrices["frozen", False])


def test_without_language_model_the_stages_go_through_and_stated_interests_are_refused(teachers, tmp_path):
    prepared, teacher = teachers / "prepared", teachers / "teacher1"
    distill(prepared, teacher, tmp_path / "bundle", DistillSettings(training=SMALL), seed=1)
    for path in (teacher / "scorer", tmp_path / "bundle"):
        bundle = load_bundle(path)
        assert not bundle.has_text_encoder
        assert bundle.tensors.text_projection.shape == (0, 16)
        with pytest.raises(UserError, match="no text encoder"):
            Scorer(bundle).score([Query(np.zeros(0, np.int32), (), "red lip")])
    evaluate(prepared, teacher, tmp_path / "bundle", tmp_path / "evaluation", EvaluateSettings(bootstrap_samples=100))
    assert (tmp_path / "evaluation" / "report.html").is_file()


def test_a_student_of_labels_alone_owes_nothing_to_its_teacher(teachers, tmp_path):
    def student(teacher, **settings):
        distill(
            teachers / "prepared",
            teachers / teacher,
            tmp_path / "bundle",
            DistillSettings(training=SMALL, **settings),
            5,
        )
        return load_bundle(tmp_path / "bundle").tensors.item_matrix

    alone = {"soft_label_weight": 0.0, "start_from_teacher": False}
    assert np.array_equal(student("teacher1", **alone), student("teacher2", **alone))
    warm = student("teacher1", soft_label_weight=0.0)
    assert not np.array_equal(warm, student("teacher2", soft_label_weight=0.0))
    soft = student("teacher1", soft_label_weight=1.0, start_from_teacher=False)
    assert not np.array_equal(soft, student("teacher2", soft_label_weight=1.0, start_from_teacher=False))
