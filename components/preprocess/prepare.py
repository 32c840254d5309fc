"""Raw tables -> the Prepared data set."""

import logging
import os
import tempfile
import time
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

import narwhals as nw
import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from longtail.components.preprocess import catalogue, contexts, events, images, matching, profiles, ties, times
from longtail.components.preprocess.column_sql import LIST
from longtail.components.preprocess.exposures import write_exposures
from longtail.components.preprocess.layouts import Reading, check_effects, check_mapping, check_settings, open_table
from longtail.components.preprocess.rejection import Rejection
from longtail.components.preprocess.settings import PreprocessSettings, Table
from longtail.contracts.artifacts import PREPARED, check_place, write_artifact
from longtail.contracts.columns import Columns
from longtail.contracts.errors import UserError
from longtail.contracts.folders import place_of
from longtail.contracts.prepared import Split
from longtail.contracts.segments import SegmentRule
from longtail.tables.engine import Engine, Frame
from longtail.tables.engines import open_engine
from longtail.tables.time_sql import SECOND

logger = logging.getLogger(__name__)

PROTOCOLS = {"leave_last_out": "leave_last_out (strict)", "global_time": "global_time", "given": "given"}
FEW_EVENTS = 1000  # fewer may leave a split empty by chance; of so many it is a fault of settings or data
REMEDIES = {  # where a split stays empty
    "leave_last_out": "each user needs three events to leave one for training, so give users with more events",
    "global_time": "the times are too few or too alike; raise the shares or take split: leave_last_out",
    "given": "the column split must hold train, validation and test",
}


def prepare(
    interactions: str | None,
    items: str,
    users: str | None,
    output: str | os.PathLike[str],
    settings: PreprocessSettings,
) -> None:
    """Write the Prepared data set (contracts/prepared.py) of the given tables to the folder ``output``.

    interactions: None for a shop that has none yet; few or none may leave splits empty, which later stages then say.

    Raises:
        UserError: naming the file, column, row or key that cannot be used, and the remedy; nothing is written then.
    """
    check_place(output, PREPARED)
    target = place_of(output)
    target.parent.mkdir(parents=True, exist_ok=True)
    check_settings(settings)
    if interactions is None and settings.context:
        raise UserError(f"context is {list(settings.context)}, but there are no interactions; take it out")
    with (
        tempfile.TemporaryDirectory(prefix=f".{target.name}.work-", dir=target.parent) as scratch,
        open_engine(settings.engine, settings.memory_limit_gb, settings.spark_remote, Path(scratch)) as engine,
    ):
        events_uri = no_events(Path(scratch), settings) if interactions is None else interactions
        _prepare(engine, events_uri, items, users, target, settings)


def no_events(folder: Path, settings: PreprocessSettings) -> str:
    """A table of interactions without rows. ``folder`` holds nothing else of that name."""
    path = folder / "no-interactions.parquet"
    ids = {settings.columns.get(name, name): pa.array([], pa.string()) for name in (Columns.USER, Columns.ITEM)}
    time = {settings.columns.get(Columns.TIMESTAMP, Columns.TIMESTAMP): pa.array([], pa.int64())}
    split = {settings.columns.get(Columns.SPLIT, Columns.SPLIT): pa.array([], pa.string())}
    pq.write_table(pa.table(ids | time | (split if settings.split == "given" else {})), path)
    return str(path)


