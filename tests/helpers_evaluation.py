"""An evaluation of the shape that the stage writes, with values that follow from the arguments alone."""

from dataclasses import replace
from typing import Any

from longtail.contracts.decision import Decision, Finding

SYSTEMS = ("student", "teacher", "popularity", "item_cf", "tfidf", "cf_tfidf", "frozen_text", "cf_tfidf_text")
METRICS = ("recall", "precision", "f1", "hitrate", "ndcg", "mrr", "expected_ndcg")
CUTOFFS = (5, 10, 20)
INTERVALS = ("ndcg@10", "recall@10", "mrr@10", "hitrate@10", "expected_ndcg@10")
QUALITY = {
    "student": 0.0678,
    "teacher": 0.0681,
    "popularity": 0.0053,
    "item_cf": 0.0391,
    "tfidf": 0.0441,
    "cf_tfidf": 0.0555,
    "frozen_text": 0.0320,
    "cf_tfidf_text": 0.0564,
}


def entry(system: str, users: int, student: float | None = None, scale: float = 1.0) -> dict[str, Any]:
    """ndcg@10 is ``QUALITY[system] * scale`` (the student's may be given) plus and minus .002; nulls for no users."""
    names = [f"{metric}@{k}" for metric in METRICS for k in CUTOFFS]
    if users == 0:
        return {"users": 0, **dict.fromkeys(names), **{f"{name}_interval": None for name in INTERVALS}}
    student = QUALITY["student"] * scale if student is None else student
    ndcg = student if system == "student" else QUALITY[system] * scale
    found: dict[str, Any] = {"users": users, **{name: round(ndcg * 1.5, 6) for name in names}, "ndcg@10": ndcg}
    found |= {f"{name}_interval": [found[name] - 0.002, found[name] + 0.002] for name in INTERVALS}
    if system != "student":
        minus = student - ndcg
        found["student_minus"] = {}
        for name, scale_ in (("ndcg@10", 1.0), ("expected_ndcg@10", 1.5)):
            lead = {name: minus * scale_, f"{name}_interval": [minus * scale_ - 0.001, minus * scale_ + 0.001]}
            found["student_minus"] |= lead | {f"{name}_error": 0.0005}
    return found


def finding(passed: bool = True, **changes: Any) -> Finding:
    """Of a rule that asks for better than item CF over all users."""
    sentence = "All (22,363 users): better than item CF <by .0287>."
    found = Finding(
        *("better", "item_cf", "all", "ndcg@10", 22363, 0.0287, (0.0277, 0.0297), 0.0),
        verdict="better" if passed else "worse",
        passed=passed,
        sentence=sentence if passed else sentence.replace("better", "worse"),
    )
    return replace(found, **changes)


def decision(passed: bool = True) -> Decision:
    """Of one finding, without a champion; data and settings have digests of one letter."""
    return Decision(passed, (finding(passed),), bundle="b" * 64, prepared="p" * 64, settings="s" * 64)


def evaluation(passed: bool = True) -> dict[str, Any]:
    """No cold users; the student beats every baseline but on heads, where it is worse than the strongest (.0564)."""
    sizes = {"all": 22363, "cold": 0, "tail": 7123, "torso": 11000, "head": 4240}
    students = {"head": 0.0500}
    systems = {
        system: {segment: entry(system, users, students.get(segment)) for segment, users in sizes.items()}
        | {"beyond": {"all": {"diversity@10": 0.71, "coverage@10": 0.62, "long_tail_share@10": 0.33}}}
        for system in SYSTEMS
    }
    scales = {"0": 0.1, "1": 0.8, "2": 0.85, "3": 0.9, "4": 0.95}
    return {
        "protocol": "leave-last-out, full catalogue of 12,101 items, history excluded, ties count against the model",
        "exclude_history": True,
        "cutoffs": list(CUTOFFS),
        "confidence": 0.95,
        "bootstrap_samples": 1000,
        "systems": systems,
        "revealed": {k: {s: entry(s, 20000, scale=scale) for s in SYSTEMS} for k, scale in scales.items()},
        "revealed_users": 20000,
        "decision": decision(passed).document(),
        "verdicts": {
            group: {rival: {"verdict": verdict, "metric": "ndcg@10", "users": users} for rival in SYSTEMS[2:]}
            for (group, users), verdict in zip(
                sizes.items(), ("better", "too few users", "not worse", "unclear", "worse")
            )
        },
        "incumbent": None,
        "data": {
            "users": 22363,
            "items": 12101,
            "events": 198502,
            "train_events": 153776,
            "rejected": {"unknown item": 17, "bad timestamp": 3},
            "segment_rule": {"tail_max": 4, "torso_max": 9},
            "targets_in_history": 0,
            "test_users": 22363,
            "users_without_target": 0,
        },
        "leakage_check": "Passed: per user, training events come before validation and test.",
        "settings": {"bootstrap_samples": 1000, "gate_margin": 10.0, "gate_min_users": 50},
        "seed": 7,
    }


def real_history() -> dict[str, Any]:
    """``by_history`` of 900 users without a history, 800 with one event, 600 with four and the others with more."""
    columns = {"0": (900, 0.1), "1": (800, 0.8), "2": (0, 1.0), "3": (0, 1.0), "4": (600, 0.95), "5+": (20_000, 1.0)}
    return {
        "by_history": {
            name: {system: entry(system, users, scale=scale) for system in SYSTEMS}
            for name, (users, scale) in columns.items()
        }
    }


def worth() -> dict[str, Any]:
    """``attributes``: gender helps newcomers, the day of the week harms all users."""
    helps, unclear, harms = (0.01, 0.005, "helps"), (0.0, 0.001, "unclear"), (-0.003, 0.002, "harms")
    known = {("gender", "cold"): helps, ("day", "cold"): unclear, ("gender", "all"): unclear, ("day", "all"): harms}
    return {
        "attributes": [
            {
                "column": column,
                "kind": "context" if column == "day" else "user attribute",
                "group": group,
                "users": 900 if group == "cold" else 5000,
                "loss": loss,
                "interval": [loss - half, loss + half],
                "verdict": verdict,
            }
            for (column, group), (loss, half, verdict) in known.items()
        ]
    }
