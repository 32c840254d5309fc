"""What the dense part, which takes nearly all of the training, is worth: the student beside its counts alone.

Distill chose the weights of the counts alone on validation, as it did those beside the dense part.
"""

from dataclasses import replace
from typing import Any

import numpy as np

from longtail.components.evaluate.measure import STUDENT, Measured, entries, groups_of, per_user
from longtail.components.evaluate.settings import EvaluateSettings
from longtail.scoring.bundle import Bundle
from longtail.scoring.ranked import rank_all
from longtail.scoring.scorer import Scorer

COUNTED = "counted_alone"


def counted_alone(student: Bundle) -> Bundle | None:
    """The student without its dense part; None where it has none, or is of an earlier version."""
    if COUNTED not in student.facts:
        return None
    weights: dict[str, Any] = {
        name: np.array(value, dtype=np.float32) for name, value in student.facts[COUNTED].items()
    }
    return replace(student, tensors=replace(student.tensors, **weights))


def measure_dense_part(student: Bundle, test: Measured, settings: EvaluateSettings, seed: int) -> dict[str, Any] | None:
    """Group of users -> entry of the counts alone, whose ``student_minus`` is the paired difference; None without a dense part."""
    counts = counted_alone(student)
    if counts is None or not len(test.targets):
        return None
    found = per_user(rank_all({COUNTED: Scorer(counts)}, test.data, test.targets), settings.measured_cutoffs)
    values = {STUDENT: test.values[STUDENT], COUNTED: found[COUNTED]}
    return {group: entries(values, rows, settings, seed)[COUNTED] for group, rows in groups_of(test.segments).items()}
