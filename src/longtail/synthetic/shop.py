"""A demo shop with known truth: users whose latent tastes drive what they look at, buy, and say about themselves.

A user's taste is a vector over categories, product families and styles; an item's is the same kind of vector and holds its
popularity too. The next item is drawn from a softmax over their product; an accessory often follows a main product.
"""

from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from numpy.typing import NDArray

from longtail.contracts.columns import Columns
from longtail.contracts.errors import UserError
from longtail.synthetic.goods import Catalogue, make_catalogue

YEAR_START = 1_704_067_200  # 2024-01-01 00:00 UTC
YEAR_SECONDS = 365 * 86_400
COLD_SHARE = 0.04  # users without any interaction
MOST_EVENTS = 100  # items of the most active user
ACTIVITY_EXPONENT = 1.7  # P(n items) ~ (n + 1) ** -exponent
POPULARITY_EXPONENT = 0.6
CATEGORY_TASTE, FAMILY_TASTE, STYLE_TASTE = 2.8, 1.8, 1.3  # spread of the logits
ACCESSORY_SHARE = 0.45  # of main products that are followed by an accessory
AGE_BANDS = ("18-24", "25-34", "35-49", "50-64", "65+")
REGIONS = ("north", "south", "east", "west", "coast", "city")
GENDERS = ("female", "male", "undisclosed")


@dataclass(frozen=True)
class Truth:
    """What the shop was generated from. The last dimension is popularity: 1 for users, the log weight for items. kinds: how many of
    the others are categories, families and styles."""

    user_tastes: NDArray[np.float32]  # [users, dims]
    item_tastes: NDArray[np.float32]  # [items, dims]
    accessories: list[list[str]]  # item -> ids of the accessories that may follow it
    kinds: tuple[int, int, int]

    def affinity(self) -> NDArray[np.float32]:
        """Logits of the choice among items. ``[users, items]``"""
        return self.user_tastes @ self.item_tastes.T

    def tastes(self) -> NDArray[np.float32]:
        """Each user's taste for the category, the family and the style of each item: affinity without popularity. ``[users, items, 3]``"""
        ends = np.cumsum((0, *self.kinds))
        return np.stack(
            [self.user_tastes[:, begin:end] @ self.item_tastes[:, begin:end].T for begin, end in pairwise(ends)],
            axis=2,
        )


@dataclass(frozen=True)
class Shop:
    """Tables in the input contract, sorted by their ids, and the truth in the same order."""

    interactions: pa.Table
    items: pa.Table
    users: pa.Table
    truth: Truth


def generate_shop(seed: int = 0, users: int = 3000, items: int = 600) -> Shop:
    """A shop of one year. The same arguments give the same shop.

    Raises:
        UserError: for fewer than 20 users or 120 items, where the shares that the shop promises mean nothing.
    """
    if users < 20 or items < 120:
        raise UserError(f"demo shop: {users} users and {items} items are too few; ask for at least 20 and 120")
    rng = np.random.default_rng(seed)
    catalogue = make_catalogue(rng, items)
    table, tastes = _users(rng, catalogue, users)
    item_tastes = _item_tastes(rng, catalogue)
    user_tastes = np.column_stack([*tastes, np.ones(users)]).astype(np.float32)
    followers = [_accessories_of(catalogue, item) for item in range(items)]
    item_ids = catalogue.table.column(Columns.ITEM).to_pylist()
    kinds = len(catalogue.categories), len(catalogue.families), len(catalogue.styles)
    truth = Truth(user_tastes, item_tastes, [[item_ids[code] for code in codes] for codes in followers], kinds)
    interactions = _interactions(rng, catalogue, truth, followers, table.column(Columns.USER).to_pylist())
    return Shop(interactions, catalogue.table, table, truth)


def write_shop(shop: Shop, folder: str | Path) -> None:
    """Write interactions, items, users, truth_users and truth_items as Parquet files into ``folder``."""
    target = Path(folder)
    target.mkdir(parents=True, exist_ok=True)
    vectors = pa.list_(pa.float32())
    truth_users = {Columns.USER: shop.users[Columns.USER], "taste": pa.array(list(shop.truth.user_tastes), vectors)}
    truth_items = {
        Columns.ITEM: shop.items[Columns.ITEM],
        "taste": pa.array(list(shop.truth.item_tastes), vectors),
        "accessories": pa.array(shop.truth.accessories, pa.list_(pa.string())),
    }
    tables = {
        "interactions": shop.interactions,
        "items": shop.items,
        "users": shop.users,
        "truth_users": pa.table(truth_users),
        "truth_items": pa.table(truth_items),
    }
    for name, table in tables.items():
        pq.write_table(table, target / f"{name}.parquet")


