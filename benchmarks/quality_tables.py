"""From users' metrics to the figures of the quality benchmark, and to tables in Markdown."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from longtail.components.evaluate.reading import number, span
from longtail.contracts.segments import ALL, SEGMENTS
from longtail.metrics.significance import mean_intervals

NDCG, RECALL = "ndcg@10", "recall@10"
SAMPLES, CONFIDENCE = 1000, 0.95
STUDENT, TEACHER, POPULARITY, MIXTURE = "full: student", "full: teacher", "popularity", "cf_tfidf_text"
Values = dict[str, dict[str, NDArray[np.float64]]]  # system -> column -> [seeds, users]; columns as in ``figures``


def read_values(files: Mapping[str, Sequence[Path]], metric: str) -> Values:
    """Users' values by column: all, each segment that has users, and k=0, k=1, …

    files: part of the systems' names (``full``; empty for floors) -> ``users.npz`` of each seed.
    """
    values: Values = {}
    for part, paths in files.items():
        loaded = [np.load(path) for path in paths]
        segments = loaded[0]["segments"]
        rows = {ALL: np.ones(len(segments), dtype=bool)} | {name: segments == name for name in SEGMENTS}
        for name in loaded[0].files:
            if not name.endswith(f"|{metric}"):
                continue
            system, column, _ = name.split("|")
            seeds = np.stack([arrays[name] for arrays in loaded])  # [seeds, users]
            columns = {f"k={column}": seeds}
            if column == "whole":
                columns = {group: seeds[:, chosen] for group, chosen in rows.items() if chosen.any()}
            values.setdefault(f"{part}: {system}" if part else system, {}).update(columns)
    return values


def figures(values: Values, samples: int = SAMPLES) -> dict[str, dict[str, dict[str, Any]]]:
    """system -> column -> mean over seeds, its standard deviation over seeds, and paired comparisons over users.

    ``minus``: the system minus a rival (cf_tfidf_text; popularity at k = 0; the full student), with the interval of a
    bootstrap over users of the seeds' mean. ``of_teacher``: students over their teacher, likewise.
    """
    found: dict[str, dict[str, dict[str, Any]]] = {system: {} for system in values}
    for column in next(iter(values.values())):
        names = [system for system in values if column in values[system]]
        table = np.stack([values[name][column].mean(axis=0) for name in names], axis=1)  # [users, systems]
        place = {name: index for index, name in enumerate(names)}
        rivals = [name for name in (MIXTURE, POPULARITY if column == "k=0" else "", STUDENT) if name in place]
        for name, index in place.items():
            seeds = values[name][column].mean(axis=1)
            entry: dict[str, Any] = {"users": len(table), "mean": float(seeds.mean()), "seeds": seeds.tolist()}
            entry["sd"] = float(seeds.std(ddof=1)) if len(seeds) > 1 else None
            entry["minus"] = {
                rival: _mean_and_span(table[:, index] - table[:, place[rival]], samples)
                for rival in rivals
                if rival != name
            }
            teacher = place.get(f"{name.partition(':')[0]}: teacher", place.get(TEACHER))
            if ": student" in name and teacher is not None and table[:, teacher].mean() > 0:
                entry["of_teacher"] = _ratio(table[:, index], table[:, teacher], samples)
            found[name][column] = entry
    return found


def _mean_and_span(differences: NDArray[np.float64], samples: int) -> list[float]:
    found = mean_intervals(differences[:, None], samples, CONFIDENCE, seed=0)
    return [float(found.mean[0]), float(found.low[0]), float(found.high[0])]


def _ratio(values: NDArray[np.float64], others: NDArray[np.float64], samples: int) -> list[float]:
    """Ratio of two means and its interval, by what the users' residuals add up to (delta method)."""
    ratio = float(values.mean() / others.mean())
    residual = values - ratio * others  # of mean 0
    scale = max(float(np.abs(residual).max()), 1.0)  # keeps them between -1 and 1
    _, low, high = _mean_and_span(residual / scale, samples)
    return [ratio, *(ratio + bound * scale / float(others.mean()) for bound in (low, high))]


