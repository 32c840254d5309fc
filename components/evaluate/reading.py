"""How report and summary read an evaluation: names of systems, numbers as text, strongest baseline, better or worse."""

from collections.abc import Iterable, Mapping
from typing import Any

from longtail.contracts.segments import ALL, SEGMENTS

Entry = Mapping[str, Any]  # metrics of one system for one group of users
Columns = Mapping[str, Mapping[str, Entry]]  # heading -> system -> entry

HEADLINE = "ndcg@10"
NEWCOMERS = "expected_ndcg@10"  # counts tie often, and a tie counts against them: without a history it would decide
HISTORY = "history="  # before the events that a user really had, in names of columns
NO_HISTORY = ("cold", "history=0", "k=0")
NONE = "–"
LABELS = {
    "student": "student",
    "teacher": "teacher",
    "champion": "champion",
    "incumbent": "incumbent",
    "popularity": "popularity",
    "recent_popularity": "recent popularity",
    "naive_bayes": "naive Bayes",
    "item_cf": "item CF",
    "next_item": "next-item CF",
    "tfidf": "TF-IDF",
    "frozen_text": "frozen text",
    "cf_tfidf": "CF+TF-IDF",
    "cf_tfidf_text": "CF+TF-IDF+text",
}
NO_RIVAL = ("student", "teacher")  # whom the student need not beat
_NO_BASELINE = (*NO_RIVAL, "champion", "incumbent")
UNTESTED = (
    "No user has a test event, so nothing could be measured: the model is there, and nobody knows yet how good it is."
)


def ordered(systems: Iterable[str]) -> list[str]:
    """Student, teacher, champion, incumbent, then the baselines."""
    names = list(LABELS)
    return sorted(systems, key=lambda name: names.index(name) if name in names else len(names))


def label(system: str) -> str:
    return LABELS.get(system, system)


def by_segment(evaluation: Mapping[str, Any]) -> Columns:
    """Columns ``all``, ``cold``, ``tail``, ``torso``, ``head``."""
    systems = evaluation["systems"]
    return {segment: {name: systems[name][segment] for name in systems} for segment in (ALL, *SEGMENTS)}


def by_history(evaluation: Mapping[str, Any]) -> Columns:
    """Columns ``0``, ``1``, …, ``5+`` that have users: real events before the moment of asking.

    None where fewer than three have users, as segments say that already, and in evaluations of earlier versions.
    """
    columns: Columns = evaluation.get("by_history", {})
    known = {name: entries for name, entries in columns.items() if entries["student"]["users"]}
    return known if len(known) > 2 else {}


def by_revealed(evaluation: Mapping[str, Any]) -> Columns:
    """Columns ``0``, ``1``, …: the number of items that were revealed."""
    revealed = evaluation["revealed"]
    return {k: revealed[k] for k in sorted(revealed, key=int)}


def columns_of(evaluation: Mapping[str, Any]) -> Columns:
    """Segments, ``history=0``, ``history=1``, …, and ``k=0``, ``k=1``, …"""
    real = {f"{HISTORY}{name}": entries for name, entries in by_history(evaluation).items()}
    revealed = {f"k={k}": entries for k, entries in by_revealed(evaluation).items()}
    return dict(by_segment(evaluation)) | real | revealed


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


def strongest_baseline(entries: Mapping[str, Entry], metric: str = HEADLINE) -> str | None:
    """The baseline with the highest value; none for an empty segment."""
    known = [name for name in ordered(entries) if name not in _NO_BASELINE and value(entries[name], metric) is not None]
    return max(known, key=lambda name: value(entries[name], metric) or 0.0, default=None)


def difference(entry: Entry) -> Entry:
    """Student minus the system of this entry, over the same users."""
    return entry.get("student_minus") or {}


def judged(entry: Entry, metric: str = HEADLINE) -> str:
    """``better`` or ``worse`` where the interval of the student's difference excludes zero, else ``unclear``."""
    bounds = interval(difference(entry), metric)
    if bounds is None:
        return NONE
    return "better" if bounds[0] > 0 else "worse" if bounds[1] < 0 else "unclear"


def without_history(evaluation: Mapping[str, Any]) -> list[str]:
    """What a user without a history can expect, as sentences: by the measure that ties of scores do not decide."""
    sentences = []
    for column, entries in columns_of(evaluation).items():
        rival = strongest_baseline(entries, NEWCOMERS) if column in NO_HISTORY else None
        if rival is not None:
            lead = difference(entries[rival])
            sentences.append(
                f"{column}, ties of scores at random: student {number(value(entries['student'], NEWCOMERS))}, {label(rival)} "
                f"{number(value(entries[rival], NEWCOMERS))}; difference {number(value(lead, NEWCOMERS), signed=True)} "
                f"({span(interval(lead, NEWCOMERS), signed=True)}), {judged(entries[rival], NEWCOMERS)}."
            )
    return sentences


