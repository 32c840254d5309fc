"""Tables that a campaign reads: everybody and their events, consent, who is not to be contacted, contacts."""

import tempfile
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import numpy as np
import pandas as pd

from longtail.contracts.attributes import column_of
from longtail.contracts.columns import Columns
from longtail.contracts.errors import UserError
from longtail.contracts.prepared import PreparedDataset
from longtail.tables.engines import open_engine
from longtail.tables.id_sql import id_columns
from longtail.tables.sources import find
from longtail.tables.time_sql import microseconds

MEMORY_GB = 4.0
Kind = Literal["id", "time", "number"]
CONTACT_TIME = "time"


@dataclass(frozen=True)
class Everybody:
    """users: user_id, ascending, and attributes as text; events: user_id, timestamp (int64 microseconds) and, where known, item_id and
    value; source: what messages call it."""

    users: pd.DataFrame
    events: pd.DataFrame
    source: str

    def moment(self, at: int | None = None) -> int:
        """``at``, or just after the last event, where it is None; microseconds.

        Raises:
            UserError: it is None, and there are no events.
        """
        if at is not None:
            return at
        if not len(self.events):
            raise UserError("the moment of the plan is unknown, for there are no events; give --at")
        return int(self.events[Columns.TIMESTAMP].max()) + 1


def of_prepared(prepared: PreparedDataset) -> Everybody:
    """Everybody of a Prepared data set, with all events. Its events hold no values."""
    ids = np.array(prepared.user_ids, dtype=object)
    items = np.array(prepared.item_ids, dtype=object)
    events = pd.DataFrame(
        {
            Columns.USER: ids[prepared.user_codes],
            Columns.TIMESTAMP: prepared.timestamps,
            Columns.ITEM: items[prepared.item_codes],
        }
    )
    users = pd.DataFrame({Columns.USER: ids})
    names = sorted({column_of(name) for row in prepared.user_attributes for name in row if "=" in name})
    values: dict[str, list[str]] = {name: [""] * len(ids) for name in names}
    for place, row in enumerate(prepared.user_attributes):
        for attribute in row:
            name, equals, value = attribute.partition("=")
            if equals:
                values[name][place] = value
    for name in names:
        users[name] = pd.Series(values[name], dtype=object)
    return Everybody(users.sort_values(Columns.USER, ignore_index=True), events, str(prepared.artifact.path))


def of_tables(interactions: str | None, users: str | None) -> Everybody:
    """Everybody of an interactions and a users table, one of which may be missing.

    Raises:
        UserError: neither is given, a table cannot be read, or has a row without user or time.
    """
    if interactions is None and users is None:
        raise UserError("nobody to contact: give --prepared, --interactions or --users")
    events = pd.DataFrame({Columns.USER: pd.Series(dtype=object), Columns.TIMESTAMP: pd.Series(dtype=np.int64)})
    if interactions is not None:
        needed: dict[str, Kind] = {Columns.USER: "id", Columns.TIMESTAMP: "time"}
        events = read_table(interactions, needed, {Columns.ITEM: "id", Columns.VALUE: "number"})
    people = pd.DataFrame({Columns.USER: events[Columns.USER].unique()})
    if users is not None:
        given = read_table(users, {Columns.USER: "id"}, others=True)
        if (twice := given[Columns.USER].duplicated()).any():
            user = given[Columns.USER][twice].iloc[0]
            raise UserError(f"{users}: user_id {user!r} is there twice; give one row a user")
        people = given.merge(people, on=Columns.USER, how="outer")
    source = " and ".join(uri for uri in (interactions, users) if uri is not None)
    return Everybody(people.sort_values(Columns.USER, ignore_index=True), events, source)


def read_table(
    uri: str, needed: Mapping[str, Kind], optional: Mapping[str, Kind] | None = None, others: bool = False
) -> pd.DataFrame:
    """Columns of a table: ids as canonical text, times as int64 microseconds, numbers as float64; others: every further column as text.

    Raises:
        UserError: naming file, column and row (from 0) of what is missing or cannot be read.
    """
    with (
        tempfile.TemporaryDirectory(prefix="longtail-campaign-") as folder,
        open_engine("duckdb", MEMORY_GB, None, Path(folder)) as engine,
    ):
        scan = engine.scan(find(uri))
        missing = [name for name in needed if name not in scan.kinds]
        if missing:
            raise UserError(f"{uri}: has no column {missing[0]} (it has {', '.join(scan.kinds)}); rename or add it")
        kinds = {**needed, **{name: kind for name, kind in (optional or {}).items() if name in scan.kinds}}
        ids = id_columns(scan, [name for name, kind in kinds.items() if kind == "id"], engine.quote, engine.collect)
        asked = {}
        for name, kind in kinds.items():
            quoted = engine.quote(name)
            of_kind = {"time": microseconds(quoted, scan.kinds[name]), "number": f"try_cast({quoted} as double)"}
            asked[name] = ids[name] if kind == "id" else of_kind[kind]
        if others:
            asked |= {name: f"cast({engine.quote(name)} as string)" for name in scan.kinds if name not in kinds}
        if scan.faults is not None and (faulty := engine.collect(scan.faults).num_rows):
            raise UserError(f"{uri}: {faulty} rows have another number of columns, or are no JSON objects; mend them")
        found: pd.DataFrame = engine.collect(scan.select(asked)).to_pandas()
    for name in needed:
        if (bad := found[name].isna()).any():
            row = int(np.flatnonzero(bad)[0])
            more = f" (and {int(bad.sum()) - 1} more rows)" if bad.sum() > 1 else ""
            raise UserError(
                f"{uri}: row {row}: {name} is missing or cannot be read{more}; give it, or take the row out"
            )
    return found.astype({name: np.int64 for name, kind in needed.items() if kind == "time"})


def check_known(uri: str, table: pd.DataFrame, users: pd.Index) -> None:
    """Refuse a table whose users are not those of the campaign: a typing error in ids would go unnoticed.

    Raises:
        UserError: naming a user who is not known.
    """
    unknown = ~table[Columns.USER].isin(users)
    if unknown.any():
        user, count = table.loc[unknown, Columns.USER].iloc[0], table.loc[unknown, Columns.USER].nunique()
        raise UserError(
            f"{uri}: {count} of its users are known to neither interactions nor users, such as {user!r}; give tables of the same "
            "users, or take these rows out"
        )
