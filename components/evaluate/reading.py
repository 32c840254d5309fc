"""How report and summary read an evaluation: names of systems, numbers as text, strongest baseline, better or worse."""

from collections.abc import Iterable, Mapping
from typing import Any

from longtail.contracts.segments import ALL, SEGMENTS

Entry = Mapping[str, Any]  # metrics of one system for one group of users
Columns = dict[str, dict[str, Entry]]  # heading -> system -> entry

HEADLINE = "ndcg@10"
NONE = "–"
LABELS = {
    "student": "student",
    "teacher": "teacher",
    "champion": "champion",
    "popularity": "popularity",
    "item_cf": "item CF",
    "next_item": "next-item CF",
    "tfidf": "TF-IDF",
    "frozen_text": "frozen text",
    "cf_tfidf": "CF+TF-IDF",
    "cf_tfidf_text": "CF+TF-IDF+text",
}
_NO_BASELINE = ("student", "teacher", "champion")


def ordered(systems: Iterable[str]) -> list[str]:
    """Student, teacher, champion, then the baselines."""
    names = list(LABELS)
    return sorted(systems, key=lambda name: names.index(name) if name in names else len(names))


def label(system: str) -> str:
    return LABELS.get(system, system)


def by_segment(evaluation: Mapping[str, Any]) -> Columns:
    """Columns ``all``, ``cold``, ``tail``, ``torso``, ``head``."""
    systems = evaluation["systems"]
    return {segment: {name: systems[name][segment] for name in systems} for segment in (ALL, *SEGMENTS)}


def by_revealed(evaluation: Mapping[str, Any]) -> Columns:
    """Columns ``0``, ``1``, …: the number of items that were revealed."""
    revealed = evaluation["revealed"]
    return {k: revealed[k] for k in sorted(revealed, key=int)}


def value(entry: Entry, metric: str = HEADLINE) -> float | None:
    found = entry.get(metric)
    return None if found is None else float(found)


def interval(entry: Entry, metric: str = HEADLINE) -> tuple[float, float] | None:
    found = entry.get(f"{metric}_interval")
    return None if found is None else (float(found[0]), float(found[1]))


def best(entries: Mapping[str, Entry], metric: str = HEADLINE) -> list[str]:
    """The systems with the highest value as printed; several where they print alike; none for an empty segment."""
    shown = {name: round(found, 4) for name in entries if (found := value(entries[name], metric)) is not None}
    return [name for name in shown if shown[name] == max(shown.values())]


def strongest_baseline(entries: Mapping[str, Entry]) -> str | None:
    """The baseline with the highest headline metric; none for an empty segment."""
    known = [name for name in ordered(entries) if name not in _NO_BASELINE and value(entries[name]) is not None]
    return max(known, key=lambda name: value(entries[name]) or 0.0, default=None)


def difference(entry: Entry) -> Entry:
    """Student minus the system of this entry, over the same users."""
    return entry.get("student_minus") or {}


def judged(entry: Entry) -> str:
    """``better`` or ``worse`` where the interval of the student's difference excludes zero, else ``unclear``."""
    bounds = interval(difference(entry))
    if bounds is None:
        return NONE
    return "better" if bounds[0] > 0 else "worse" if bounds[1] < 0 else "unclear"


def number(found: float | None, signed: bool = False) -> str:
    """``.0676``; ``+.0112`` where signed; a dash for what is not known."""
    if found is None:
        return NONE
    found = round(found, 4) + 0.0  # no minus before a zero
    text = f"{found:+.4f}" if signed else f"{found:.4f}"
    return text.replace("0.", ".", 1) if abs(found) < 1 else text


def span(bounds: tuple[float, float] | None, signed: bool = False) -> str:
    if bounds is None:
        return NONE
    return f"{number(bounds[0], signed)} to {number(bounds[1], signed)}" if signed else "-".join(map(number, bounds))
