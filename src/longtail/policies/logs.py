"""Reads logs of a policy that knew its probabilities: tables of Open Bandit's columns, or of your own, mapped by names.

One row is one action that was taken: an item at a position, its reward, and the probability with which the log's policy took it.
"""

import tempfile
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from fnmatch import fnmatchcase
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from longtail.contracts.errors import UserError
from longtail.metrics.off_policy import Logged
from longtail.tables.engine import ROW, Engine, Scan
from longtail.tables.engines import open_engine
from longtail.tables.id_sql import id_sql
from longtail.tables.sources import find

MEMORY_GB = 2.0
RARE = 20  # rows, below which a value of a text column gets no effect of its own
# what a column is for -> names under which it is looked for; the first is ours
ROLES: dict[str, tuple[str, ...]] = {
    "action": ("item_id", "action"),
    "reward": ("reward", "click"),
    "propensity": ("propensity", "propensity_score", "pscore"),
    "position": ("position",),
    "user": ("user_id",),
    "slate": ("slate_id", "request_id"),
}
NEEDED = ("action", "reward", "propensity")
IDS = ("action", "user", "slate")
KEY_ROLES = {"position": "position", "user_id": "user"}  # keys of a policy that the log may have under other names


@dataclass(frozen=True)
class LogTable:
    """A log as it was read. action codes of ``logged`` are places in ``actions``, which are sorted.

    columns: name in the file of every role that it has. keys: texts of the columns by which a policy is told. ``[rounds]`` each
    rows: of the file, from 0. slate: codes of what was shown together, if known.
    """

    address: str
    logged: Logged
    actions: tuple[str, ...]
    columns: dict[str, str]
    keys: dict[str, NDArray[np.object_]]
    rows: NDArray[np.int64]
    slate: NDArray[np.int64] | None = None


def read_log(
    uri: str, names: Mapping[str, str] | None = None, context: Sequence[str] = (), keys: Sequence[str] = ()
) -> LogTable:
    """The log behind a file, folder, glob or address.

    Args:
        names: role -> the column's name, where it is none of ``ROLES``.
        context: columns, or patterns (``user_feature_*``), of what was known of the round: numbers as they are, texts as indicators.
        keys: columns by which the policy to be evaluated tells rounds apart, beside the position.

    Raises:
        UserError: naming file, row and column of what is missing or cannot be.
    """
    with (
        tempfile.TemporaryDirectory(prefix="longtail-log-") as folder,
        open_engine("duckdb", MEMORY_GB, None, Path(folder)) as engine,
        engine.explained(),
    ):
        scan = engine.scan(find(uri))
        columns = _roles(scan, uri, names or {})
        features = _matching(scan, uri, context)
        told_by = {key: columns.get(KEY_ROLES.get(key, ""), key) for key in keys}
        wanted = [name for name in told_by.values() if name not in scan.kinds]
        if wanted:
            raise UserError(
                f"{uri}: has no column {wanted[0]}, by which the policy tells rounds apart; add it, or take it out of the policy"
            )
        table = _selected(engine, scan, columns, features, told_by)
        faults = None if scan.faults is None else engine.collect(scan.faults)
    if faults is not None and faults.num_rows:
        first = faults.slice(0, 1).to_pylist()[0]
        raise UserError(f"{uri}: row {first['row']} is none ({first['reason']}: {first['content']}); mend the file")
    return _checked(uri, table, columns, features, keys)


def _roles(scan: Scan, uri: str, names: Mapping[str, str]) -> dict[str, str]:
    unknown = [role for role in names if role not in ROLES]
    if unknown:
        raise UserError(f"column {unknown[0]}={names[unknown[0]]}: {unknown[0]} is none of {', '.join(ROLES)}")
    absent = [f"{name} (for {role})" for role, name in names.items() if name not in scan.kinds]
    found = {role: next((name for name in ROLES[role] if name in scan.kinds), None) for role in ROLES} | dict(names)
    absent += [f"{' or '.join(ROLES[role])} (for {role})" for role in NEEDED if found[role] is None]
    if absent:
        raise UserError(
            f"{uri}: has no column {', '.join(absent)}; it has {', '.join(scan.kinds)}: rename it, or name it by --column"
        )
    return {role: name for role, name in found.items() if name is not None}


def _matching(scan: Scan, uri: str, patterns: Sequence[str]) -> list[str]:
    found: list[str] = []
    for pattern in patterns:
        more = [name for name in scan.kinds if fnmatchcase(name, pattern)]
        if not more:
            raise UserError(f"{uri}: no column is called {pattern}; it has {', '.join(scan.kinds)}")
        found += more
    return list(dict.fromkeys(found))