def markdown(test: Mapping[str, Any], validation: Mapping[str, Any], recall: Mapping[str, Any]) -> str:
    """The tables of the test targets, with the validation figure beside them."""
    columns = list(next(iter(test.values())))
    segments, revealed = ([c for c in columns if c.startswith("k=") == shown] for shown in (False, True))
    minus = f"NDCG@10 minus {MIXTURE} (popularity at k=0), with {CONFIDENCE:.0%} intervals over users"
    sections = {
        "NDCG@10 by segment of users (length of the whole history)": _means(test, segments, validation),
        "NDCG@10 by revealed history: the same users and targets, only the last k items shown": _means(test, revealed),
        "Recall@10": _means(recall, columns),
        minus: _table(
            test, columns, lambda entry, column: _difference(entry, POPULARITY if column == "k=0" else MIXTURE)
        ),
        "NDCG@10 minus the full student: what a part is worth": _table(
            test, columns, lambda entry, _: _difference(entry, STUDENT)
        ),
        "Students' NDCG@10 as a share of their teacher's": _table(test, columns, lambda entry, _: _share(entry)),
    }
    return "\n\n".join(f"### {title}\n\n{body}" for title, body in sections.items() if body)


def summary(by_dataset: Mapping[str, Mapping[str, Any]]) -> str:
    """A row for each data set and group of users: the student beside the strongest system that is none of ours.

    by_dataset: name -> ``figures`` of NDCG@10 of the test targets. The difference is paired; its interval is over users.
    """
    rows = []
    for name, found in by_dataset.items():
        floors = [system for system in found if ":" not in system]
        for column in found[STUDENT]:
            rival = max(floors, key=lambda system: found[system][column]["mean"])
            less, high, low = (-value for value in found[rival][column]["minus"][STUDENT])
            verdict = "better" if low > 0 else "worse" if high < 0 else "unclear"
            student, other = found[STUDENT][column], found[rival][column]
            difference = f"{number(less, signed=True)} ({span((low, high), signed=True)})"
            rows.append(
                [name, column, f"{student['users']:,}", _mean(student), f"{rival} {_mean(other)}", difference, verdict]
            )
    return _lines(["data set", "users", "count", "student", "strongest other", "difference", "the student is"], rows)


def _means(found: Mapping[str, Any], columns: Sequence[str], validation: Mapping[str, Any] | None = None) -> str:
    if not columns:
        return "No user has a history that long."
    head = ["", *columns, *(["validation, all"] if validation else [])]
    users = ["users", *(f"{next(iter(found.values()))[column]['users']:,}" for column in columns)]
    rows = [users + [""] * (len(head) - len(users))]
    for system, entries in found.items():
        cells = [_mean(entries.get(column)) for column in columns]
        rows.append([system, *cells, *([_mean(validation[system].get(ALL))] if validation else [])])
    return _lines(head, rows)


def _table(found: Mapping[str, Any], columns: Sequence[str], cell: Any) -> str:
    """Rows of the systems that have at least one such cell."""
    rows = [[system, *(cell(entries.get(c), c) for c in columns)] for system, entries in found.items()]
    rows = [row for row in rows if any(row[1:])]
    return _lines(["", *columns], rows) if rows else ""


def _lines(head: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    return "\n".join(f"| {' | '.join(row)} |" for row in [head, ["---"] * len(head), *rows])


def _mean(entry: Mapping[str, Any] | None) -> str:
    if entry is None:
        return ""
    return number(entry["mean"]) + ("" if entry["sd"] is None else f" ± {number(entry['sd'])}")


def _difference(entry: Mapping[str, Any] | None, rival: str) -> str:
    if entry is None or rival not in entry["minus"]:
        return ""
    mean, low, high = entry["minus"][rival]
    return f"{number(mean, signed=True)} ({span((low, high), signed=True)})"


def _share(entry: Mapping[str, Any] | None) -> str:
    if entry is None or "of_teacher" not in entry:
        return ""
    mean, low, high = entry["of_teacher"]
    return f"{mean:.1%} ({low:.1%} to {high:.1%})"