def about_revealed(evaluation: Mapping[str, Any]) -> str:
    """Whom the tables of revealed histories are about: ``the same 1,249 of the 12,241 test users, and their targets``."""
    users, everybody = evaluation["revealed_users"], evaluation["data"]["test_users"]
    shown = f"{users:,}" if users == everybody else f"{users:,} of the {everybody:,}"
    return f"the same {shown} test users and their targets"


def worth_of(evaluation: Mapping[str, Any]) -> dict[str, dict[str, Mapping[str, Any]]]:
    """Name of a column of attributes or context -> group of users -> what exchanging its values loses; as measured."""
    found: dict[str, dict[str, Mapping[str, Any]]] = {}
    for entry in evaluation.get("attributes", []):
        name = entry["column"] + (" (context)" if entry["kind"] == "context" else "")
        found.setdefault(name, {})[entry["group"]] = entry
    return found


def about_worth(evaluation: Mapping[str, Any]) -> list[str]:
    """How the table of attributes is meant, and what follows where none of them helps newcomers; nothing without attributes."""
    measured = evaluation.get("attributes", [])
    if not measured:
        return []
    newcomers = [entry for entry in measured if entry["group"] != ALL]
    counts = {entry["group"]: f"{entry['users']:,} users" for entry in measured}
    sentences = [
        f"NDCG@10, ties at random, that the student loses when users get each other's values; {_listed(counts)}."
    ]
    if not any(entry["verdict"] == "helps" for entry in newcomers):
        sentences.append(
            "No attribute helps newcomers here, as far as these users show; their first choices have to say what they want."
        )
    return sentences


def _listed(counts: Mapping[str, str]) -> str:
    meaning = {"cold": "without a history", "k=0": "asked without their history", ALL: "as they are"}
    return ", ".join(f"{group}: {count} {meaning[group]}" for group, count in counts.items())


def about_training(evaluation: Mapping[str, Any]) -> list[str]:
    """What training brought beside counting, as sentences, and where it is not clearly worth its time."""
    alone, why = evaluation.get("dense_part"), evaluation.get("not_trained")
    if why and not alone:
        return [f"Nothing was trained on these events, as {why}."]
    if not alone:
        return []
    leads = {group: difference(alone[group]) for group in (ALL, "tail")}
    shown = [
        f"{number(value(lead), signed=True)} ({span(interval(lead), signed=True)}) for {group} users"
        for group, lead in leads.items()
        if lead
    ]
    origin = f"the dense part, which was trained elsewhere as {why}," if why else "the trained dense part"
    sentences = [f"Beside what is counted and read, {origin} is worth {' and '.join(shown)} of {HEADLINE.upper()}."]
    if all(judged(alone[group]) != "better" for group in leads):
        sentences.append(
            "That is not clearly more than nothing: finetune.training.epochs 0 with finetune.adaptation.method frozen leaves it out "
            "(configs/small.yaml) and takes a fraction of the time."
        )
    return sentences


def about_refresh(evaluation: Mapping[str, Any]) -> str | None:
    """What counting the validation events too brings for the test targets, in a sentence or two."""
    refreshed = evaluation.get("refreshed")
    if not refreshed or not evaluation["data"]["test_users"]:
        return None
    gains = {group: refreshed[group]["minus_student"] for group in (ALL, "tail")}
    shown = [
        f"{number(value(gain), signed=True)} ({span(interval(gain), signed=True)}) for {group} users"
        for group, gain in gains.items()
        if gain
    ]
    sentence = (
        f"A refresh is estimated to change {HEADLINE.upper()} by {' and '.join(shown)}; the gate does not judge that."
    )
    rival = refreshed[ALL].get("recent_popularity")
    if rival and rival.get("student_minus"):
        gain = rival["student_minus"]
        sentence += (
            f" Against recent popularity counted likewise ({number(value(rival))}) it is then "
            f"{number(value(gain), signed=True)} ({span(interval(gain), signed=True)})."
        )
    return sentence


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


def verdict_groups(evaluation: Mapping[str, Any]) -> list[dict[str, Any]]:
    """Columns of verdicts that are shown together: segments, real histories (perhaps none), revealed ones."""
    groups: dict[str, dict[str, Any]] = {"": {}, HISTORY: {}, "k=": {}}
    for column, found in evaluation["verdicts"].items():
        kind = next((start for start in (HISTORY, "k=") if column.startswith(start)), "")
        groups[kind][column] = found
    if not by_history(evaluation):
        groups[HISTORY] = {}
    return list(groups.values())


def doubts(decision: Mapping[str, Any]) -> list[str]:
    """What the Decision rests on that the intervals do not show, as sentences."""
    share = decision["unknown_order"]
    if not share:
        return []
    return [
        f"{share:.1%} of the test targets were drawn by chance among events of one moment: their order is not known, and "
        "nobody can predict it."
    ]


def about_lists(incumbent: Mapping[str, Any]) -> list[str]:
    """What was found in the incumbent's lists, as sentences: warnings first, then counts."""
    counts = [f"{count:,} {what}" for what, count in incumbent["counts"].items()]
    return [*incumbent["warnings"], f"{incumbent['address']}: {'; '.join(counts)}."]