def _prepare(
    engine: Engine, interactions: str, items: str, users: str | None, target: Path, settings: PreprocessSettings
) -> None:
    latest = int((time.time() if settings.latest_timestamp is None else settings.latest_timestamp) * SECOND)
    seed = settings.tie_seed
    rejection = Rejection(engine, settings)

    readings = _readings(engine, {"items": items, "users": users, "interactions": interactions}, settings)
    item_rows, numeric = catalogue.read_items(engine, readings["items"])
    item_rows = rejection.of_ids(readings["items"], item_rows, "items", Columns.ITEM)
    item_codes = with_codes(engine, item_rows.select(Columns.ITEM), Columns.ITEM_CODE, ties.ITEM_SALT, seed)
    pictures = images.read_images(engine, readings["items"], item_rows, item_codes)

    raw = readings["interactions"].scan.select(readings["interactions"].columns, rows=settings.ties == "file")
    user_ids = raw.select(Columns.USER).filter(~nw.col(Columns.USER).is_null()).unique()
    people = _people(engine, readings, rejection)
    user_rows = None if people is None else people.rows
    if user_rows is not None:
        user_ids = nw.concat([user_ids, user_rows.select(Columns.USER)]).unique()
    user_codes = with_codes(engine, user_ids, Columns.USER_CODE, ties.USER_SALT, seed)
    check = partial(events.check, item_codes=item_codes, settings=settings, latest=latest)
    coded = engine.keep(events.code(check(raw), user_codes, settings))
    rows = rejection.of_events(readings["interactions"], coded, check)
    matching.warn_of_ids(engine, readings, coded, user_codes, user_rows)
    placed, cuts, rare = _place(engine, coded, settings)
    _refuse_what_tells(engine, placed, item_codes, interactions, settings)
    usable = rows - sum(rejection.of_interactions.values())
    parts = _by_split(engine, placed, interactions, settings, rejection.lost(rare))
    kept = sum(part["n"] for part in parts.values())
    facts: dict[str, Any] = _rules(settings, cuts, _history_lengths(engine, placed)) | {
        "counts": {split.name.lower(): part["n"] for split, part in parts.items()}
        | {
            "rows": rows,
            "events": kept,
            "merged_repeats": usable - rare - kept,
            "events_of_rare_items": rare,
            "users": _count(engine, user_codes),
            "items": _count(engine, item_codes),
        },
        "rejected": rejection.counts,
        "numeric_names": numeric,
        "images": pictures.facts,
        "user_attributes": _vocabulary(engine, user_rows, Columns.ATTRIBUTES),
        "context": _vocabulary(engine, placed, Columns.CONTEXT),
        "left_out_user_attributes": {} if people is None else people.left_out,
        "items_without_text": _without_text(engine, item_rows, items),
        "repeats": settings.repeats,
        "settings": settings.model_dump(mode="json"),
        **_order(engine, placed, parts, interactions, settings),
    }
    train = placed.filter(nw.col(Columns.SPLIT) == int(Split.TRAIN))
    train_counts = train.group_by(Columns.ITEM_CODE).agg(train_count=nw.len())
    item_table = catalogue.item_table(engine, item_codes, item_rows, train_counts, numeric)
    with write_artifact(target, PREPARED, facts) as folder:
        engine.write(item_table, folder / "items.parquet", [Columns.ITEM_CODE])
        engine.write(profiles.user_table(user_codes, people), folder / "users.parquet", [Columns.USER_CODE])
        engine.write(events.table(placed), folder / "events.parquet", [Columns.USER_CODE, Columns.POSITION])
        rejection.write(folder / "rejected.parquet")
        pictures.put_into(folder)
        facts["exposures"] = write_exposures(engine, folder, item_codes, train_counts, settings)


def _readings(engine: Engine, tables: dict[Table, str | None], settings: PreprocessSettings) -> dict[Table, Reading]:
    """The tables opened, in the order given: the large one comes last, so that a fault of the others is told soon."""
    readings = {name: open_table(engine, uri, name, settings) for name, uri in tables.items() if uri is not None}
    check_mapping(readings, settings)
    check_effects(readings, settings)
    return readings


def _rules(
    settings: PreprocessSettings, cuts: list[float] | None, lengths: "np.ndarray[Any, np.dtype[np.int64]]"
) -> dict[str, Any]:
    """Facts on how events are split and users are divided. lengths: of the test users' histories."""
    rule = SegmentRule.from_quantiles(lengths) if settings.segments == "quantile" else SegmentRule()
    times = {} if cuts is None else {"validation_from": int(cuts[0]), "test_from": int(cuts[1])}
    return {
        "protocol": PROTOCOLS[settings.split],
        "split": {"rule": settings.split} | times,
        "segment_rule": {"tail_max": rule.tail_max, "torso_max": rule.torso_max},
    }


def _without_text(engine: Engine, item_rows: Frame, uri: str) -> int:
    """How many items have no text, said loudly."""
    count = catalogue.count_without_text(engine, item_rows)
    if count:
        logger.warning("%s: %d items have neither title, attributes nor description", uri, count)
    return count


def _place(engine: Engine, coded: Frame, settings: PreprocessSettings) -> tuple[Frame, list[float] | None, int]:
    """Events with position and split, the cut-offs of global_time, and the number of events that rare items lost."""
    merged = events.merge(coded, settings)
    rare = 0
    if settings.min_item_count:
        merged = engine.keep(merged)
        frequent = engine.keep(events.drop_rare(merged, settings.min_item_count))
        rare = _count(engine, merged) - _count(engine, frequent)
        merged = frequent
    cuts: list[float] | None = None
    if settings.split == "global_time":
        merged = engine.keep(merged)
        shares = [1 - settings.test_share - settings.validation_share, 1 - settings.test_share]
        cuts = [0.0, 0.0]
        if _count(engine, merged):
            cuts = engine.percentiles(merged, Columns.TIMESTAMP, [round(share, 9) for share in shares])
    return engine.keep(events.split(merged, settings, cuts)), cuts, rare