def _users(rng: np.random.Generator, catalogue: Catalogue, count: int) -> tuple[pa.Table, list[NDArray[np.float64]]]:
    """Users' attributes, and tastes [users, categories], [users, families], [users, styles] that depend on them."""
    categories, families, styles = len(catalogue.categories), len(catalogue.families), len(catalogue.styles)
    age = rng.choice(len(AGE_BANDS), size=count, p=[0.16, 0.28, 0.28, 0.18, 0.10])
    region = rng.choice(len(REGIONS), size=count)
    gender = rng.choice(len(GENDERS), size=count, p=[0.47, 0.47, 0.06])
    category = (
        rng.normal(0, 0.6, (len(AGE_BANDS), categories))[age]
        + rng.normal(0, 0.3, (len(REGIONS), categories))[region]
        + rng.normal(0, 0.5, (len(GENDERS), categories))[gender]
        + rng.normal(0, 0.8, (count, categories))
    )
    family = rng.normal(0, 1, (count, families))
    style = rng.normal(0, 0.6, (len(AGE_BANDS), styles))[age] + rng.normal(0, 0.8, (count, styles))
    interest = category.argmax(axis=1)
    guessed = rng.random(count) < 0.12  # people do not always know, or say, what they will buy
    interest = np.where(guessed, rng.integers(0, categories, count), interest)
    unknown = rng.random((3, count)) < 0.1  # left blank on the form
    attributes = {
        Columns.USER: [f"user-{code + 1:05d}" for code in range(count)],
        "age_band": _labels(AGE_BANDS, age, unknown[0]),
        "region": _labels(REGIONS, region, np.zeros(count, dtype=bool)),
        "gender": _labels(GENDERS, gender, unknown[1]),
        "interest": _labels(catalogue.categories, interest, unknown[2]),
    }
    table = pa.table({name: pa.array(values, pa.string()) for name, values in attributes.items()})
    return table, [CATEGORY_TASTE * category, FAMILY_TASTE * family, STYLE_TASTE * style]


def _labels(names: tuple[str, ...] | list[str], codes: NDArray[np.int64], blank: NDArray[np.bool_]) -> list[str | None]:
    return [None if empty else names[code] for code, empty in zip(codes, blank)]


def _item_tastes(rng: np.random.Generator, catalogue: Catalogue) -> NDArray[np.float32]:
    """One-hot category, family and style, and the log popularity, a power law over a random ranking. [items, dims]"""
    count = len(catalogue.category)
    popularity = -POPULARITY_EXPONENT * np.log(1.0 + rng.permutation(count))
    hot = [
        np.eye(len(names))[codes]
        for names, codes in (
            (catalogue.categories, catalogue.category),
            (catalogue.families, catalogue.family),
            (catalogue.styles, catalogue.style),
        )
    ]
    return np.column_stack([*hot, popularity]).astype(np.float32)


def _accessories_of(catalogue: Catalogue, item: int) -> list[int]:
    if catalogue.accessory[item]:
        return []
    same = catalogue.accessory & (catalogue.family == catalogue.family[item])
    alike = np.flatnonzero(same & (catalogue.style == catalogue.style[item]))
    return [int(code) for code in (alike if len(alike) else np.flatnonzero(same))]


