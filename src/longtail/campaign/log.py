"""Reading a log of contacts that were drawn at random, whatever file it comes as."""

import logging
import tempfile
from pathlib import Path

import numpy as np
import pandas as pd

from longtail.contracts.campaign import NOBODY, LogColumns
from longtail.contracts.errors import UserError
from longtail.tables.engine import ROW, Scan
from longtail.tables.engines import open_engine
from longtail.tables.id_sql import id_columns
from longtail.tables.sources import find
from longtail.tables.time_sql import microseconds

MEMORY_GB = 4.0
IDS = (LogColumns.USER, LogColumns.TREATMENT)
NEEDED = (*IDS, LogColumns.TIME, LogColumns.OUTCOME)
NUMBERS = (LogColumns.OUTCOME, LogColumns.VALUE, LogColumns.COST, LogColumns.PROPENSITY)
TIMES = (LogColumns.TIME, LogColumns.OUTCOME_TIME)
OF_THE_LOG = (*IDS, *TIMES, *NUMBERS)

log = logging.getLogger(__name__)


def read_log(uri: str, control: str = NOBODY) -> pd.DataFrame:
    """One row a user: the columns of ``LogColumns`` that the file holds, ids and treatments as canonical text, times as int64
    microseconds, numbers as float64; then every other column, which are features: numbers, or text where one is no number.

    A missing value or cost is 0 where there was no outcome, or no contact. Lists and times among the features are left out, and said.

    Raises:
        UserError: naming file, row (from 0) and column, and the remedy: a column is missing; a row without user, treatment, time or
            outcome; a user twice; an arm empty; an outcome before its contact; a propensity missing, 0 or above 1.
    """
    given, table = _read(uri)
    for name in NEEDED:
        _refuse(uri, given, table[name].isna(), name, "is missing or cannot be read", _REMEDY[name])
    for name in (LogColumns.VALUE, LogColumns.COST, LogColumns.PROPENSITY):
        if name in table:
            unread = table[name].isna() & given[name].notna()
            _refuse(uri, given, unread | np.isinf(table[name]), name, "is not a number", "write a number")
    _refuse(uri, given, np.isinf(table[LogColumns.OUTCOME]), LogColumns.OUTCOME, "is infinite", "write a number")
    _check_propensity(uri, given, table)
    idle = {LogColumns.VALUE: table[LogColumns.OUTCOME] == 0, LogColumns.COST: table[LogColumns.TREATMENT] == control}
    for name in idle.keys() & set(table):
        of_what = "an outcome that is not 0" if name == LogColumns.VALUE else "a contact"
        _refuse(uri, given, table[name].isna() & ~idle[name], name, f"of {of_what} is missing", "give it, or 0")
        table[name] = table[name].fillna(0.0)
    if LogColumns.OUTCOME_TIME in table:
        early = (table[LogColumns.OUTCOME_TIME] < table[LogColumns.TIME]) & (table[LogColumns.OUTCOME] != 0)
        remedy = "give only outcomes after the contact; what came before cannot be its effect"
        _refuse(uri, given, early, LogColumns.OUTCOME_TIME, "lies before the contact's time", remedy)
    _check_users(uri, table)
    _check_arms(uri, table, control)
    return table.astype({LogColumns.TIME: np.int64})


_REMEDY = {
    LogColumns.USER: "give every row a user",
    LogColumns.TREATMENT: "name the treatment, also of those who were drawn to get none",
    LogColumns.TIME: "give the time of the contact, or of the draw where there was none",
    LogColumns.OUTCOME: "write a number, 0 where the user did not do it",
}