def _selected(
    engine: Engine, scan: Scan, columns: Mapping[str, str], features: Sequence[str], keys: Mapping[str, str]
) -> pa.Table:
    """Roles as numbers or ids, and texts of what may have to be shown; features as texts and numbers; sorted by row."""
    chosen = {}
    for role, name in columns.items():
        quoted = engine.quote(name)
        is_id = role in IDS
        chosen[role] = id_sql(quoted, scan.kinds[name]) if is_id else f"try_cast({quoted} as double)"
        if not is_id:
            chosen[f"{role} as written"] = f"cast({quoted} as string)"
    for number, name in enumerate(features):
        chosen[f"text {number}"] = f"cast({engine.quote(name)} as string)"
        chosen[f"number {number}"] = f"try_cast({engine.quote(name)} as double)"
    for key, name in keys.items():
        chosen[f"key {key}"] = id_sql(engine.quote(name), scan.kinds[name])
    return engine.collect(scan.select(chosen, rows=True)).sort_by(ROW)


def _checked(
    uri: str, table: pa.Table, columns: dict[str, str], features: Sequence[str], keys: Sequence[str]
) -> LogTable:
    if not table.num_rows:
        raise UserError(f"{uri}: has no rows; give a log with rows")
    rows = table[ROW].to_numpy()
    reward, propensity = (_number(uri, table, rows, role, columns[role]) for role in ("reward", "propensity"))
    for wrong, why in (
        (propensity <= 0, "must be above 0: what was shown can be shown"),
        (propensity > 1, "is above 1"),
    ):
        if wrong.any():
            _fault(uri, rows, wrong, columns["propensity"], propensity[int(wrong.argmax())], why)
    position = _number(uri, table, rows, "position", columns["position"]) if "position" in columns else None
    ids = {role: _ids(uri, table[role], rows, columns[role]) for role in IDS if role in columns}
    actions, action = np.unique(ids["action"], return_inverse=True)
    slate = np.unique(ids["slate"], return_inverse=True)[1] if "slate" in ids else None
    logged = Logged(
        action=action.reshape(-1).astype(np.int64),
        reward=reward,
        propensity=propensity,
        position=None if position is None else _whole(uri, rows, position, columns["position"]),
        context=_context(uri, table, rows, features) if features else None,
        user=np.unique(ids["user"], return_inverse=True)[1] if "user" in ids else None,
    )
    texts = {name: _ids(uri, table[f"key {name}"], rows, name) for name in keys}
    return LogTable(uri, logged, tuple(actions.tolist()), columns, texts, rows, slate)


def _number(uri: str, table: pa.Table, rows: NDArray[np.int64], role: str, name: str) -> NDArray[np.float64]:
    found: NDArray[np.float64] = table[role].to_numpy().astype(np.float64)
    wrong = ~np.isfinite(found)
    if wrong.any():
        written = table[f"{role} as written"][int(wrong.argmax())].as_py()
        _fault(uri, rows, wrong, name, written, "is not a number" if written else "is missing")
    return found


def _whole(uri: str, rows: NDArray[np.int64], values: NDArray[np.float64], name: str) -> NDArray[np.int64]:
    wrong = values != np.floor(values)
    if wrong.any():
        _fault(uri, rows, wrong, name, values[int(wrong.argmax())], "is not a whole number")
    return values.astype(np.int64)


def _ids(uri: str, column: pa.ChunkedArray, rows: NDArray[np.int64], name: str) -> NDArray[np.object_]:
    missing = pc.is_null(column).to_numpy()
    if missing.any():
        _fault(uri, rows, missing, name, None, "is missing")
    return np.asarray(column.to_pylist(), dtype=object)


def _fault(uri: str, rows: NDArray[np.int64], wrong: NDArray[np.bool_], name: str, value: object, why: str) -> None:
    more = f" (and {int(wrong.sum()) - 1} rows more)" if wrong.sum() > 1 else ""
    shown = "the value" if value in (None, "") else repr(value) if isinstance(value, str) else f"{value}"
    raise UserError(
        f"{uri}: row {rows[int(wrong.argmax())]}{more}, column {name}: {shown} {why}; mend it or leave the row out (rows count from 0)"
    )


def _context(uri: str, table: pa.Table, rows: NDArray[np.int64], features: Sequence[str]) -> NDArray[np.float64]:
    parts = []
    for number, name in enumerate(features):
        values: NDArray[np.float64] = table[f"number {number}"].to_numpy().astype(np.float64)
        texts = np.array([text or "" for text in table[f"text {number}"].to_pylist()])
        lacking = ~np.isfinite(values)
        if (lacking == (texts == "")).all() and not lacking.all():
            if lacking.any():
                _fault(uri, rows, lacking, name, None, "is missing")
            parts.append(values[:, None])
            continue
        found, counts = np.unique(texts, return_counts=True)  # what is missing is a value like others
        parts.append((texts[:, None] == found[counts >= RARE][None, :]).astype(np.float64))
    return np.concatenate(parts, axis=1)
