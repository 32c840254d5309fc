"""Everybody's history up to now, for a bundle: read and filtered as in training, without a split."""

import tempfile
from collections.abc import Sequence
from functools import partial
from pathlib import Path

import narwhals as nw
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from longtail.components.preprocess import events, profiles, ties
from longtail.components.preprocess.column_sql import LIST
from longtail.components.preprocess.fingerprint import fingerprint
from longtail.components.preprocess.layouts import OURS, check_settings, open_table
from longtail.components.preprocess.prepare import no_events, with_codes
from longtail.components.preprocess.rejection import Rejection
from longtail.components.preprocess.settings import PreprocessSettings
from longtail.contracts.columns import Columns
from longtail.contracts.histories import Histories, Ragged
from longtail.tables.engine import Engine, Frame
from longtail.tables.engines import open_engine
from longtail.tables.time_sql import SECOND


def read_histories(
    interactions: str | None, users: str | None, item_ids: Sequence[str], settings: PreprocessSettings, now: float
) -> Histories:
    """Of every user of both tables. item_ids: of the catalogue; now: seconds since 1970, later events are rejected.

    Attributes are those of the users table, as a client of the server would give them.

    Raises:
        UserError: as preprocess does; ``settings.max_rejected_share`` limits the share of events of other items, too.
    """
    known = {name for table in ("interactions", "users") for name in OURS[table]} - {Columns.SPLIT}
    given = {"interactions": interactions, "users": users}
    here = settings.model_copy(
        update={
            "columns": {ours: theirs for ours, theirs in settings.columns.items() if ours in known},
            "header": {name: header for name, header in settings.header.items() if given.get(name) is not None},
            "split": "global_time" if settings.split == "given" else settings.split,  # nothing is split
            "context": (),
            "trusted_context": (),
            "engine": "duckdb",
            "spark_remote": None,
        }
    )
    check_settings(here)
    with (
        tempfile.TemporaryDirectory(prefix="longtail-histories-") as scratch,
        open_engine("duckdb", here.memory_limit_gb, None, Path(scratch)) as engine,
    ):
        latest = now if here.latest_timestamp is None else here.latest_timestamp
        return _read(engine, interactions, users, item_ids, here, int(latest * SECOND))


def _read(
    engine: Engine,
    interactions: str | None,
    users: str | None,
    item_ids: Sequence[str],
    settings: PreprocessSettings,
    latest: int,
) -> Histories:
    rejection, seed = Rejection(engine, settings), settings.tie_seed
    people = None
    if users is not None:
        reading = open_table(engine, users, "users", settings)
        people = rejection.of_ids(reading, profiles.as_said(engine, reading), "users", Columns.USER)
    log = open_table(engine, interactions or no_events(engine.folder, settings), "interactions", settings)
    raw = log.scan.select(log.columns, rows=settings.ties == "file")
    ids = raw.select(Columns.USER).filter(~nw.col(Columns.USER).is_null()).unique()
    if people is not None:
        ids = nw.concat([ids, people.select(Columns.USER)]).unique()
    user_codes = with_codes(engine, ids, Columns.USER_CODE, ties.USER_SALT, seed)
    catalogue = _catalogue(engine, item_ids, rejection)
    item_codes = with_codes(engine, catalogue, Columns.ITEM_CODE, ties.ITEM_SALT, seed)
    check = partial(events.check, item_codes=item_codes, settings=settings, latest=latest)
    coded = engine.keep(events.code(check(raw), user_codes, settings))
    rejection.of_events(log, coded, check)
    placed = events.merge(coded, settings).sort(Columns.USER_CODE, Columns.TIMESTAMP, ties.TIE)
    found = engine.collect(placed.select(Columns.USER_CODE, Columns.ITEM_CODE))
    named = engine.collect(user_codes.sort(Columns.USER_CODE).select(Columns.USER))[Columns.USER].combine_chunks()
    items = engine.collect(item_codes.sort(Columns.ITEM_CODE).select(Columns.ITEM))[Columns.ITEM]
    given = [uri for uri in (interactions, users) if uri is not None]
    return Histories(
        user_ids=named.cast(pa.string()),
        items=Ragged.by_row(found[Columns.USER_CODE].to_numpy(), found[Columns.ITEM_CODE].to_numpy(), len(named)),
        item_ids=items.combine_chunks().cast(pa.string()),
        attributes=_attributes(engine, people, named),
        digest=f"{fingerprint(given)} {settings.canonical()}",
        source=" and ".join(given),
        left_out=rejection.counts,
    )


def _catalogue(engine: Engine, item_ids: Sequence[str], rejection: Rejection) -> Frame:
    """The ids, as a table that rejections name examples of."""
    path = engine.folder / "items.parquet"
    pq.write_table(pa.table({Columns.ITEM: pa.array(item_ids, pa.string())}), path)
    reading = open_table(engine, str(path), "items", PreprocessSettings())
    return rejection.of_ids(reading, reading.scan.select(reading.columns), "items", Columns.ITEM).select(Columns.ITEM)


def _attributes(engine: Engine, people: Frame | None, user_ids: pa.Array) -> pa.Array:
    """Lists of ``name=value`` of each user; empty for those whom the table does not list."""
    lists = pa.list_(pa.string())
    if people is None:
        return pa.nulls(len(user_ids), lists)
    table = engine.collect(people.select(Columns.USER, nw.col(Columns.ATTRIBUTES).str.split(LIST)))
    rows = pc.index_in(user_ids, value_set=table[Columns.USER].combine_chunks())
    found = table[Columns.ATTRIBUTES].combine_chunks().cast(lists).take(rows)
    assert isinstance(found, pa.Array)
    return found
