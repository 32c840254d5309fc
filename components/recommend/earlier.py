"""What earlier lists and campaigns gave to each user, and is not given again."""

import os
from collections.abc import Iterator, Sequence
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq
from numpy.typing import NDArray

from longtail.contracts.artifacts import CAMPAIGN, LISTS, format_of, read_artifact
from longtail.contracts.campaign import CONTACT, ListColumns, PlanColumns
from longtail.contracts.errors import UserError
from longtail.contracts.folders import place_of
from longtail.contracts.histories import Ragged

ROWS = 1_000_000  # read at one time


def given_earlier(folders: Sequence[Path], user_ids: pa.Array, item_ids: pa.Array) -> Ragged:
    """Codes in ``item_ids`` of what each of ``user_ids`` was given; users and items that are not among these are passed over.

    folders: of ``check_earlier``.
    """
    users: list[NDArray[np.int32]] = [np.zeros(0, np.int32)]
    items: list[NDArray[np.int32]] = [np.zeros(0, np.int32)]
    for folder in folders:
        for table in _rows(folder):
            user, item = _codes(table.column(0), user_ids), _codes(table.column(1), item_ids)
            kept = (user >= 0) & (item >= 0)
            users.append(user[kept])
            items.append(item[kept])
    pairs = np.unique(np.concatenate(users).astype(np.int64) * max(len(item_ids), 1) + np.concatenate(items))
    return Ragged.by_row(pairs // max(len(item_ids), 1), pairs % max(len(item_ids), 1), len(user_ids))


def check_earlier(folder: str | os.PathLike[str]) -> Path:
    """The folder, where it holds lists or a campaign whose files are whole.

    Raises:
        UserError: it does not.
    """
    place = place_of(folder)
    found = format_of(place)
    if found is None or found.name not in (LISTS.name, CAMPAIGN.name):
        what = f"is a {found.name} artifact" if found else "is no artifact of longtail"
        raise UserError(f"not_repeated_from: {folder} {what}; name a folder that recommend-all or a campaign wrote")
    artifact = read_artifact(place, LISTS if found.name == LISTS.name else CAMPAIGN)
    if found.name == LISTS.name and artifact.facts.get("of") != "users":
        raise UserError(
            f"not_repeated_from: {folder} holds no lists of users, but of {artifact.facts.get('of')}; name lists"
        )
    return artifact.path


def _rows(folder: Path) -> Iterator[pa.Table]:
    """User and item of each that was given, in pieces of about ``ROWS``, as ids are looked up in one go."""
    pieces: list[pa.Table] = []
    for piece in _pieces(folder):
        pieces.append(piece)
        if sum(one.num_rows for one in pieces) >= ROWS:
            yield pa.concat_tables(pieces)
            pieces = []
    if pieces:
        yield pa.concat_tables(pieces)


def _pieces(path: Path) -> Iterator[pa.Table]:
    names = [ListColumns.USER, ListColumns.ITEM]
    if (path / "recommendations").is_dir():
        for file in sorted((path / "recommendations").glob("*.parquet")):
            yield pq.read_table(file, columns=names)
        return
    columns = [PlanColumns.USER, PlanColumns.ARM, PlanColumns.ITEMS]
    for batch in pq.ParquetFile(path / "campaign.parquet").iter_batches(ROWS, columns=columns):
        told = batch.filter(pc.equal(batch.column(PlanColumns.ARM), CONTACT))  # only these heard of their items
        lists = told.column(PlanColumns.ITEMS)
        users = told.column(PlanColumns.USER).take(pc.list_parent_indices(lists))
        yield pa.table([users, pc.list_flatten(lists)], names=names).cast(
            pa.schema([(name, pa.string()) for name in names])
        )


def _codes(found: pa.ChunkedArray, known: pa.Array) -> NDArray[np.int32]:
    codes: NDArray[np.int32] = pc.fill_null(pc.index_in(found, value_set=known), -1).to_numpy()
    return codes
