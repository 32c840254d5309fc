"""Users and lists of a hand-made shop."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from longtail.contracts.histories import Histories, Ragged


def everybody(users: dict[str, Sequence[str]], attributes: dict[str, list[str]] | None = None) -> Histories:
    """From each user's history, oldest first."""
    items = sorted({item for history in users.values() for item in history}) or ["a"]
    owners = [place for place, history in enumerate(users.values()) for _ in history]
    codes = [items.index(item) for history in users.values() for item in history]
    said = [(attributes or {}).get(user) for user in users]
    return Histories(
        user_ids=pa.array(users, pa.string()),
        items=Ragged.by_row(np.array(owners, np.int64), np.array(codes, np.int64), len(users)),
        item_ids=pa.array(items, pa.string()),
        attributes=pa.array(said, pa.list_(pa.string())),
        digest=repr((users, attributes)),
        source="the test",
    )


def rows(folder: Path, name: str) -> list[dict[str, Any]]:
    """Of a table of the artifact, in the order of its files."""
    found: list[dict[str, Any]] = []
    for file in sorted((folder / name).glob("*.parquet")):
        found += pq.read_table(file).to_pylist()
    return found


def given(folder: Path) -> dict[str, list[str]]:
    """Each user's items, in the order of their ranks."""
    lists: dict[str, list[str]] = {}
    for row in rows(folder, "recommendations"):
        lists.setdefault(row["user_id"], []).append(row["item_id"])
        assert row["rank"] == len(lists[row["user_id"]])
    return lists
