"""The policy that is asked about, from a table: probabilities of items, or lists, whose item of a rank is shown at that position.

A table of probabilities has ``item_id`` and ``probability``; all its other columns tell rounds apart (position, user_id, ...), and the log
has them, too.
"""

import tempfile
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from longtail.contracts.errors import UserError
from longtail.metrics.off_policy_checks import SUM_TOLERANCE
from longtail.policies.logs import MEMORY_GB, LogTable
from longtail.policies.reward_model import MOST_NUMBERS
from longtail.tables.engine import ROW
from longtail.tables.engines import open_engine
from longtail.tables.id_sql import id_sql
from longtail.tables.sources import find

UNIFORM = "uniform"  # the policy that takes all items of the log alike
ITEM, PROBABILITY, RANK, USER, POSITION = "item_id", "probability", "rank", "user_id", "position"
LISTS = "recommendations"  # the folder of lists within what recommend-all writes


@dataclass(frozen=True)
class PolicyTable:
    """keys: column of the log -> texts; items, probability. ``[entries]`` each"""

    address: str
    keys: dict[str, list[str]]
    items: list[str]
    probability: NDArray[np.float64]
    is_lists: bool


@dataclass(frozen=True)
class Asked:
    """probabilities of the logged action ``[rounds]``, and of all ``[rounds, actions]`` where memory is meant to hold them."""

    actions: tuple[str, ...]
    of_logged: NDArray[np.float64]
    of_all: NDArray[np.float64] | None


def read_policy(uri: str) -> PolicyTable:
    """
    Raises:
        UserError: naming file, row and column of what is missing or no probability, or a key whose probabilities do not sum to one.
    """
    place = str(Path(uri) / LISTS) if (Path(uri) / LISTS).is_dir() else uri
    with (
        tempfile.TemporaryDirectory(prefix="longtail-policy-") as folder,
        open_engine("duckdb", MEMORY_GB, None, Path(folder)) as engine,
        engine.explained(),
    ):
        scan = engine.scan(find(place))
        number = next((name for name in (PROBABILITY, RANK) if name in scan.kinds), None)
        if ITEM not in scan.kinds or number is None:
            raise UserError(
                f"{uri}: has no column {ITEM if ITEM not in scan.kinds else f'{PROBABILITY} or {RANK}'}; it has {', '.join(scan.kinds)}"
            )
        is_lists = number == RANK
        keys = [USER] if is_lists else [name for name in scan.kinds if name not in (ITEM, PROBABILITY)]
        if is_lists and USER not in scan.kinds:
            raise UserError(f"{uri}: lists need the column {USER}; it has {', '.join(scan.kinds)}")
        chosen = {name: id_sql(engine.quote(name), scan.kinds[name]) for name in (ITEM, *keys)}
        chosen["number"] = f"try_cast({engine.quote(number)} as double)"
        table = engine.collect(scan.select(chosen, rows=True))
    return _policy(uri, table, keys, number, is_lists)


def _policy(uri: str, table: pa.Table, keys: Sequence[str], number: str, is_lists: bool) -> PolicyTable:
    if not table.num_rows:
        raise UserError(f"{uri}: has no rows; give the policy's probabilities or lists")
    values = table["number"].to_numpy().astype(np.float64)
    rows = table[ROW].to_numpy()
    wrong = ~np.isfinite(values) | (values < 0) | (values < 1 if is_lists else values > 1 + SUM_TOLERANCE)
    for name, faulty in [(number, wrong), *((name, pc.is_null(table[name]).to_numpy()) for name in (ITEM, *keys))]:
        if faulty.any():
            what = "rank from 1" if name == RANK else "probability" if name == PROBABILITY else "value"
            raise UserError(
                f"{uri}: row {rows[int(faulty.argmax())]}, column {name}: is no {what}; mend it (rows count from 0)"
            )
    texts = {name: table[name].to_pylist() for name in keys}
    if is_lists:
        texts[POSITION] = [str(int(value)) for value in values]
        values = np.ones(len(values))
    found = PolicyTable(uri, texts, table[ITEM].to_pylist(), values, is_lists)
    _check_sums(found)
    return found


