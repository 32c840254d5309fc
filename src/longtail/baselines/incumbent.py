"""The lists that a team's own system gives its users today, as a system of the evaluation.

A table of user_id, item_id and rank (1 is best) or score (greatest is best). What of it cannot be compared is left out and counted.
"""

import tempfile
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from longtail.contracts.errors import UserError
from longtail.contracts.prepared import PreparedDataset, Split
from longtail.scoring.query import Query
from longtail.tables.engines import open_engine
from longtail.tables.id_sql import id_sql
from longtail.tables.sources import find

USER, ITEM, RANK, SCORE = "user_id", "item_id", "rank", "score"
MEMORY_GB = 2.0
REACHED_BY = 0.9  # share of the lists that reach the length at which they are judged


@dataclass(frozen=True)
class Incumbent:
    """Scores what its lists hold by their order, and nothing else: -inf ranks behind the catalogue.

    users, items, places [entries]: sorted by user and place; entries of equal rank or score share a place.
    """

    address: str
    n_items: int
    users: NDArray[np.int64]
    items: NDArray[np.int64]
    places: NDArray[np.int64]
    listed: NDArray[np.bool_]  # [users of the data]: has a list
    reach: int  # items that nearly every list holds; deeper it cannot be judged
    validation_hits: NDArray[np.bool_]  # [users of the data]: the list as given holds the validation target
    counts: dict[str, int] = field(default_factory=dict)  # what was found in the table -> how often

    def score(self, queries: Sequence[Query]) -> NDArray[np.float32]:
        scores = np.full((len(queries), self.n_items), -np.inf, dtype=np.float32)
        for row, query in enumerate(queries):
            assert query.user is not None  # a test user
            begin, end = np.searchsorted(self.users, [query.user, query.user + 1])
            scores[row, self.items[begin:end]] = -self.places[begin:end]
        return scores


def read_incumbent(uri: str, data: PreparedDataset) -> Incumbent:
    """The lists behind a file, folder or address.

    Raises:
        UserError: a column is missing, nothing in it can be read, or no user or no item of it is among the data's.
    """
    table, by_rank, faults = _read(uri)
    counts = {"rows that cannot be read": faults, "rows": table.num_rows}
    usable = pc.and_(pc.is_valid(table[USER]), pc.and_(pc.is_valid(table[ITEM]), pc.is_finite(table["place"])))
    table = table.filter(pc.fill_null(usable, False))
    counts["rows without user, item, or number"] = counts["rows"] - table.num_rows
    users = _codes(table[USER], data.user_ids, uri, USER)
    items = _codes(table[ITEM], data.item_ids, uri, ITEM)
    counts["rows for users that the data does not hold"] = int((users < 0).sum())
    counts["rows with items that the data does not hold"] = int(((users >= 0) & (items < 0)).sum())
    place = table["place"].to_numpy()
    known = users >= 0
    counts |= _order_faults(users[known], place[known]) if by_rank else {}
    rows = np.flatnonzero(known & (items >= 0))
    rows = rows[np.lexsort((items[rows], place[rows], users[rows]))]
    users, items, place = users[rows], items[rows], place[rows]
    keys = users * len(data.item_ids) + items
    first = np.zeros(len(keys), dtype=bool)
    first[np.unique(keys, return_index=True)[1]] = True  # the best place of an item that is listed twice
    counts["items listed twice for a user"] = int((~first).sum())
    users, items, place, keys = users[first], items[first], place[first], keys[first]
    in_history = np.isin(keys, _event_keys(data, Split.VALIDATION, below=True))
    counts["items of the user's history"] = int(in_history.sum())
    hits = np.zeros(len(data.user_ids), dtype=bool)
    hits[users[np.isin(keys, _event_keys(data, Split.VALIDATION))]] = True
    if data.exclude_history:
        users, items, place = users[~in_history], items[~in_history], place[~in_history]
    lengths = np.bincount(users, minlength=len(data.user_ids))
    listed = lengths > 0
    if not listed.any():
        raise UserError(f"{uri}: after items of the users' own histories were left out, no list holds anything")
    reach = int(np.quantile(lengths[listed], 1 - REACHED_BY, method="lower"))
    return Incumbent(uri, len(data.item_ids), users, items, _dense(users, place), listed, reach, hits, counts)


