"""What each attribute of users, and each column of context, is worth: the student asked with that column's values exchanged.

A seeded permutation hands one user's values to another, so that the column says as much as before, but of somebody else (Breiman 2001,
"Random forests", permutation importance). What the student then finds less is what the column is worth.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from longtail.components.evaluate.measure import STUDENT, Measured, per_user
from longtail.components.evaluate.reading import NEWCOMERS
from longtail.components.evaluate.settings import EvaluateSettings
from longtail.contracts.attributes import column_of
from longtail.contracts.prepared import PreparedDataset, Targets
from longtail.contracts.segments import ALL, SEGMENTS
from longtail.metrics.significance import mean_intervals
from longtail.scoring.query import Query, System
from longtail.scoring.ranked import rank_all

COLD, NONE_SHOWN = SEGMENTS[0], "k=0"
MOST_USERS = {COLD: 20_000, NONE_SHOWN: 20_000, ALL: 5_000}  # asked once a column; a draw where there are more
FIELDS = {"attributes": "user attribute", "context": "context"}  # field of Query -> kind of column


@dataclass(frozen=True)
class Exchanged:
    """A system that is told somebody else's values of one column.

    field: of Query; values: user -> the ``name=value`` of the other user.
    """

    system: System
    field: str
    column: str
    values: Mapping[int | None, Sequence[str]]

    def score(self, queries: Sequence[Query]) -> NDArray[np.float32]:
        return self.system.score([self._told(query) for query in queries])

    def _told(self, query: Query) -> Query:
        known: Sequence[str] = getattr(query, self.field)
        told = [name for name in known if column_of(name) != self.column] + list(self.values[query.user])
        if set(told) == set(known):
            return query
        return replace(query, attributes=told) if self.field == "attributes" else replace(query, context=told)


def measure_worth(student: System, test: Measured, settings: EvaluateSettings, seed: int) -> list[dict[str, Any]]:
    """An entry for each column and group of users: what of NDCG@10 (ties of scores at random) is lost without the column's truth.

    Groups: ``cold`` where there are ``gate_min_users`` of them, else ``k=0``, everybody asked without the history; and ``all``.
    """
    columns = columns_of(test.data)
    if not columns:
        return []
    cold = np.flatnonzero(test.segments == COLD)
    everybody = np.arange(len(test.targets))
    newcomers = (COLD, cold) if len(cold) >= settings.gate_min_users else (NONE_SHOWN, everybody)
    found = []
    for group, rows in (newcomers, (ALL, everybody)):
        drawn = np.random.default_rng(seed).permutation(rows)[: MOST_USERS[group]]
        asked = _first_alone(test.targets.of(np.sort(drawn)))
        last = None if group == ALL else 0
        losses = losses_of(_exchanged(student, test.data, asked, columns, seed), test.data, asked, last)
        found += [
            {"column": column, "kind": FIELDS[field], "group": group, "users": len(asked)} | loss
            for (field, column), loss in zip(columns, _judged(losses, settings, seed))
        ]
    return found


def columns_of(data: PreparedDataset) -> list[tuple[str, str]]:
    """Field of Query and name of every column."""
    vocabularies = {"attributes": data.facts["user_attributes"], "context": data.facts["context"]}
    return [(field, column) for field, names in vocabularies.items() for column in dict.fromkeys(map(column_of, names))]


def losses_of(
    systems: Mapping[str, System], data: PreparedDataset, asked: Targets, last: int | None
) -> NDArray[np.float64]:
    """What every user loses when the others are asked instead of the student. ``[users, systems - 1]``"""
    found = per_user(rank_all(systems, data, asked, last), (10,))
    return np.stack([found[STUDENT][NEWCOMERS] - found[name][NEWCOMERS] for name in systems if name != STUDENT], axis=1)


def _exchanged(
    student: System, data: PreparedDataset, asked: Targets, columns: Sequence[tuple[str, str]], seed: int
) -> dict[str, System]:
    """The student, and the student with one column exchanged, for each column; all by the same permutation of the users."""
    giver = np.random.default_rng(seed).permutation(len(asked))
    known = {"attributes": [data.user_attributes[user] for user in asked.users], "context": asked.contexts}
    systems: dict[str, System] = {STUDENT: student}
    for field, column in columns:
        values = [[name for name in known[field][row] if column_of(name) == column] for row in giver]
        systems[f"{field} {column}"] = Exchanged(student, field, column, dict(zip(asked.users.tolist(), values)))
    return systems


def _judged(losses: NDArray[np.float64], settings: EvaluateSettings, seed: int) -> list[dict[str, Any]]:
    """Mean, interval and verdict of every column of losses. losses [users, columns]."""
    found = mean_intervals(losses, settings.bootstrap_samples, settings.confidence, seed)
    return [
        {
            "loss": float(mean),
            "interval": [float(low), float(high)],
            "verdict": "helps" if low > 0 else "harms" if high < 0 else "unclear",
        }
        for mean, low, high in zip(found.mean, found.low, found.high)
    ]


def _first_alone(targets: Targets) -> Targets:
    """The first target is what is chosen at the moment of asking, whose context the query has."""
    return replace(targets, items=[items[:1] for items in targets.items])