def _order(
    engine: Engine, placed: Frame, parts: dict[Split, dict[str, int]], uri: str, settings: PreprocessSettings
) -> dict[str, Any]:
    """Facts ``times`` and ``ties``; what is doubtful is warned about. parts: see ``_by_split``."""
    tied_users = placed.filter(nw.col(Columns.TIED)).select(Columns.USER_CODE).unique()
    tie_facts = ties.facts(parts, _count(engine, tied_users), settings)
    column = settings.columns.get(Columns.TIMESTAMP, Columns.TIMESTAMP)
    time_facts = times.facts([part for part in parts.values() if part["n"]], f"{uri}: column {column!r}")
    if time_facts["first"] is not None:
        logger.info(
            "%s: times from %s to %s, finest unit: %s; %d events have another of their user at the same time",
            uri,
            times.shown(time_facts["first"]),
            times.shown(time_facts["last"]),
            time_facts["resolution"],
            tie_facts["events"],
        )
    doubts = [*time_facts["warnings"], ties.doubt(tie_facts, time_facts["resolution"], uri, settings)]
    for doubt in doubts:
        if doubt:
            logger.warning(doubt)
    return {"times": time_facts, "ties": tie_facts}


def with_codes(engine: Engine, ids: Frame, code: str, salt: str, seed: int) -> Frame:
    """``code``, an int32 rank in sorted order, and ``salt``, a hash, beside every id."""
    (name,) = ids.collect_schema().names()
    ranked = ids.with_row_index(code, order_by=name).select(nw.col(code).cast(nw.Int32()), name)
    return engine.keep(engine.hashed(ranked, name, seed, salt))


def _count(engine: Engine, frame: Frame) -> int:
    return int(engine.collect(frame.select(n=nw.len())).to_pylist()[0]["n"])


def _by_split(
    engine: Engine, placed: Frame, uri: str, settings: PreprocessSettings, lost: str
) -> dict[Split, dict[str, int]]:
    """Of every split the number of events ``n``, those ``tied``, and what ``times.counts`` counts.

    Raises:
        UserError: a split is empty that should not be, as there are events enough for all.
    """
    tied = nw.col(Columns.TIED).cast(nw.Int64()).sum()
    grouped = placed.group_by(Columns.SPLIT).agg(n=nw.len(), tied=tied, **times.counts())
    rows = {row[Columns.SPLIT]: row for row in engine.collect(grouped).to_pylist()}
    events = sum(row["n"] for row in rows.values())
    empty = [split.name.lower() for split in Split if split not in rows]
    if empty:
        what = f"{uri}: no event is left for {', '.join(empty)}{lost}"
        by_choice = bool(lost) and (settings.min_rating is not None or settings.min_item_count > 0)
        if events >= FEW_EVENTS or by_choice or (events and settings.split == "given"):
            raise UserError(f"{what}; {REMEDIES[settings.split]}")
        if events:
            logger.warning(
                "%s, of %d: what they would teach or judge is missing, and the Decision says so", what, events
            )
        else:
            logger.warning("there are no interactions: the model rests on the items' texts, and nothing can be judged")
    nothing = dict.fromkeys(("n", "tied", *times.counts()), 0)
    return {split: {name: int(value) for name, value in rows.get(split, nothing).items()} for split in Split}


def _history_lengths(engine: Engine, placed: Frame) -> "np.ndarray[Any, np.dtype[np.int64]]":
    """Length of the history of every user with a test event. ``[users]``"""
    test = nw.col(Columns.SPLIT) == int(Split.TEST)
    users = placed.group_by(Columns.USER_CODE).agg(
        tests=test.cast(nw.Int64()).sum(), length=(~test).cast(nw.Int64()).sum()
    )
    histogram = engine.collect(users.filter(nw.col("tests") > 0).group_by("length").agg(n=nw.len()))
    table = histogram.select(["length", "n"]).cast(pa.schema([("length", pa.int64()), ("n", pa.int64())]))
    return np.repeat(table["length"].to_numpy(), table["n"].to_numpy())


def _vocabulary(engine: Engine, rows: Frame | None, column: str) -> list[str]:
    """Everything that a column of lists, each joined by ``LIST``, holds."""
    if rows is None:
        return []
    lists = rows.select(column).filter(~nw.col(column).is_null()).unique()
    return sorted({value for joined in engine.collect(lists)[column].to_pylist() for value in joined.split(LIST)})


def _people(engine: Engine, readings: dict[Table, Reading], rejection: Rejection) -> profiles.Profiles | None:
    if "users" not in readings:
        return None
    people = profiles.read_users(engine, readings["users"])
    return replace(people, rows=rejection.of_ids(readings["users"], people.rows, "users", Columns.USER))


def _refuse_what_tells(
    engine: Engine, placed: Frame, item_codes: Frame, uri: str, settings: PreprocessSettings
) -> None:
    """Refuse an order, a given split or a context that tells of what is to be predicted."""
    contexts.refuse_values(engine, placed, uri, settings)
    if settings.ties == "file":
        ties.refuse_order_of_items(engine, placed, item_codes, uri)
    if settings.split == "given" and (count := _count(engine, events.earlier_than_higher(placed))):
        raise UserError(
            f"{uri}: {count} events come later than an event of their user that the column split holds back (validation "
            "or test), so they would tell of it; mend the column, or take split: global_time"
        )