def _interactions(
    rng: np.random.Generator, catalogue: Catalogue, truth: Truth, followers: list[list[int]], user_ids: list[str]
) -> pa.Table:
    users, items = len(user_ids), len(followers)
    counts = _activity(rng, users, min(MOST_EVENTS, items // 4))
    begin = 0.97 * rng.random(users) ** 2  # share of the year when the user joins; many were there before
    window = (1.0 - begin) * rng.random(users) ** 0.5  # share of the year in which the user is active

    # items of a user: the Gumbel trick draws ``counts[u]`` different ones from the softmax of the affinity
    middle = begin + window / 2
    season = 1.2 * np.cos(2 * np.pi * (middle[:, None] - catalogue.season[None, :]))  # [users, categories]
    launch = np.where(rng.random(items) < 0.1, rng.uniform(0.3, 0.95, items), 0.0)
    logits = truth.affinity() + season[:, catalogue.category] + rng.gumbel(size=(users, items))
    logits[begin[:, None] < launch[None, :]] = -np.inf
    drawn = np.argsort(-logits, axis=1, kind="stable")[:, : counts.max()]
    user = np.repeat(np.arange(users), counts)  # [events]
    place = np.arange(len(user)) - np.repeat(np.cumsum(counts) - counts, counts)
    # the order of drawing is one of taste, so it is shuffled within each user
    order = np.lexsort((rng.random(len(user)), user))
    item = drawn[user, place][order]

    # accessories take the place after a main product, in the same visit
    has_next = np.append(user[1:] == user[:-1], False)
    follows = has_next & ~catalogue.accessory[item] & (rng.random(len(user)) < ACCESSORY_SHARE)
    follows &= ~np.append(False, follows[:-1])  # what is itself replaced starts nothing
    taken = set(zip(user.tolist(), item.tolist()))
    for row in np.flatnonzero(follows):
        options = [code for code in followers[item[row]] if (user[row], code) not in taken]
        if options:
            item[row + 1] = options[rng.integers(len(options))]
            taken.add((int(user[row]), int(item[row + 1])))
    same_visit = np.append(False, follows[:-1]) | (rng.random(len(user)) < 0.4)

    table = {"user": user, "item": item, "seconds": _times(rng, user, same_visit, begin, window)}
    return _events(rng, table, truth, catalogue, user_ids)


def _activity(rng: np.random.Generator, users: int, most: int) -> NDArray[np.int64]:
    """Different items of every user: a power law, and some users without any. [users]"""
    weights = (np.arange(1, most + 1) + 1.0) ** -ACTIVITY_EXPONENT
    counts = 1 + rng.choice(most, size=users, p=weights / weights.sum())
    counts[rng.permutation(users)[: round(COLD_SHARE * users)]] = 0
    return counts


def _times(
    rng: np.random.Generator,
    user: NDArray[np.int64],
    same_visit: NDArray[np.bool_],
    begin: NDArray[np.float64],
    window: NDArray[np.float64],
) -> NDArray[np.int64]:
    """Seconds since the year's start, rising within each user. More before Christmas and in the evening. [events]"""
    first = np.append(True, user[1:] != user[:-1])
    gap = np.where(same_visit & ~first, 0.0, rng.exponential(size=len(user)))
    users = len(begin)
    total = np.bincount(user, gap, users) + rng.exponential(size=users)
    elapsed = np.cumsum(gap) - (np.cumsum(np.bincount(user, gap, users)) - np.bincount(user, gap, users))[user]
    share = begin[user] + window[user] * elapsed / total[user]  # [events]
    # the busier weeks of the year take more of it: inverse of the cumulated weekly traffic
    grid = np.linspace(0, 1, 366)
    traffic = 1.0 + 1.2 * np.exp(-(((grid - 0.93) / 0.04) ** 2)) + 0.25 * np.cos(2 * np.pi * (grid - 0.95))
    passed = np.append(0.0, np.cumsum((traffic[1:] + traffic[:-1]) / 2))
    day = np.floor(np.interp(share, passed / passed[-1], grid) * 364.99)
    visit = np.cumsum(~same_visit | first) - 1
    hour = np.clip(rng.normal(19.0, 3.0, visit[-1] + 1), 6.0, 22.5)[visit]
    within = np.arange(len(user)) - np.maximum.accumulate(np.where(~same_visit | first, np.arange(len(user)), 0))
    seconds = (day * 86_400 + hour * 3_600 + within * 90.0).astype(np.int64) + rng.integers(0, 60, len(user))
    # two visits on one day keep their order
    rows = np.arange(len(user))
    user_order = np.lexsort((rows, seconds, user))
    return np.asarray(seconds[user_order])


def _events(
    rng: np.random.Generator,
    columns: dict[str, NDArray[np.int64]],
    truth: Truth,
    catalogue: Catalogue,
    user_ids: list[str],
) -> pa.Table:
    """Rows with the kind of event; the more an item is to a user's taste the further it gets. Sorted by user and time."""
    user, item, seconds = columns["user"], columns["item"], columns["seconds"]
    liking = truth.affinity()[user, item]
    liking = (liking - liking.mean()) / liking.std() + rng.normal(0, 1.5, len(user))
    kind = np.searchsorted(np.quantile(liking, [0.5, 0.7, 0.82]), liking)
    looked = np.flatnonzero((kind == 3) & (rng.random(len(user)) < 0.25))  # some purchases show the view before them
    user, item = np.append(user, user[looked]), np.append(item, item[looked])
    seconds, kind = np.append(seconds, seconds[looked] - 30), np.append(kind, np.zeros(len(looked), dtype=np.int64))
    names = np.array(["view", "click", "cart", "purchase"])
    item_ids = np.array(catalogue.table.column(Columns.ITEM).to_pylist())
    order = np.lexsort((item_ids[item], seconds, user))
    return pa.table(
        {
            Columns.USER: pa.array(np.array(user_ids)[user[order]]),
            Columns.ITEM: pa.array(item_ids[item[order]]),
            Columns.TIMESTAMP: pa.array(YEAR_START + seconds[order], pa.int64()),
            Columns.EVENT: pa.array(names[kind[order]]),
        }
    )
