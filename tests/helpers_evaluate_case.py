"""A small Prepared data set with its teacher and student, and the evaluate stage run on them."""

import json

from helpers_prepared import write_bundle_for, write_tiny_prepared, write_tiny_teacher

from longtail.components.evaluate.evaluate import evaluate
from longtail.components.evaluate.settings import EvaluateSettings
from longtail.components.evaluate.systems import Rivals
from longtail.contracts.artifacts import EVALUATION, read_artifact
from longtail.contracts.prepared import PreparedDataset

QUICK = EvaluateSettings(bootstrap_samples=100)


class Case:
    """A Prepared data set with its teacher and student, and the evaluation of them."""

    def __init__(self, folder, users=None, settings=QUICK, champion=None, incumbent=None, **prepared):
        self.folder = folder
        self.prepared = write_tiny_prepared(folder / "prepared", users, **prepared)
        self.data = PreparedDataset(self.prepared)
        self.teacher = write_tiny_teacher(folder / "teacher", self.prepared)
        exclude = self.data.exclude_history
        self.bundle = write_bundle_for(folder / "bundle", self.data, 5, exclude_history=exclude)
        self.settings = settings
        self.champion, self.incumbent = champion, incumbent

    def run(self, output="evaluation"):
        rivals = Rivals(self.champion, self.incumbent)
        self.passed = evaluate(self.prepared, self.teacher, self.bundle, self.folder / output, self.settings, 3, rivals)
        self.artifact = read_artifact(self.folder / output, EVALUATION)
        self.result = json.loads(self.artifact.file("evaluation.json").read_text())
        return self.result
