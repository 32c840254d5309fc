"""May the student be deployed? A decision with its reasons."""

from typing import Any

from longtail.components.evaluate.settings import EvaluateSettings


def decide(overall: dict[str, dict[str, Any]], settings: EvaluateSettings) -> dict[str, Any]:
    """``{"passed": bool, "reasons": [sentence, ...]}`` from all users' entries.

    The student fails against a system where even the upper bound of (student - system) lies below minus the tolerance.
    """
    metric = f"{settings.gate_metric}@10"
    rivals = [*settings.gate_baselines, *(["champion"] if "champion" in overall else [])]
    passed, reasons = True, []
    for name in rivals:
        minus = overall[name]["student_minus"]
        low, high = minus[f"{metric}_interval"]
        worse = high < -settings.gate_tolerance
        passed = passed and not worse
        verdict = "worse than" if worse else ("better than" if low > 0 else "not clearly different from")
        reasons.append(
            f"On {metric} over all users the student is {verdict} {name}: {minus[metric]:+.4f} "
            f"({settings.confidence:.0%} interval {low:+.4f} to {high:+.4f})."
        )
    return {"passed": passed, "reasons": reasons}
