"""The items of those who are to be contacted: from lists that are there, or asked from the recommender for them alone."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Protocol

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq
from numpy.typing import NDArray

from longtail.campaign.messages import Item
from longtail.components.campaign.settings import OfferSettings
from longtail.components.campaign.tables import Everybody
from longtail.contracts.artifacts import LISTS, read_artifact
from longtail.contracts.campaign import ListColumns as L
from longtail.contracts.columns import Columns
from longtail.contracts.errors import UserError
from longtail.scoring.asked import Asked, Filters
from longtail.scoring.lists import answered
from longtail.scoring.recommender import Recommender


class Lists(Protocol):
    """Where items come from."""

    def count(self, users: pd.Index) -> NDArray[np.int64] | None:
        """How many items there are for each user, where that is known without asking. ``[users]``"""

    def items(self, users: Sequence[str], offer: OfferSettings, most: int) -> list[list[Item]]:
        """The items of each user, best first."""


class WrittenLists:
    """Of a Lists artifact, whose parts are read one at a time."""

    def __init__(self, folder: str | Path) -> None:
        artifact = read_artifact(folder, LISTS)
        self._folder = artifact.path
        if artifact.facts.get("of", "users") != "users":
            raise UserError(
                f"{folder}: holds lists of {artifact.facts['of']}; give those of users (longtail recommend-all)"
            )

    def count(self, users: pd.Index) -> NDArray[np.int64]:
        """Of who is not in the lists: 0."""
        found = np.zeros(len(users), dtype=np.int64)
        for part in sorted(self._folder.glob("users/*.parquet")):
            table = pq.read_table(part, columns=[L.USER, L.GIVEN])
            rows = users.get_indexer(pd.Index(table.column(L.USER).to_pandas()))
            known = rows >= 0
            found[rows[known]] = table.column(L.GIVEN).to_numpy()[known]
        return found

    def items(self, users: Sequence[str], offer: OfferSettings, most: int) -> list[list[Item]]:
        """Raises:
        UserError: the offer wants other items than everybody's.
        """
        check_everybodys(offer)
        place = {user: number for number, user in enumerate(users)}
        wanted = pa.array(users, pa.string())
        found: list[list[Item]] = [[] for _ in users]
        for part in sorted(self._folder.glob("recommendations/*.parquet")):
            table = pq.read_table(part, columns=[L.USER, L.RANK, L.ITEM, L.TITLE, L.REASON])
            mine = pc.and_(pc.is_in(table.column(L.USER), value_set=wanted), pc.less_equal(table.column(L.RANK), most))
            chosen = table.filter(mine).sort_by([(L.USER, "ascending"), (L.RANK, "ascending")])
            columns = [chosen.column(name).to_pylist() for name in (L.USER, L.ITEM, L.TITLE, L.REASON)]
            for user, item, title, reason in zip(*columns):
                found[place[user]].append(Item(item, title or item, reason or ""))
        return found


def check_everybodys(offer: OfferSettings) -> None:
    """Refuse an offer of other items than those of everybody's lists.

    Raises:
        UserError: naming the offer.
    """
    if offer.narrows:
        raise UserError(f"offer {offer.name!r}: chooses among items (all, none, ranges); give --bundle, not --lists")


class AskedLists:
    """Of a bundle, asked for the chosen users alone; prices by the name of a number of the items."""

    def __init__(self, recommender: Recommender, everybody: Everybody, at: int, price: str | None) -> None:
        self._recommender, self._at = recommender, at
        bundle = recommender.bundle
        if price is not None and price not in bundle.number_names:
            known = ", ".join(bundle.number_names) or "none"
            raise UserError(f"price: the items have no number {price!r}; known: {known}")
        self._prices: Mapping[str, float] = {}
        if price is not None:
            self._prices = dict(zip(bundle.item_ids, bundle.numbers[:, bundle.number_names.index(price)].tolist()))
        self._users, self._events = everybody.users.set_index(Columns.USER), everybody.events
        if Columns.ITEM not in self._events and len(self._events):
            raise UserError(f"{everybody.source}: has no column {Columns.ITEM}, which a bundle needs for histories")

    def count(self, users: pd.Index) -> None:
        """Nobody knows before asking."""

    def items(self, users: Sequence[str], offer: OfferSettings, most: int) -> list[list[Item]]:
        """Raises:
        UserError: the offer names what no item has.
        """
        filters = Filters(offer.all, (), offer.none, offer.ranges)
        histories = self._histories(users)
        attributes = self._users.loc[list(users)].to_dict("records")
        most = min(most, len(self._recommender.bundle.item_ids))
        asked = [
            Asked(
                history=histories.get(user, ()),
                attributes=[f"{name}={value}" for name, value in row.items() if isinstance(value, str) and value],
                k=most,
                filters=filters,
            )
            for user, row in zip(users, attributes)
        ]
        return [
            [
                Item(one.item_id, one.title or one.item_id, one.reason or "", self._price(one.item_id))
                for one in answer.items
            ]
            for answer in answered(self._recommender, asked)
        ]

    def _price(self, item: str) -> float | None:
        price = self._prices.get(item)
        return None if price is None or np.isnan(price) else price

    def _histories(self, users: Sequence[str]) -> dict[str, list[str]]:
        """Item ids of each user before the moment, oldest first."""
        if Columns.ITEM not in self._events:
            return {}
        events = self._events
        mine = events[events[Columns.USER].isin(set(users)) & (events[Columns.TIMESTAMP] < self._at)].dropna(
            subset=[Columns.ITEM]
        )
        ordered = mine.sort_values(Columns.TIMESTAMP, kind="stable")
        return {str(user): rows.tolist() for user, rows in ordered.groupby(Columns.USER)[Columns.ITEM]}
