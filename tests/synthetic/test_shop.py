"""The demo shop keeps its promises: shares, power laws, readable items, and tastes that make learning pay."""

from pathlib import Path

import numpy as np
import pandas as pd
import pyarrow.parquet as pq
import pytest

from longtail.contracts.artifacts import sha256
from longtail.contracts.errors import UserError
from longtail.synthetic.shop import YEAR_SECONDS, YEAR_START, Shop, generate_shop, write_shop


@pytest.fixture(scope="module")
def shop() -> Shop:
    return generate_shop()


class Holdout:
    """Every user's last new item is the target; what came before is the history."""

    def __init__(self, shop: Shop) -> None:
        users = {name: code for code, name in enumerate(shop.users["user_id"].to_pylist())}
        items = {name: code for code, name in enumerate(shop.items["item_id"].to_pylist())}
        events = shop.interactions.to_pandas().drop_duplicates(["user_id", "item_id"])
        events = events.assign(user=events.user_id.map(users), item=events.item_id.map(items))
        last = events.groupby("user").tail(1)
        train = events.drop(last.index)
        self.history = np.zeros((len(users), len(items)))
        self.history[train.user, train.item] = 1
        self.users, self.targets = last.user.to_numpy(), last["item"].to_numpy()
        self.lengths = self.history[self.users].sum(axis=1)
        self.popularity = self.history.sum(axis=0)
        previous = train.groupby("user").tail(1)
        self.previous = dict(zip(previous.user, previous["item"]))

    def ndcg(self, scores: np.ndarray, chosen: np.ndarray | None = None) -> float:
        """Mean NDCG@10 of one target a user: 1 / log2(rank + 1), ties at their mean rank."""
        scores = np.where(self.history[self.users] > 0, -np.inf, scores[self.users])
        mine = scores[np.arange(len(self.users)), self.targets][:, None]
        rank = 1 + (scores > mine).sum(axis=1) + ((scores == mine).sum(axis=1) - 1) / 2
        gains = np.where(rank <= 10, 1 / np.log2(rank + 1), 0.0)
        return float(gains[chosen].mean() if chosen is not None else gains.mean())


@pytest.fixture(scope="module")
def holdout(shop: Shop) -> Holdout:
    return Holdout(shop)


def everyone(popularity: np.ndarray, users: int) -> np.ndarray:
    return np.tile(popularity, (users, 1))


def test_the_same_seed_writes_the_same_bytes_and_another_does_not(tmp_path: Path) -> None:
    for folder, seed in (("a", 7), ("b", 7), ("c", 8)):
        write_shop(generate_shop(seed, users=300, items=150), tmp_path / folder)
    names = sorted(path.name for path in (tmp_path / "a").iterdir())
    assert names == [
        "interactions.parquet",
        "items.parquet",
        "truth_items.parquet",
        "truth_users.parquet",
        "users.parquet",
    ]
    for name in names:
        assert sha256(tmp_path / "a" / name) == sha256(tmp_path / "b" / name)
        assert sha256(tmp_path / "a" / name) != sha256(tmp_path / "c" / name)


def test_written_truth_gives_back_the_affinity(shop: Shop, tmp_path: Path) -> None:
    write_shop(shop, tmp_path)
    users = np.array(pq.read_table(tmp_path / "truth_users.parquet")["taste"].to_pylist(), dtype=np.float32)
    items = np.array(pq.read_table(tmp_path / "truth_items.parquet")["taste"].to_pylist(), dtype=np.float32)
    np.testing.assert_array_equal(users @ items.T, shop.truth.affinity())


def test_most_users_have_almost_no_history_and_some_none(shop: Shop) -> None:
    counts = pd.Series(shop.interactions["user_id"].to_pylist()).value_counts()
    counts = counts.reindex(shop.users["user_id"].to_pylist(), fill_value=0)
    assert len(counts) == 3000
    assert (counts <= 4).mean() >= 0.6
    assert (counts == 0).mean() == pytest.approx(0.04)
    assert (counts >= 10).mean() > 0.15
    assert counts.nlargest(300).sum() > 0.4 * counts.sum()  # a tenth of the users, two fifths of the traffic


def test_popularity_is_a_power_law_with_a_long_tail(shop: Shop) -> None:
    counts = np.sort(pd.Series(shop.interactions["item_id"].to_pylist()).value_counts().to_numpy())[::-1]
    assert len(counts) > 580
    assert counts[:60].sum() > 0.2 * counts.sum()
    assert counts[0] > 5 * np.median(counts)


def test_items_read_like_a_shop(shop: Shop) -> None:
    items = shop.items.to_pandas()
    assert len(items) == 600
    assert items.item_id.is_unique
    assert items.title.is_unique
    assert items.title.str.split().str.len().between(3, 12).all()
    assert items.attributes.str[0].nunique() == 12
    assert items.attributes.str[1].nunique() == 60
    assert (items.price > 0).all()
    described = items[items.description.notna()]
    assert 0.9 < len(described) / 600 < 1.0
    in_text = [row.attributes[4] in row.description for row in described.itertuples()]  # the material
    assert all(in_text)


