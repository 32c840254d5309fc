"""Whether the ids of the tables mean the same: loud warnings where they hardly do."""

import logging
from collections.abc import Mapping

import narwhals as nw

from longtail.components.preprocess.layouts import Reading
from longtail.components.preprocess.settings import Table
from longtail.contracts.columns import Columns
from longtail.contracts.ids import MISSING_WORDS
from longtail.tables.engine import Engine, Frame

logger = logging.getLogger(__name__)

ALMOST_NOTHING = 0.05  # of the smaller side
EXACT = 2.0**53  # whole numbers up to here are exact as floats
SHOWN = 3


def warn_of_ids(
    engine: Engine, readings: Mapping[Table, Reading], coded: Frame, user_codes: Frame, user_rows: Frame | None
) -> None:
    """Warn where the users table matches hardly any user of the interactions, and of ids that are probably none.

    coded: user_code and more of every row of the interactions; user_codes: user_code, user_id; user_rows: user_id.
    """
    for table, reading in readings.items():
        _warn_of_lost_digits(engine, table, reading)
    _warn_of_missing_words(engine, readings["interactions"], coded, user_codes)
    if user_rows is not None:
        seen = user_codes.join(coded.select(Columns.USER_CODE).unique(), on=Columns.USER_CODE, how="semi")
        _warn_of_strangers(engine, seen.select(Columns.USER), user_rows.select(Columns.USER), readings)


def _warn_of_strangers(engine: Engine, seen: Frame, listed: Frame, readings: Mapping[Table, Reading]) -> None:
    both = seen.join(listed, on=Columns.USER, how="semi")
    counts = [int(engine.collect(frame.select(n=nw.len())).to_pylist()[0]["n"]) for frame in (seen, listed, both)]
    if counts[2] >= ALMOST_NOTHING * min(counts[:2]) and counts[2]:
        return
    only_seen, only_listed = (
        _some(engine, one.join(other, on=Columns.USER, how="anti")) for one, other in ((seen, listed), (listed, seen))
    )
    logger.warning(
        "%s: ONLY %d OF ITS %d USERS occur in the interactions (%s), which have %d users: the interactions name users such as "
        "%s, the users table such as %s. If these should be the same people, give both tables the same ids; until then the "
        "attributes are of no use to those with a history",
        readings["users"].scan.source.uri,
        counts[2],
        counts[1],
        readings["interactions"].scan.source.uri,
        counts[0],
        only_seen,
        only_listed,
    )


def _some(engine: Engine, ids: Frame) -> str:
    return ", ".join(map(repr, engine.collect(ids.sort(Columns.USER).head(SHOWN))[Columns.USER].to_pylist())) or "none"


def _warn_of_missing_words(engine: Engine, reading: Reading, coded: Frame, user_codes: Frame) -> None:
    """A word for a missing value is an id here; as one it gathers the events of many people."""
    words = user_codes.filter(nw.col(Columns.USER).str.to_lowercase().is_in(list(MISSING_WORDS)))
    if not engine.collect(words.head(1)).num_rows:
        return
    counted = coded.group_by(Columns.USER_CODE).agg(n=nw.len()).join(words, on=Columns.USER_CODE, how="inner")
    for row in engine.collect(counted.sort("n", Columns.USER, descending=[True, False])).to_pylist():
        logger.warning(
            "%s: %d events belong to the user %r, which looks like a missing id written as text; leave the id empty, and the "
            "rows are rejected, or take them out",
            reading.scan.source.uri,
            row["n"],
            row[Columns.USER],
        )


def _warn_of_lost_digits(engine: Engine, table: Table, reading: Reading) -> None:
    for name, column in reading.float_ids.items():
        greatest = engine.collect(reading.scan.select({"x": f"max(abs({column}))"})).to_pylist()[0]["x"]
        if greatest is not None and EXACT <= greatest < float("inf"):
            logger.warning(
                "%s: the ids of column %s are stored as floating-point numbers up to %.0f, which lose digits above %.0f, so "
                "that different ids may have become one; write the column as whole numbers or as text",
                reading.scan.source.uri,
                name,
                greatest,
                EXACT,
            )
