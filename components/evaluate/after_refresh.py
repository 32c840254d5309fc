"""What a refresh brings, as far as this data can show it: the counts with the validation events, asked for the test targets.

No test event is counted, so it is an estimate of the bundle that is served (which counts those too, and is asked for what comes then).
It stands beside the verdict: the gate judges the student that was trained.
"""

from typing import Any

from longtail.baselines.classic import Popularity
from longtail.components.evaluate.measure import STUDENT, Measured, entries, groups_of, per_user
from longtail.components.evaluate.settings import EvaluateSettings
from longtail.contracts.prepared import PreparedDataset, Split
from longtail.neighbours.recency import recent_counts
from longtail.neighbours.recounting import freshened
from longtail.scoring.bundle import Bundle
from longtail.scoring.query import System
from longtail.scoring.ranked import rank_all
from longtail.scoring.scorer import Scorer

REFRESHED = "student_refreshed"
RECENT = "recent_popularity"


def refreshed_student(student: Bundle, data: PreparedDataset) -> Bundle:
    """The student as it would be had it been refreshed before the test targets came."""
    return freshened(student, data.learnt_until(Split.VALIDATION)).bundle


def measure_refresh(student: Bundle, test: Measured, settings: EvaluateSettings, seed: int) -> dict[str, Any] | None:
    """Group of users -> entry of the refreshed student, whose ``minus_student`` is the paired difference.

    Where popularity goes by recency, ``recent_popularity`` is its entry when counted likewise, with the refreshed student minus it.
    None for a bundle of an earlier version, which cannot be refreshed.
    """
    if "sparse_term" not in student.facts:
        return None
    systems: dict[str, System] = {REFRESHED: Scorer(refreshed_student(student, test.data))}
    half_life = student.facts["popularity_half_life"]
    if half_life is not None:
        systems[RECENT] = Popularity(recent_counts(test.data.learnt_until(Split.VALIDATION), half_life))
    ranked = rank_all(systems, test.data, test.targets)
    values = per_user(ranked, settings.measured_cutoffs)
    compared = {"before": test.values[STUDENT], STUDENT: values.pop(REFRESHED), **values}
    found = {}
    for group, rows in groups_of(test.segments).items():
        each = entries(compared, rows, settings, seed)  # the others with STUDENT minus them
        found[group] = each[STUDENT] | {"minus_student": each["before"].get("student_minus")}
        if half_life is not None:
            found[group][RECENT] = each[RECENT]
    return found
