"""What users were shown, and what an event counts for that: the inverse of how likely its item was to be shown.

What is shown more often is chosen more often, whatever users like. A chosen item that few users were shown stands for all those who would
have chosen it, had they seen it: weights of 1 / propensity (Schnabel et al. 2016; Yang et al. 2018). The propensity is the item's: the share of
users to whom it was shown, drawn towards the usual share, and no less than ``least_exposure``. Weights are self-normalised: their mean over the
training events is 1.
"""

import logging
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import narwhals as nw
import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from numpy.typing import NDArray

from longtail.components.preprocess.settings import PreprocessSettings
from longtail.contracts.columns import Columns
from longtail.contracts.errors import UserError
from longtail.contracts.prepared import EXPOSURES
from longtail.tables.engine import Engine, Frame
from longtail.tables.id_sql import id_sql
from longtail.tables.sources import find

logger = logging.getLogger(__name__)
SHOWN = "shown"
PRIOR_USERS = 10  # to whom each item is taken to have been shown as often as items usually are


@dataclass(frozen=True)
class Exposures:
    """users: to how many each item was shown [items]; of: how many there are; unknown: rows with items outside the catalogue."""

    users: NDArray[np.int64]
    of: int
    unknown: int

    def propensities(self, least: float) -> NDArray[np.float64]:
        """With which probability each item was shown to a user. ``[items]``"""
        usual = self.users.sum() / (self.of * len(self.users))
        smoothed = (self.users + PRIOR_USERS * usual) / (self.of + PRIOR_USERS)
        return np.asarray(np.maximum(smoothed, least))

    def weights(self, train_counts: NDArray[np.integer], least: float) -> NDArray[np.float32]:
        """What an event of each item counts. train_counts: events of each. ``[items]``"""
        inverse = 1 / self.propensities(least)
        total = float((train_counts * inverse).sum())
        return np.asarray(inverse * (train_counts.sum() / total if total else 1.0), dtype=np.float32)

    def facts(self, weights: NDArray[np.float32], train_counts: NDArray[np.integer]) -> dict[str, Any]:
        """What the manifest says. ``effective_events``: how many events of one weight would say as much (Kish)."""
        squares = float((train_counts * weights.astype(np.float64) ** 2).sum())
        return {
            "users": self.of,
            "items_shown": int((self.users > 0).sum()),
            "rows_of_unknown_items": self.unknown,
            "effective_events": float(train_counts.sum()) ** 2 / squares if squares else 0.0,
        }


def write_exposures(
    engine: Engine, folder: Path, item_codes: Frame, train_counts: Frame, settings: PreprocessSettings
) -> dict[str, Any] | None:
    """Write what the table of the settings says into a Prepared data set's folder, and return what the manifest says; None without one.

    item_codes: item_id, item_code; train_counts: item_code, train_count.

    Raises:
        UserError: as ``_read``.
    """
    if settings.exposures is None:
        return None
    n_items = int(engine.collect(item_codes.select(n=nw.len())).to_pylist()[0]["n"])
    found, counts = engine.collect(train_counts), np.zeros(n_items, dtype=np.int64)
    counts[found[Columns.ITEM_CODE].to_numpy()] = found["train_count"].to_numpy()
    shown = _read(engine, settings.exposures, item_codes, n_items)
    weights = shown.weights(counts, settings.least_exposure)
    columns = {
        Columns.ITEM_CODE: pa.array(np.arange(n_items, dtype=np.int32)),
        "propensity": pa.array(shown.propensities(settings.least_exposure)),
        "weight": pa.array(weights),
    }
    pq.write_table(pa.table(columns), folder / EXPOSURES)
    return shown.facts(weights, counts)


def _read(engine: Engine, uri: str, item_codes: Frame, n_items: int) -> Exposures:
    """
    Raises:
        UserError: a column is missing, or no row shows an item of the catalogue to a user.
    """
    scan = engine.scan(find(uri))
    missing = [name for name in (Columns.USER, Columns.ITEM) if name not in scan.kinds]
    if missing:
        raise UserError(
            f"preprocess.exposures: {uri}: has no column {', '.join(missing)} (it has {', '.join(scan.kinds)}); rename or add it"
        )
    columns = {name: id_sql(engine.quote(name), scan.kinds[name]) for name in (Columns.USER, Columns.ITEM)}
    if SHOWN in scan.kinds:
        text = f"lower(cast({engine.quote(SHOWN)} as string))"
        columns[SHOWN] = f"case when {text} in ('0', '0.0', 'false') then 0 else 1 end"
    rows = scan.select(columns)
    rows = rows.filter(~nw.col(Columns.USER).is_null() & ~nw.col(Columns.ITEM).is_null())
    if SHOWN in scan.kinds:
        rows = rows.filter(nw.col(SHOWN) == 1)
    pairs = engine.keep(rows.select(Columns.USER, Columns.ITEM).unique())
    counts = engine.collect(
        pairs.join(item_codes, on=Columns.ITEM, how="left").group_by(Columns.ITEM_CODE).agg(n=nw.len())
    )
    of = int(engine.collect(pairs.select(Columns.USER).unique().select(n=nw.len())).to_pylist()[0]["n"])
    found = _exposures(counts, n_items, of)
    if not found.users.any():
        raise UserError(
            f"preprocess.exposures: {uri}: shows no item of the catalogue to a user; give the ids that items and interactions have"
        )
    if found.unknown:
        logger.warning(
            "%s: %d users were shown items that the catalogue does not hold; they are left out", uri, found.unknown
        )
    return found


def _exposures(counts: pa.Table, n_items: int, of: int) -> Exposures:
    users, unknown = np.zeros(n_items, dtype=np.int64), 0
    for row in counts.to_pylist():
        if row[Columns.ITEM_CODE] is None:
            unknown = int(row["n"])
        else:
            users[row[Columns.ITEM_CODE]] = row["n"]
    return Exposures(users, of, unknown)