def test_timestamps_fill_one_year_and_the_season_shows(shop: Shop) -> None:
    seconds = shop.interactions["timestamp"].to_numpy()
    assert seconds.min() >= YEAR_START
    assert seconds.max() < YEAR_START + YEAR_SECONDS
    month = pd.to_datetime(seconds, unit="s").month
    assert set(month) == set(range(1, 13))
    events = shop.interactions.to_pandas().merge(shop.items.to_pandas(), on="item_id")
    events["month"] = pd.to_datetime(events.timestamp, unit="s").dt.month
    garden = events.attributes.str[0] == "garden"
    spring, winter = events.month.isin([3, 4, 5]), events.month.isin([10, 11, 12])
    assert garden[spring].mean() > 1.3 * garden[winter].mean()


def test_rows_are_sorted_and_no_user_is_at_two_places_at_once(shop: Shop) -> None:
    events = shop.interactions.to_pandas()
    ordered = events.sort_values(["user_id", "timestamp", "item_id"], kind="stable")
    pd.testing.assert_frame_equal(events, ordered)


def test_events_are_of_four_kinds_and_views_prevail(shop: Shop) -> None:
    shares = shop.interactions.to_pandas().event.value_counts(normalize=True)
    assert set(shares.index) == {"view", "click", "cart", "purchase"}
    assert shares["view"] > 0.45
    assert 0.1 < shares["purchase"] < 0.25


def test_true_affinity_ranks_far_better_than_popularity(shop: Shop, holdout: Holdout) -> None:
    popular = everyone(holdout.popularity, len(holdout.history))
    assert holdout.ndcg(shop.truth.affinity()) > 3 * holdout.ndcg(popular)


def test_item_cooccurrence_beats_popularity_for_users_with_a_short_history(holdout: Holdout) -> None:
    together = holdout.history.T @ holdout.history
    np.fill_diagonal(together, 0)
    scale = np.sqrt(np.outer(holdout.popularity + 1, holdout.popularity + 1))
    scores = holdout.history @ (together / scale) + 1e-6 * holdout.popularity
    tail = (holdout.lengths >= 1) & (holdout.lengths <= 4)
    assert holdout.ndcg(scores, tail) > 2 * holdout.ndcg(everyone(holdout.popularity, len(scores)), tail)


def test_words_of_the_history_beat_popularity(shop: Shop, holdout: Holdout) -> None:
    words = [set(f"{row['title']} {' '.join(row['attributes'])}".lower().split()) for row in shop.items.to_pylist()]
    vocabulary = {word: place for place, word in enumerate(sorted(set().union(*words)))}
    bags = np.zeros((len(words), len(vocabulary)))
    for item, found in enumerate(words):
        bags[item, [vocabulary[word] for word in found]] = 1
    bags *= np.log(len(words) / bags.sum(axis=0))
    bags /= np.linalg.norm(bags, axis=1, keepdims=True)
    scores = holdout.history @ (bags @ bags.T)
    some = holdout.lengths > 0
    assert holdout.ndcg(scores, some) > 1.5 * holdout.ndcg(everyone(holdout.popularity, len(scores)), some)


def test_what_users_say_helps_those_without_history(shop: Shop, holdout: Holdout) -> None:
    interest = np.array([value or "" for value in shop.users["interest"].to_pylist()])
    prior = holdout.popularity / holdout.popularity.sum()
    scores = np.zeros_like(holdout.history)
    for value in set(interest):
        counts = holdout.history[interest == value].sum(axis=0)
        scores[interest == value] = (counts + 30 * prior) / (counts.sum() + 30)
    cold = holdout.lengths == 0
    assert cold.sum() > 300
    assert holdout.ndcg(scores, cold) > 1.2 * holdout.ndcg(everyone(prior, len(scores)), cold)


def test_the_order_pays_since_accessories_follow_main_products(shop: Shop, holdout: Holdout) -> None:
    ids = {name: code for code, name in enumerate(shop.items["item_id"].to_pylist())}
    affinity = shop.truth.affinity().astype(np.float64)
    ordered = affinity.copy()
    for user, item in holdout.previous.items():
        ordered[user, [ids[name] for name in shop.truth.accessories[item]]] += 4.0
    assert holdout.ndcg(ordered) > 1.1 * holdout.ndcg(affinity)


def test_no_item_is_seen_before_it_was_launched(shop: Shop) -> None:
    """One in ten items appears during the year: some items are new to every history."""
    first = shop.interactions.to_pandas().groupby("item_id").timestamp.min()
    late = (first - YEAR_START) > 0.3 * YEAR_SECONDS
    assert 0.05 < late.mean() < 0.2


def test_a_shop_too_small_is_refused() -> None:
    with pytest.raises(UserError, match="10 users and 600 items are too few"):
        generate_shop(users=10)


def test_affinity_is_the_tastes_and_popularity(shop: Shop) -> None:
    truth = shop.truth
    np.testing.assert_allclose(truth.tastes().sum(axis=2) + truth.item_tastes[:, -1], truth.affinity(), atol=1e-4)
