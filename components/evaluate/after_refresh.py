"""What a refresh brings, as far as this data can show it: the counts with the validation events, asked for the test targets.

No test event is counted, so it is an estimate of the bundle that is served (which counts those too, and is asked for what comes then).
It stands beside the verdict: the gate judges the student that was trained.
"""

from typing import Any

from longtail.components.evaluate.measure import STUDENT, Measured, entries, groups_of, per_user
from longtail.components.evaluate.settings import EvaluateSettings
from longtail.contracts.prepared import PreparedDataset, Split
from longtail.neighbours.recounting import recount
from longtail.scoring.bundle import Bundle
from longtail.scoring.ranked import rank_all
from longtail.scoring.scorer import Scorer

REFRESHED = "student_refreshed"


def refreshed_student(student: Bundle, data: PreparedDataset) -> Bundle:
    """The student as it would be had it been refreshed before the test targets came."""
    return recount(student, data.learnt_until(Split.VALIDATION)).bundle


def measure_refresh(student: Bundle, test: Measured, settings: EvaluateSettings, seed: int) -> dict[str, Any] | None:
    """Group of users -> entry of the refreshed student, whose ``minus_student`` is the paired difference.

    None for a bundle of an earlier version, which cannot be refreshed.
    """
    if "sparse_term" not in student.facts:
        return None
    ranked = rank_all({REFRESHED: Scorer(refreshed_student(student, test.data))}, test.data, test.targets)
    before = test.values[STUDENT]
    after = per_user(ranked, settings.measured_cutoffs)[REFRESHED]
    found = {}
    for group, rows in groups_of(test.segments).items():
        pair = entries({"before": before, STUDENT: after}, rows, settings, seed)  # the former with STUDENT minus it
        found[group] = pair[STUDENT] | {"minus_student": pair["before"].get("student_minus")}
    return found