def _check_sums(policy: PolicyTable) -> None:
    entries = list(zip(*policy.keys.values(), policy.items)) if policy.keys else [(item,) for item in policy.items]
    if len(set(entries)) < len(entries):
        seen: set[tuple[str, ...]] = set()
        twice = next(entry for entry in entries if entry in seen or seen.add(entry))  # type: ignore[func-returns-value]
        raise UserError(f"{policy.address}: {', '.join(twice)} is there twice; keep one row of it")
    sums: dict[tuple[str, ...], float] = {}
    for entry, probability in zip(entries, policy.probability.tolist()):
        sums[entry[:-1]] = sums.get(entry[:-1], 0.0) + probability
    for key, total in sums.items():
        if abs(total - 1) > SUM_TOLERANCE:
            told = ", ".join(f"{name} {value}" for name, value in zip(policy.keys, key)) or "all rounds"
            what = "several items have one rank" if policy.is_lists else f"probabilities sum to {total:.6g}, not to 1"
            raise UserError(f"{policy.address}: for {told} {what}; mend them")


def uniform(log: LogTable) -> Asked:
    """All items that the log took, alike."""
    n_rounds, n_actions = len(log.logged), len(log.actions)
    fits = n_rounds * n_actions <= MOST_NUMBERS
    share = 1 / n_actions
    return Asked(log.actions, np.full(n_rounds, share), np.full((n_rounds, n_actions), share) if fits else None)


def asked_of(policy: PolicyTable, log: LogTable) -> tuple[Asked, LogTable]:
    """The policy's probabilities in the rounds of the log; and the log, with codes among the actions of both.

    Raises:
        UserError: the policy says nothing of a round, or none of its items is one of the log's.
    """
    names = list(policy.keys)
    if lacking := [name for name in names if name not in log.keys]:
        raise UserError(
            f"{log.address}: has no {lacking[0]}, by which {policy.address} tells rounds apart; add it, or take it out of the policy"
        )
    actions = tuple(sorted({*log.actions, *policy.items}))
    place = {action: code for code, action in enumerate(actions)}
    if not set(log.actions) & set(policy.items):
        raise UserError(
            f"{policy.address}: none of its items ({policy.items[0]!r}, ...) is one of the log's ({log.actions[0]!r}, ...); give the same ids"
        )
    recoded = _recoded(log, actions)
    key_of: dict[tuple[str, ...], int] = {}
    entry_key = np.array([key_of.setdefault(key, len(key_of)) for key in _tuples(policy.keys, len(policy.items))])
    round_keys = _tuples({name: log.keys[name].tolist() for name in names}, len(log.logged))
    round_key = np.array([key_of.get(key, -1) for key in round_keys])
    if (round_key < 0).any():
        row = int((round_key < 0).argmax())
        told = ", ".join(f"{name} {value}" for name, value in zip(names, round_keys[row]))
        raise UserError(
            f"{policy.address}: says nothing of {told} (row {log.rows[row]} of the log, and {int((round_key < 0).sum()) - 1} more); "
            "add its probabilities, or leave these rounds out of the log"
        )
    entry_action = np.array([place[item] for item in policy.items])
    order = np.argsort(code := entry_key * len(actions) + entry_action)
    wanted = round_key * len(actions) + recoded.logged.action
    found = np.minimum(np.searchsorted(code[order], wanted), len(code) - 1)
    of_logged = np.where(code[order][found] == wanted, policy.probability[order][found], 0.0)
    if max(len(log.logged), len(key_of)) * len(actions) > MOST_NUMBERS:
        return Asked(actions, of_logged, None), recoded
    whole = np.zeros((len(key_of), len(actions)))
    whole[entry_key, entry_action] = policy.probability
    return Asked(actions, of_logged, whole[round_key]), recoded


def _tuples(keys: dict[str, list[str]], count: int) -> list[tuple[str, ...]]:
    return list(zip(*keys.values())) if keys else [()] * count


def _recoded(log: LogTable, actions: tuple[str, ...]) -> LogTable:
    place = {action: code for code, action in enumerate(actions)}
    code = np.array([place[action] for action in log.actions], dtype=np.int64)
    return replace(log, actions=actions, logged=replace(log.logged, action=code[log.logged.action]))