def _read(uri: str) -> tuple[pa.Table, bool, int]:
    """user_id, item_id as text and ``place``, a number that is the smaller the better; whether it comes from ranks; and how many
    rows of the file are none."""
    with (
        tempfile.TemporaryDirectory(prefix="longtail-incumbent-") as folder,
        open_engine("duckdb", MEMORY_GB, None, Path(folder)) as engine,
        engine.explained(),
    ):
        scan = engine.scan(find(uri))
        missing = [name for name in (USER, ITEM) if name not in scan.kinds]
        order = next((name for name in (RANK, SCORE) if name in scan.kinds), None)
        if missing or order is None:
            wanted = ", ".join([*missing, *([] if order else [f"{RANK} or {SCORE}"])])
            raise UserError(f"{uri}: has no column {wanted} (it has {', '.join(scan.kinds)}); rename or add it")
        sign = "" if order == RANK else "-"
        columns = {name: id_sql(engine.quote(name), scan.kinds[name]) for name in (USER, ITEM)}
        columns["place"] = f"{sign}try_cast({engine.quote(order)} as double)"
        faults = 0 if scan.faults is None else engine.collect(scan.faults).num_rows
        return engine.collect(scan.select(columns)), order == RANK, faults


def _codes(found: pa.ChunkedArray, known: Sequence[str], uri: str, column: str) -> NDArray[np.int64]:
    """Place of each id in ``known``, -1 where it is not there. ``[rows]``"""
    codes: NDArray[np.int64] = (
        pc.fill_null(pc.index_in(found, value_set=pa.array(known)), -1).to_numpy().astype(np.int64)
    )
    if not (codes >= 0).any():
        theirs = ", ".join(map(repr, found.slice(0, 3).to_pylist())) or "nothing"
        ours = ", ".join(map(repr, known[:3]))
        raise UserError(
            f"{uri}: no {column} of it is one of the data's (it has {theirs}; the data has {ours}); export the same ids"
        )
    return codes


def _order_faults(users: NDArray[np.int64], ranks: NDArray[np.float64]) -> dict[str, int]:
    """How many users' ranks have gaps (a list may have lost items), and how many give one rank to several items."""
    order = np.lexsort((ranks, users))
    users, ranks = users[order], ranks[order]
    step = np.diff(ranks)[users[1:] == users[:-1]]
    owner = users[1:][users[1:] == users[:-1]]
    starts = np.concatenate([[True], users[1:] != users[:-1]])
    gap = np.concatenate([owner[step > 1], users[starts & (ranks > 1)]])
    return {
        "users whose ranks have gaps": len(np.unique(gap)),
        "users with one rank for several items": len(np.unique(owner[step == 0])),
    }


def _event_keys(data: PreparedDataset, split: Split, below: bool = False) -> NDArray[np.int64]:
    """user * items + item of the events of a split, and of lower ones too."""
    rows = data.splits <= split if below else data.splits == split
    return data.user_codes[rows].astype(np.int64) * len(data.item_ids) + data.item_codes[rows]


def _dense(users: NDArray[np.int64], place: NDArray[np.float64]) -> NDArray[np.int64]:
    """0, 1, 2, … within each user; equal places stay equal. Sorted by user and place."""
    new_user = np.concatenate([[True], users[1:] != users[:-1]])
    higher = np.concatenate([[True], place[1:] != place[:-1]]) | new_user
    count = np.cumsum(higher)
    return count - np.maximum.accumulate(np.where(new_user, count, 0))