def _read(uri: str) -> tuple[pd.DataFrame, pd.DataFrame]:
    """The columns of the log as texts, and as what they mean, with the features behind."""
    with (
        tempfile.TemporaryDirectory(prefix="longtail-log-") as folder,
        open_engine("duckdb", MEMORY_GB, None, Path(folder)) as engine,
    ):
        scan = engine.scan(find(uri))
        missing = [name for name in NEEDED if name not in scan.kinds]
        if missing:
            raise UserError(
                f"{uri}: has no column {', '.join(missing)} (it has {', '.join(scan.kinds)}); rename or add it: a log names for each "
                "user the treatment that was drawn, when, and the outcome"
            )
        present = [name for name in OF_THE_LOG if name in scan.kinds]
        quoted = {name: engine.quote(name) for name in scan.kinds}
        asked = id_columns(scan, IDS, engine.quote, engine.collect)
        asked |= {name: microseconds(quoted[name], scan.kinds[name]) for name in TIMES if name in present}
        asked |= {name: f"try_cast({quoted[name]} as double)" for name in NUMBERS if name in present}
        features = _features(uri, scan)
        asked |= {name: quoted[name] for name in features}
        texts = {f"given {name}": f"nullif(trim(cast({quoted[name]} as string)), '')" for name in present}
        frame = scan.select(asked | texts, rows=True)
        faults = 0 if scan.faults is None else engine.collect(scan.faults).num_rows
        found = engine.collect(frame).to_pandas().sort_values(ROW, ignore_index=True)
    if faults:
        raise UserError(f"{uri}: {faults} rows have another number of columns, or are no JSON objects; mend them")
    if found.empty:
        raise UserError(f"{uri}: has no rows; give a log with a row for each user")
    given = found[[f"given {name}" for name in present]].set_axis(present, axis=1)
    return given, found[list(asked)].assign(**{name: _number_or_text(found[name]) for name in features})


def _features(uri: str, scan: Scan) -> list[str]:
    kinds = {name: kind for name, kind in scan.kinds.items() if name not in OF_THE_LOG}
    useless = [name for name, kind in kinds.items() if kind not in ("text", "whole", "number")]
    if useless:
        log.warning("%s: columns %s hold times, lists or records and are no features", uri, ", ".join(useless))
    return [name for name in kinds if name not in useless]


def _number_or_text(column: pd.Series) -> pd.Series:
    """float64 where every given value is a number, so that a CSV file and a Parquet file mean the same; else text."""
    if column.dtype == object:
        column = column.map(lambda value: None if value is None or value == "" else str(value))
    numbers = pd.to_numeric(column, errors="coerce")
    return column if (numbers.isna() & column.notna()).any() else numbers.astype(np.float64)


def _refuse(uri: str, given: pd.DataFrame, bad: pd.Series, column: str, fault: str, remedy: str) -> None:
    rows = np.flatnonzero(bad.fillna(False).to_numpy(dtype=bool))
    if len(rows):
        value = given[column].iloc[rows[0]]
        shown = "" if value is None or value != value else f" ({value!r})"
        others = f" (and {len(rows) - 1} more rows)" if len(rows) > 1 else ""
        raise UserError(f"{uri}: row {rows[0]}: {column}{shown} {fault}{others}; {remedy}")


def _check_propensity(uri: str, given: pd.DataFrame, table: pd.DataFrame) -> None:
    name = LogColumns.PROPENSITY
    if name not in table:
        return
    remedy = "give the probability with which this user got this treatment, above 0 and at most 1, or leave the column out where all had the same"
    _refuse(uri, given, table[name].isna(), name, "is missing", remedy)
    _refuse(uri, given, table[name] <= 0, name, "is not above 0", remedy)
    _refuse(uri, given, table[name] > 1, name, "is above 1", remedy)


def _check_users(uri: str, table: pd.DataFrame) -> None:
    twice = table[LogColumns.USER].duplicated(keep=False)
    if twice.any():
        user = table[LogColumns.USER][twice].iloc[0]
        first, second = np.flatnonzero(table[LogColumns.USER] == user)[:2]
        users = table[LogColumns.USER][twice].nunique()
        more = f" (and {users - 1} more users)" if users > 1 else ""
        raise UserError(
            f"{uri}: user_id {user!r} was contacted twice, in rows {first} and {second}{more}; give one row a user, for example the "
            "first contact, with outcomes from there on"
        )


def _check_arms(uri: str, table: pd.DataFrame, control: str) -> None:
    arms = table[LogColumns.TREATMENT].value_counts()
    if control not in arms:
        raise UserError(
            f"{uri}: nobody has the treatment {control!r}, so there is nobody to compare with (treatments: {', '.join(arms.index[:5])}); "
            "keep rows of users who were drawn to get no contact, or name theirs with `control`"
        )
    if len(arms) == 1:
        raise UserError(f"{uri}: everybody has the treatment {control!r}; keep rows of users who were contacted")
